"""What a captioner has said so far, in a file: nothing is decoded twice, and nothing that is stale is used."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from captioning import decoding
from captioning.bundle import Captioner
from captioning.datasets.records import Record
from captioning.decoding import Caption
from captioning.decoding.steps import batch_size, take
from captioning.features import FeatureStore
from captioning.files import DamagedError, read_json, write_json
from captioning.provenance import difference, digest

PART = 64  # pictures whose features are in memory at a time


class KeptCaptions:
    """The captions of a captioner, in `decoded.json`; each is kept as its tokens, log-probability and end."""

    def __init__(
        self,
        captioner: Captioner,
        stores: Mapping[str, FeatureStore],
        file: Path | None = None,
        made_from: Mapping | None = None,
    ):
        """Read what is kept, unless it comes from something else.

        Args:
            captioner: gives the captions.
            stores: the features of its encoders, by name.
            file: holds the captions of several captioners, by their members; None: `decoded.json`, of this one.
            made_from: all that decides what is in that file; None: what decides on the captions of this one.
        """
        self.captioner, self.stores = captioner, stores
        self._file, self._label = file or captioner.folder / "decoded.json", digest(captioner.made_from)
        self._made_from = {"format": 3, "captioner": dict(made_from or captioner.made_from)}
        self._write = cache(captioner.tokenizer.decode)  # the captions of a beam are ranked in many ways
        self._kept: dict[str, list[list[Caption]]] = {}
        try:
            kept = read_json(self._file, "")
            if not difference(kept["made_from"], self._made_from):
                self._kept = {key: [_captions(row) for row in rows] for key, rows in kept["captions"].items()}
        except FileNotFoundError:
            pass
        except (DamagedError, KeyError, TypeError, AttributeError, ValueError):
            print(f"{self._file} is damaged: the pictures are captioned again.")

    def texts(self, records: Sequence[Record], captions: Sequence[Caption]) -> dict[int | str, str]:
        """Return image id -> what is written."""
        pairs = zip(records, captions, strict=True)
        return {record.image_id: self._write(tuple(caption.tokens)) for record, caption in pairs}

    def best(
        self, records: Sequence[Record], beam_width: int, penalties: Sequence[float], may_repeat: list[str] | None
    ) -> list[list[Caption]]:
        """Return for each length penalty the caption of each picture; one search serves all penalties.

        `may_repeat` are the words that a caption may hold twice; None: all.
        """
        found = self.beams(records, beam_width, penalties, may_repeat, return_all=False)
        return [[caption for (caption,) in captions] for captions in found]

    def beams(
        self,
        records: Sequence[Record],
        beam_width: int,
        penalties: Sequence[float],
        may_repeat: list[str] | None,
        return_all: bool = True,
    ) -> list[list[list[Caption]]]:
        """Return for each length penalty the captions of each picture, up to `beam_width`, the best first."""
        search = f"{'all' if return_all else 'best'} of beam {beam_width}, features {self._digest(records)}"
        search += "" if may_repeat is None else f", twice only {digest(may_repeat)}"
        keys = {penalty: f"length penalty {penalty:g}, {search}" for penalty in penalties}
        if new := [penalty for penalty, key in keys.items() if len(self._kept.get(key, ())) != len(records)]:
            once = decoding.once_mask(self.captioner.tokenizer, may_repeat)
            options: dict[str, Any] = {
                "beam_width": beam_width,
                "length_penalty": new,
                "once": once,
                "return_all": return_all,
            }
            found = self._in_parts(records, len(new), lambda rows: self.captioner.decode(rows, **options))
            rows = ([list(each) if return_all else [each] for each in captions] for captions in found)
            self._keep(dict(zip([keys[penalty] for penalty in new], rows, strict=True)))
        return [self._kept[key] for key in keys.values()]

    def samples(self, records: Sequence[Record], count: int) -> list[list[Caption]]:
        """Return captions drawn from the model's own distribution: `count` lists with one of each picture."""
        captioner, key = self.captioner, f"{count} samples, features {self._digest(records)}"
        if len(self._kept.get(key, ())) != count:

            def draw(features: Mapping) -> list[list[Caption]]:
                state = captioner.initial_state(features)
                rows = np.repeat(np.arange(batch_size(state)), count)
                drawn = decoding.sample(captioner.step, take(state, rows), captioner.max_length)
                return [drawn[number::count] for number in range(count)]

            self._keep({key: self._in_parts(records, count, draw)})
        return self._kept[key]

    def _in_parts(self, records: Sequence[Record], lists: int, decode: Callable) -> list[list]:
        """Return what decoding gives, so many lists with an entry per picture; some pictures at a time."""
        found: list[list] = [[] for _ in range(lists)]
        for start in range(0, len(records), PART):
            features = self.captioner.rows(self.stores, records[start : start + PART])
            for captions, more in zip(found, decode(features), strict=True):
                captions += more
        return found

    def _digest(self, records: Sequence[Record]) -> str:
        stores = [self.stores[name].digest(records) for name in self.captioner.encoder_names]
        return digest(self._label, stores)

    def _keep(self, found: Mapping[str, list[list[Caption]]]) -> None:
        # As they are when read again, so that a second evaluation gives the same digits.
        self._kept |= {key: [_captions(_row(captions)) for captions in rows] for key, rows in found.items()}
        kept = {key: [_row(captions) for captions in rows] for key, rows in self._kept.items()}
        write_json(self._file, {"made_from": self._made_from, "captions": kept}, indent=None)


def _row(captions: Sequence[Caption]) -> list:
    return [[caption.tokens, round(caption.log_probability, 6), caption.finished] for caption in captions]


def _captions(row: Sequence) -> list[Caption]:
    return [
        Caption([int(token) for token in tokens], float(sum_), float(sum_), bool(finished), None)
        for tokens, sum_, finished in row
    ]
