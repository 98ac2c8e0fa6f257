"""What validation pictures choose: how captions are searched, how a beam is reranked, which models caption together."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from captioning import decoding, metrics
from captioning.bundle import Bundle, Ensemble
from captioning.bundle.chosen import penalty_for
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.evaluation.kept import KeptCaptions
from captioning.evaluation.near import NearPictures
from captioning.evaluation.scoring import references_of
from captioning.features import FeatureStore
from captioning.words import tokenize

# Beam width -> length penalties, which share one search. Width 1 without penalty is greedy decoding: with one, the
# search would go past the first END, and a longer caption could win.
DECODINGS = {1: (0.0,), 3: (0.7, 1.0), 5: (0.7, 1.0)}
BEAM = 10  # captions that a consensus is found among
NEIGHBORS = (20, 5, 60)  # the usual first, which another has to beat by more than chance, as with the mixes
MIXES = (0.25, 0.0, 1.0, 4.0)  # weights of the log-probability per word
MOST = 6  # members of an ensemble


def choose_decoding(kept: KeptCaptions, val: Sequence[Record], dataset: CaptionDataset) -> dict:
    """Return the decoding with the highest CIDEr on validation pictures; the test split has no say in it.

    All are tried with words of content once at most; the best of them also without that limit.

    The train captions tell which words people say twice.

    Returns:
        `beam_width`, `length_penalty`, `may_repeat` (the words that a caption may hold twice; None: all) and
        `validation_CIDEr`; `tried`, a row for each; `confidences`, the mean log-probabilities per word of the
        validation captions in ascending order.
    """
    cider, tokenizer = metrics.CiderD(references_of(val)), kept.captioner.tokenizer
    known = set(tokenizer.vocabulary)
    some = [word for word in dataset.once("train", _may_repeat) if word in known]
    tried, found = [], []

    def search(width: int, penalties: Sequence[float], may_repeat: list[str] | None) -> dict:
        for penalty, captions in zip(penalties, kept.best(val, width, penalties, may_repeat), strict=True):
            row = {"beam_width": width, "length_penalty": penalty, "words_once": may_repeat is not None}
            tried.append(row | {"validation_CIDEr": cider.score(kept.texts(val, captions))[0]})
            found.append(captions)
        return max(tried, key=lambda row: row["validation_CIDEr"])

    for width, penalties in DECODINGS.items():
        best = search(width, penalties, some)
    best = search(best["beam_width"], [best["length_penalty"]], None)
    chosen = {name: value for name, value in best.items() if name != "words_once"}
    return chosen | {
        "may_repeat": some if best["words_once"] else None,
        "tried": tried,
        "confidences": sorted(round(caption.per_word, 4) for caption in found[tried.index(best)]),
    }


def _may_repeat(captions: Sequence[str]) -> list[str]:
    """Return `decoding.may_repeat` of train captions."""
    return decoding.may_repeat(map(tokenize, captions))


class Consensus:
    """The beams of some pictures and how similar their captions are to those of the nearest train pictures."""

    def __init__(self, kept: KeptCaptions, near: NearPictures, records: Sequence[Record], encoder: str, chosen: dict):
        """Search the beams as `choose_decoding` chose, and compare them with pictures near in an encoder's features."""
        (self.beams,) = kept.beams(records, BEAM, [penalty_for(chosen, BEAM)], chosen["may_repeat"])
        self._kept, self._records, self._neighbors = kept, records, near.neighbors(encoder)
        self.nearest = near.nearest(encoder, records)
        self.similarities = self.similarity_to(self.nearest)

    def similarity_to(self, nearest: np.ndarray) -> list[np.ndarray]:
        """Return how similar candidates are to train pictures (pictures, most): (candidates, most) of each picture."""
        return self._neighbors.similarity(self.beams, self._kept.captioner.tokenizer, nearest)

    def captions(self, k: int, mix: float, similarities: Sequence[np.ndarray] | None = None) -> dict[int | str, str]:
        """Return image id -> the caption that `decoding.rerank` puts first."""
        similarities = self.similarities if similarities is None else similarities
        ranked = (decoding.rerank(*pair, k, mix) for pair in zip(self.beams, similarities, strict=True))
        return self._kept.texts(self._records, [captions[0] for captions in ranked])

    def candidates(self) -> list[dict[int | str, str]]:
        """Return image id -> caption for each place of the beam; where a beam is shorter, its last caption again."""
        places = ([beam[min(place, len(beam) - 1)] for beam in self.beams] for place in range(BEAM))
        return [self._kept.texts(self._records, captions) for captions in places]

    def oracle(self) -> float:
        """Return the mean CIDEr of the best caption of each beam, as if somebody knew which it is."""
        cider = metrics.CiderD(references_of(self._records))
        return float(np.max([cider.score(texts)[1] for texts in self.candidates()], axis=0).mean())


def choose_consensus(kept: KeptCaptions, near: NearPictures, val: Sequence[Record], chosen: dict) -> dict:
    """Return how a beam is reranked: as usual, unless another way is clearly better on validation pictures.

    The cells of k and mix are so alike that the best of them is mostly luck: chosen on one half of the validation
    pictures, it gave the other half 0.011 CIDEr less than the usual one on photos, 0.025 less on scenes. That favors
    the usual one, picked by looking at all of them. Another one is taken only where the 95 % interval of its lead is
    above 0.

    Returns:
        `beam_width`, `k` train pictures, weight `mix` of the log-probability, `encoder`, digest of the `neighbors`,
        `validation_CIDEr`.
    """
    cider = metrics.CiderD(references_of(val))
    cells: list[tuple[dict[str, Any], np.ndarray]] = []
    for encoder in kept.captioner.encoder_names:
        consensus = Consensus(kept, near, val, encoder, chosen)
        for k, mix in product(NEIGHBORS, MIXES):
            row: dict[str, Any] = {"beam_width": BEAM, "k": k, "mix": mix, "encoder": encoder}
            score, each = cider.score(consensus.captions(k, mix))
            row |= {"neighbors": near.neighbors(encoder).digest, "validation_CIDEr": score}
            cells.append((row, each))
    usual, best = cells[0], max(cells, key=lambda cell: cell[0]["validation_CIDEr"])
    return (best if metrics.paired_bootstrap(best[1], usual[1]).sign > 0 else usual)[0]


def choose_members(
    models: Sequence[Bundle],
    stores: Mapping[str, FeatureStore],
    val: Sequence[Record],
    folder: Path,
    may_repeat: list[str] | None = None,
) -> tuple[list[Bundle], list[dict]]:
    """Choose which models caption together: the first two, three, ... of `models`, whichever do best on validation.

    So the models are compared as one row of sets. Adding or rejecting them one by one compares more often, and takes
    what is luck on a few hundred pictures for a reason. Models with other words than the first are left out.

    Args:
        models: the one with the highest CIDEr on validation pictures first.
        stores, val: the features of their encoders, by name, and validation pictures that have all of them.
        folder: the ensemble's; `tried.json` there keeps the captions.
        may_repeat: the words that a caption may hold twice; None: all.

    Returns:
        The members, and what was tried, in order: `member`, `validation_CIDEr` of all up to it, whether it was `added`.
    """
    cider = metrics.CiderD(references_of(val))
    models = [model for model in models if model.tokenizer == models[0].tokenizer]
    made_from = {model.name: model.made_from for model in models}
    scores = []
    for count in range(1, min(len(models), MOST) + 1):
        if count > 1:
            together = Ensemble(folder, tuple(models[:count]))
            kept = KeptCaptions(together, stores, folder / "tried.json", made_from)
        else:
            kept = KeptCaptions(models[0], stores)
        scores.append(
            max(cider.score(kept.texts(val, each))[0] for each in kept.best(val, 3, DECODINGS[3], may_repeat))
        )
    size = 2 + int(np.argmax(scores[1:])) if len(scores) > 1 else 1
    rows = enumerate(zip(models, scores, strict=False))
    tried = [{"member": m.name, "validation_CIDEr": score, "added": place < size} for place, (m, score) in rows]
    return list(models[:size]), tried
