"""What captions pictures, one trained model or several together: on features and on photos."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from captioning import decoding
from captioning.bundle.answers import Answer, answer
from captioning.bundle.chosen import penalty_for, read_chosen, whole
from captioning.bundle.neighbors import Neighbors, file_of
from captioning.bundle.packed import NEIGHBORS, BundleError, packed_of
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.encoders import Encoder
from captioning.features import FeatureStore, encode_each
from captioning.features.making import BATCH
from captioning.files import DamagedError
from captioning.images import ImageError, Picture, is_one
from captioning.quiet import keras
from captioning.tokenizer import Tokenizer

TOGETHER = 64  # pictures decoded at a time
ROWS = 512  # prefixes at a time: they and the regions that each of them sees fit into memory
EVALUATION = "notebooks/11_evaluate.ipynb"

Features = np.ndarray | Mapping[str, np.ndarray]  # (pictures, regions, channels); of an ensemble, by encoder


class Captioner(ABC):
    """A trained captioner, ready to use; its features are raw, as the encoder gives them."""

    folder: Path  # or a packed model, `packed.Packed`, which is read like one
    tokenizer: Tokenizer

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    @abstractmethod
    def encoder_names(self) -> tuple[str, ...]:
        """The names of the frozen CNNs that its features come from."""

    @property
    @abstractmethod
    def encoders(self) -> dict[str, Encoder]:
        """These by name; a BundleError or a SettingError where one cannot be had."""

    @property
    @abstractmethod
    def step(self) -> decoding.StepFunction:
        """The step function for `captioning.decoding`."""

    @property
    @abstractmethod
    def made_from(self) -> dict:
        """All that decides which captions given features get, as JSON values."""

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Words of the longest caption that is decoded where nobody says otherwise."""

    @property
    @abstractmethod
    def longest(self) -> int | None:
        """Words of the longest caption that there is room for; None: there is no limit."""

    @abstractmethod
    def initial_state(self, features: Any) -> Any:
        """Return the state that a decoding starts from."""

    @abstractmethod
    def check_fits(self, stores: Mapping[str, FeatureStore], dataset: CaptionDataset) -> None:
        """Raise a StaleError if it was trained with other features (by encoder), captions or splits than these."""

    def features_of(self, by_encoder: Mapping[str, np.ndarray]) -> Any:
        """Return features by encoder as `decode` takes them."""
        return by_encoder

    def rows(self, stores: Mapping[str, FeatureStore], records: Sequence[Record]) -> Features:
        """Return the features of pictures as `decode` takes them; a FeatureError where one has none."""
        return self.features_of({name: stores[name].rows(records) for name in self.encoder_names})

    def decode(self, features: Features, beam_width: int = 3, **options: Any) -> list:
        """Caption pictures from their features: (pictures, regions, channels); of an ensemble, such arrays by encoder.

        The options are those of `decoding.beam_search`; `max_length` is `self.max_length` unless it is given.

        Returns:
            One caption per picture; with `return_all` a list of captions per picture; with several length penalties
            a list of these per penalty.
        """
        options = {"max_length": self.max_length} | options
        if self.longest is not None and options["max_length"] > self.longest:
            raise ValueError(f"{self.name} has room for {self.longest} words, not for {options['max_length']}.")
        penalties: Any = options.get("length_penalty")
        several = isinstance(penalties, Sequence | np.ndarray)
        found: list[list] = [[] for _ in penalties] if several else [[]]
        count = max(1, min(TOGETHER, ROWS // beam_width))
        for start in range(0, len(keras.tree.flatten(features)[0]), count):
            state = self.initial_state(keras.tree.map_structure(itemgetter(slice(start, start + count)), features))
            part = decoding.beam_search(self.step, state, beam_width=beam_width, **options)
            for captions, more in zip(found, part if several else [part], strict=True):
                captions += more
        return found if several else found[0]

    @cached_property
    def chosen(self) -> dict:
        """What the validation pictures chose, from scores.json, see `read_chosen`; without scores, the usual."""
        return read_chosen(self.folder / "scores.json", self.tokenizer)

    def options(self, beam_width: int) -> dict:
        """Return what `decode` is given for any beam width: width, length penalty, the words that fall once at most."""
        once = decoding.once_mask(self.tokenizer, self.chosen["may_repeat"])
        return {"beam_width": beam_width, "length_penalty": penalty_for(self.chosen, beam_width), "once": once}

    def decode_chosen(
        self, features: Features, beam_width: int, return_all: bool = False, consensus: bool = False
    ) -> list:
        """Caption pictures as the validation pictures chose for a beam width; so does `caption`.

        `consensus` reranks the beam by the captions of train pictures with similar features.
        """
        found = self.decode(features, **self.options(beam_width), return_all=return_all or consensus)
        if not consensus:
            return found
        rule = self.consensus
        seen = features[rule["encoder"]] if isinstance(features, Mapping) else features
        nearest = self.neighbors.nearest(seen, rule["k"])
        similar = self.neighbors.similarity(found, self.tokenizer, nearest)
        ranked = [decoding.rerank(*pair, rule["k"], rule["mix"]) for pair in zip(found, similar, strict=True)]
        return ranked if return_all else [captions[0] for captions in ranked]

    @property
    def consensus(self) -> dict:
        """How validation chose to rerank; a BundleError where it has not."""
        if (rule := self.chosen["consensus"]) is None:
            raise BundleError(f"{self.folder} has no consensus reranking: run {EVALUATION}, which chooses it.")
        if rule["encoder"] not in self.encoder_names:
            raise BundleError(
                f"{self.folder / 'scores.json'} reranks with features of {rule['encoder']}, which {self.name} does "
                f"not see. Run {EVALUATION} again."
            )
        return rule

    @cached_property
    def neighbors(self) -> Neighbors:
        """The train pictures that `consensus` looks at: from the file beside the folder, or in a packed model.

        A BundleError where the file is not there, damaged, or another than that chosen with.
        """
        rule, packed = self.consensus, packed_of(self.folder)
        file = self.folder / NEIGHBORS if packed else file_of(self.folder.parent, rule["encoder"], rule["neighbors"])
        way_out = (
            "Pack it again with `python -m captioning pack --consensus`." if packed else f"Run {EVALUATION} again."
        )
        try:
            found = Neighbors.from_arrays(packed.arrays(NEIGHBORS), file) if packed else Neighbors.read(file)
        except FileNotFoundError as error:
            raise BundleError(f"{file} is missing, which consensus reranking needs. {way_out}") from error
        except DamagedError as error:
            raise BundleError(f"{error} {way_out}") from error
        if found.digest != rule["neighbors"]:
            raise BundleError(f"{file} is another one than {self.name} was evaluated with. {way_out}")
        return found

    def caption(
        self, pictures: Picture | Iterable[Picture], n: int = 1, beam: int | None = None, **options: Any
    ) -> Answer | list[Answer]:
        """Caption pictures, with the options of `captions`.

        Returns:
            An answer for one picture; a list of them for several, also for a list of one, a folder, none at all.
        """
        answers: list[Any] = list(self.captions(pictures, n, beam, **options))
        return answers[0] if is_one(pictures) else answers

    def captions(
        self,
        pictures: Picture | Iterable[Picture],
        n: int = 1,
        beam: int | None = None,
        attention: bool = False,
        consensus: bool = False,
        keep_errors: bool = False,
    ) -> Iterator[Answer | ImageError]:
        """Yield an answer per picture, of which only some are in memory: of a generator, there may be thousands.

        Args:
            pictures: one or several, see `images.ACCEPTED`; a TypeError for anything else.
            n: captions per picture, fewer if it finds no more. The first is the same for every `n`; where the beam is
                narrower, the others come from one of width `n`.
            beam: beam width; 1 is greedy; None: what the validation pictures chose.
            attention: whether answers hold where the model looked.
            consensus: whether the captions of train pictures with similar features decide which of the beam is best;
                a BundleError where there is nothing to find a consensus with.
            keep_errors: yield the ImageError of a picture that cannot be read in its place, and caption the others.
        """
        words, rule = len(self.tokenizer), self.consensus if consensus else self.chosen
        width = whole("beam", rule["beam_width"] if beam is None else beam, words)
        wider = max(width, whole("n", n, words))
        if consensus:
            self.neighbors  # noqa: B018 (an error comes before the encoder is built)
        batches = encode_each(pictures, list(self.encoders.values()), keep_errors)
        # The first answers come soon; then decoding takes several batches together, which is faster.
        for count in itertools.chain([1], itertools.repeat(TOGETHER // BATCH)):
            parts = list(itertools.islice(batches, count))
            if not parts:
                return
            each = map(np.concatenate, zip(*(features for _, features in parts), strict=True))
            features = self.features_of(dict(zip(self.encoders, each, strict=True)))
            found = self.decode_chosen(features, width, n > 1, consensus)
            if wider > width:
                others = self.decode_chosen(features, wider, True, consensus)
                found = [[best, *rest] for (best, *_), rest in zip(found, others, strict=True)]
            captions = iter(found)
            for problem in itertools.chain.from_iterable(problems for problems, _ in parts):
                yield problem or answer(next(captions), n, self.tokenizer, self.chosen["confidences"], attention)
