"""What an encoder sees of pictures, and what its vectors keep of them."""

import textwrap
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from captioning.datasets.records import Record
from captioning.findings.data import shared_words
from captioning.findings.finding import Finding, claim
from captioning.findings.wording import counted, listed, percent
from captioning.metrics.controls import Estimate
from captioning.words import tokenize

CONTRAST = 0.75  # of its own: with less, an encoder does not see what it was made for
RANDOM = 10  # random train pictures that each picture is compared with


def contrast(own: np.ndarray, other: np.ndarray, features: np.ndarray, others: np.ndarray) -> Finding:
    """Tell whether another preprocessing shows an encoder less contrast than its own, and what that does to vectors.

    Args:
        own, other: what the encoder sees, (pictures, size, size, 3), with either preprocessing.
        features, others: what it makes of them, (pictures, regions, channels).
    """
    share = round(float(other.std() / max(own.std(), 1e-12)), 6)
    even = ", an almost uniform color" if share < 0.02 else ""
    text = f"values spread by {other.std():.3g} instead of {own.std():.3g}, {percent(share)} of its own contrast{even}."
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
        encoding, reading: pictures per second through the encoder and from the disk, as measured.
        pictures: that an epoch reads.
    """
    encoded, read = (f"{time:,.0f} s" if (time := pictures / rate) >= 10 else f"{time:.2g} s"
                     for rate in (encoding, reading))  # fmt: skip
    return Finding(
        f"Measured in this run: {encoding:,.1f} pictures per second through the encoder, {reading:,.0f} from the disk. "
        f"At these rates, one pass over {counted(pictures, 'train picture')} takes {encoded} of encoding, or {read} of "
        "reading."
    )


def scales(deviation: np.ndarray) -> Finding:
    """Tell how far apart the deviations of the channels are; (channels,)."""
    low, high = np.percentile(deviation, [5, 95])
    spread = high / max(low, 1e-12)
    return Finding(
        f"Nine tenths of the {counted(len(deviation), 'channel')} have a deviation from {low:.3g} to {high:.3g}, a "
        f"factor of {spread:,.1f}: {'far apart' if spread >= 10 else 'close together'}."
    )


def similar(records: Sequence[Record], similarities: np.ndarray) -> Finding:
    """Tell the most and the least similar pair by cosine, and whether pictures of one place are closer if known."""
    pairs = sorted(combinations(range(len(records)), 2), key=lambda pair: -similarities[pair])
    if not pairs:
        return Finding("A single picture has nothing to be compared with.")
    told = [
        f"{extreme} similar ({similarities[pair]:.2f}): {_named(records[pair[0]])} and {_named(records[pair[1]])}."
        for extreme, pair in (("Most", pairs[0]), ("Least", pairs[-1]))[: len(pairs)]
    ]
    places = [record.truth["place"] for record in records if record.truth]
    if len(places) == len(records):
        groups: dict[bool, list[float]] = {True: [], False: []}
        for one, other in pairs:
            groups[places[one] == places[other]].append(similarities[one, other])
        if all(groups.values()):
            same, different = (round(float(np.mean(values)), 2) for values in groups.values())  # as shown
            told.append(
                f"{counted(len(groups[True]), 'pair')} of one place: {same:.2f} on average; of different places "
                f"{different:.2f}. Pictures of one place are {'closer' if same > different else 'not closer'}."
            )
    return Finding(" ".join(told))


def _named(record: Record) -> str:
    return f'"{textwrap.shorten(record.captions[0].rstrip(" ."), 50, placeholder=" …")}"'


def neighbors(asked: Sequence[Record], nearest: Sequence[Sequence[Record]], train: Sequence[Record]) -> Finding:
    """Tell what pictures share with their nearest train pictures, and with random ones.

    Args:
        asked: the pictures.
        nearest: for each the train pictures with the most similar vectors.
        train: what they were chosen from.
    """
    drawn = np.random.default_rng(0).integers(len(train), size=(len(asked), RANDOM))
    others = [[train[index] for index in row] for row in drawn]
    groups: dict[str, list[str]] = {}
    told = []
    for what, measure in _measures([*asked, *train], all(record.truth for record in asked)).items():
        near, chance = (
            np.array([np.mean([measure(one, other) for other in row]) for one, row in zip(asked, found, strict=True)])
            for found in (nearest, others)
        )
        told.append(f"{what} {percent(near.mean())} ({percent(chance.mean())})")
        groups.setdefault(_against_chance(near - chance), []).append(what)
    said = "; ".join(f"{group}: {listed(names)}" for group, names in groups.items())
    return Finding(
        f"{counted(len(asked), 'validation picture')}, {counted(len(nearest[0]), 'nearest train picture')} each. What "
        f"they share (in parentheses: with random train pictures): {'; '.join(told)}. {said.capitalize()}."
    )


def _measures(records: Sequence[Record], known: bool) -> dict[str, Callable[[Record, Record], float]]:
    """Return what is compared -> the share of it that two pictures have in common."""
    words = {record.image_id: {word for text in record.captions for word in tokenize(text)} for record in records}
    kinds = {
        "place": lambda truth: {truth["place"]},
        "object": lambda truth: {thing["object"] for thing in truth["objects"]},
        "color": lambda truth: {thing["colour"] for thing in truth["objects"]},
        "object with its color": lambda truth: {(thing["object"], thing["colour"]) for thing in truth["objects"]},
    }

    def of(names: Callable) -> Callable[[Record, Record], float]:
        return lambda one, other: len(names(one.truth) & names(other.truth)) / max(1, len(names(one.truth)))

    in_captions = {"words of captions": lambda one, other: shared_words(words[one.image_id], words[other.image_id])}
    return in_captions | {kind: of(names) for kind, names in kinds.items() if known}


def _against_chance(differences: np.ndarray) -> str:
    """Tell whether the mean of differences, one for each picture, is more than chance gives."""
    if len(differences) < 2:
        return "too few pictures to tell"
    sign = Estimate.of(differences).sign
    return ("within the range of chance", "more than with random pictures", "less than with random pictures")[sign]
