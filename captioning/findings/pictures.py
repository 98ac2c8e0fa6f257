"""What an encoder sees of pictures, and what its vectors keep of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from captioning.datasets.dataset import Record
from captioning.findings.data import numbered, percent, shared_words
from captioning.findings.finding import Finding, claim
from captioning.words import tokenize

CONTRAST = 0.75  # of its own: with less, an encoder does not see what it was made for
RANDOM = 10  # random train pictures that each picture is compared with
ERRORS = 2  # standard errors from which on a difference is told as one


def contrast(own: np.ndarray, other: np.ndarray, features: np.ndarray, others: np.ndarray) -> Finding:
    """Tell whether another preprocessing shows an encoder less contrast than its own, and what that does to vectors.

    Args:
        own: what the encoder sees, (pictures, size, size, 3).
        other: what it sees with the other preprocessing.
        features: what it makes of its own, (pictures, regions, channels).
        others: what it makes of the other one.
    """
    share = float(other.std() / max(own.std(), 1e-12))
    even = ", an almost even color" if share < 0.02 else ""
    text = f"values spread by {other.std():.3g} instead of {own.std():.3g}, {share:.1%} of its own contrast{even}."
    if len(features) > 1:
        before, after = (f"{_mean_cosine(each.mean(axis=1)):.3f}" for each in (features, others))
        change = "as" if before == after else "more" if float(after) > float(before) else "less"
        text += f" The vectors of different pictures are {change} alike: mean cosine {after}, with its own {before}."
    return claim(share < CONTRAST, text, "The encoder loses no contrast in this way.")


def _mean_cosine(vectors: np.ndarray) -> float:
    """Return the mean cosine of all pairs of different vectors, (vectors, channels)."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return float((unit @ unit.T)[np.triu_indices(len(unit), 1)].mean())


def speed(encoding: float, reading: float, pictures: int) -> Finding:
    """Tell what keeping the features saves.

    Args:
        encoding: pictures per second through the encoder, as measured.
        reading: pictures per second from the disk, as measured.
        pictures: that an epoch reads.
    """
    return Finding(
        f"Measured in this run: {encoding:,.1f} pictures per second through the encoder, {reading:,.0f} from the disk. "
        f"One pass over {numbered(pictures, 'train picture')} takes {_seconds(pictures / encoding)} of encoding, or "
        f"{_seconds(pictures / reading)} of reading."
    )


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s"


def scales(deviation: np.ndarray) -> Finding:
    """Tell how far apart the deviations of the channels are; (channels,)."""
    low, high = np.percentile(deviation, [5, 95])
    spread = high / max(low, 1e-12)
    return Finding(
        f"Nine tenths of the {numbered(len(deviation), 'channel')} have a deviation from {low:.3g} to {high:.3g}, a "
        f"factor of {spread:,.1f}: {'far apart' if spread >= 10 else 'close together'}."
    )


def similar(records: Sequence[Record], similarities: np.ndarray) -> Finding:
    """Tell the most and the least similar pair, and whether pictures of one place are closer where that is known.

    Args:
        records: of the pictures shown.
        similarities: (pictures, pictures) cosines.
    """
    pairs = sorted(combinations(range(len(records)), 2), key=lambda pair: -similarities[pair])
    if not pairs:
        return Finding("One picture has nothing to be compared with.")
    told = [
        f"{extreme} similar ({similarities[pair]:.2f}): {_named(records[pair[0]])} and {_named(records[pair[1]])}."
        for extreme, pair in (("Most", pairs[0]), ("Least", pairs[-1]))[: len(pairs)]
    ]
    if all(record.truth for record in records):
        same = [records[one].truth["place"] == records[other].truth["place"] for one, other in pairs]
        values = np.array([similarities[pair] for pair in pairs])
        if any(same) and not all(same):
            means = values[same].mean(), values[np.logical_not(same)].mean()
            told.append(
                f"{numbered(sum(same), 'pair')} of one place: {means[0]:.2f} on average; of different places "
                f"{means[1]:.2f}. Pictures of one place are {'closer' if means[0] > means[1] else 'not closer'}."
            )
    return Finding(" ".join(told))


def neighbors(asked: Sequence[Record], nearest: Sequence[Sequence[Record]], train: Sequence[Record]) -> Finding:
    """Tell what pictures share with their nearest train pictures, and with random ones.

    Args:
        asked: the pictures.
        nearest: for each the train pictures with the most similar vectors.
        train: what they were chosen from.
    """
    drawn = np.random.default_rng(0).integers(len(train), size=(len(asked), RANDOM))
    others = [[train[index] for index in row] for row in drawn]
    words = _words_of([*asked, *train])
    shared = {"words of their captions": lambda a, b: shared_words(words[a.image_id], words[b.image_id])}
    if all(record.truth for record in asked):
        shared |= {kind: _of(kind) for kind in _KINDS}
    told, gained = [], {}
    for what, measure in shared.items():
        near, chance = _shares(asked, nearest, measure), _shares(asked, others, measure)
        doubt = _doubt(near - chance)
        told.append(f"{what} {percent(near.mean())} ({percent(chance.mean())}{doubt})")
        gained[what] = (near.mean() - chance.mean()) / max(1 - chance.mean(), 1e-12)  # of what chance leaves open
    text = f"{numbered(len(asked), 'validation picture')}, {numbered(len(nearest[0]), 'nearest train picture')} each. "
    text += f"What they share, in brackets with random train pictures: {'; '.join(told)}."
    if len(shared) == 1:  # no truth is known
        (gain,) = gained.values()
        verdict = "" if doubt else f" That is {'more' if gain > 0 else 'less'} than random pictures share."
        return Finding(text + verdict)
    best, *_, worst = sorted(("place", "object", "color"), key=lambda kind: -gained[kind])
    return Finding(f"{text} Over chance, that is most for the {best} and least for the {worst}.")


_KINDS = {
    "place": lambda truth: {truth["place"]},
    "object": lambda truth: {thing["object"] for thing in truth["objects"]},
    "color": lambda truth: {thing["colour"] for thing in truth["objects"]},
    "object with its color": lambda truth: {(thing["object"], thing["colour"]) for thing in truth["objects"]},
}


def _of(kind: str) -> Callable[[Record, Record], float]:
    """Return the share of what a picture shows that another one shows, too."""
    names = _KINDS[kind]
    return lambda one, other: len(names(one.truth) & names(other.truth)) / max(1, len(names(one.truth)))


def _shares(asked: Sequence[Record], found: Sequence[Sequence[Record]], measure: Callable) -> np.ndarray:
    """Return the mean of a measure for each picture: (pictures,)."""
    return np.array([np.mean([measure(one, other) for other in row]) for one, row in zip(asked, found, strict=True)])


def _words_of(records: Sequence[Record]) -> dict[int | str, set[str]]:
    return {r.image_id: {word for caption in r.captions for word in tokenize(caption)} for r in records}


def _doubt(differences: np.ndarray) -> str:
    """Return what to add where a mean of differences, one for each picture, may be chance."""
    if len(differences) < 2:
        return ", too few pictures to tell"
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return ", within the range of chance" if abs(differences.mean()) <= ERRORS * error else ""


def _named(record: Record) -> str:
    return f'"{textwrap.shorten(record.captions[0].rstrip(" ."), 50, placeholder=" ...")}"'
