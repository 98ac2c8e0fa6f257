"""What attention weights show, and whether captions depend on the picture."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from captioning.datasets.records import Record
from captioning.evaluation import check
from captioning.findings.finding import NO_TRUTH, Finding
from captioning.findings.wording import counted, listed, percent
from captioning.metrics import CiderD, attention, shuffled_cider
from captioning.metrics.controls import Estimate
from captioning.metrics.references import ImageId

EVEN = 1.2  # largest weight times regions: below, maps are called even
SAME = 0.9  # share of their weight that heads have in common: above, they are called alike
CLEAR = 0.1  # share of CIDEr that shuffling takes away: below, captions do not depend on the picture


def looking(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> Finding:
    """Tell how much weight is in the box of the thing that a word names, and how sharp and how different maps are.

    Args:
        records, words: the pictures, and the words of one caption for each.
        maps: the weights of each caption, (words, regions), rows summing to 1.
    """
    measured = attention.inside(records, words, maps)
    if measured is None:
        return Finding(f"No word names an object whose position is known. {_sharpness(maps)}")
    inside = measured.inside
    interval = f" (95 % interval {percent(inside.low, 0)} to {percent(inside.high, 0)})"
    names = f"{counted(measured.words, 'name')} of objects that are there"
    return Finding(
        f"In {counted(measured.pictures, 'caption')} with {names}, {percent(inside.mean, 0)}"
        f"{interval if inside.low < inside.high else ''} of the weight at a name is in the box of its object: "
        f"{_than(measured.over_area)} an even look puts there ({percent(measured.area.mean, 0)}), "
        f"{_than(measured.over_others)} other words of the caption do ({percent(measured.others.mean, 0)}). "
        f"{_sharpness(maps)}"
    )


def looks(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> Finding:
    """Tell of each caption how much weight is in the boxes of what it names, and which word has the sharpest map.

    The arguments are those of `looking`.
    """
    return Finding(" ".join(_looks(*caption) for caption in zip(records, words, maps, strict=True)))


def _looks(record: Record, words: Sequence[str], weights: np.ndarray) -> str:
    if not len(words):
        return "An empty caption looks nowhere."
    parts = []
    for number, box in attention.boxes_of(record, words).items():
        inside, area = attention.share_inside(weights[number], box), (box[2] - box[0]) * (box[3] - box[1])
        weight = f"{percent(inside, 0)} of the weight is in the box, which is {percent(area, 0)} of the picture"
        parts.append(f"at word {number + 1}, “{words[number]}”, {weight}")
    largest = _largest(weights)
    sharpest = int(largest.argmax())
    parts.append(f"word {sharpest + 1}, “{words[sharpest]}”, has the sharpest map (×{largest[sharpest]:.1f})")
    return f"In “{textwrap.shorten(' '.join(words), 60, placeholder=' …')}”: {'; '.join(parts)}."


def heads(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> Finding:
    """Tell how sharp each head looks, how much heads have in common, and which one looks most at what is named.

    Args:
        records, words: the pictures, and the words of one caption for each.
        maps: the weights of one block as each word was chosen, (words, heads, regions), rows summing to 1.
    """
    with_words = [weights for weights in maps if len(weights)]
    if not with_words:
        return Finding("All captions are empty: there is no map.")
    every = np.concatenate(with_words)  # (words of all captions, heads, regions)
    sharp = every.max(axis=2).mean(axis=0) * every.shape[2]
    told = listed(f"×{value:.1f} of head {number}" for number, value in enumerate(sharp, start=1))
    text = f"Mean of the largest weight of a word, in multiples of an even look: {told}."
    if pairs := list(combinations(range(every.shape[1]), 2)):
        # The smaller of two weights, summed: 1 for equal maps, 0 for maps without a region in common.
        common = np.mean([np.minimum(every[:, one], every[:, other]).sum(axis=1).mean() for one, other in pairs])
        verdict = "the heads look alike" if common > SAME else "the heads divide the work"
        text += f" Two heads have {percent(common, 0)} of their weight in common at a word: {verdict}."
    return Finding(text + _most_inside(records, words, maps))


def _most_inside(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> str:
    """Name the head with the most weight in the boxes of what is named; nothing where no box is known."""
    heads = range(maps[0].shape[1])
    found = (attention.inside(records, words, [weights[:, head] for weights in maps]) for head in heads)
    if not (measured := [head for head in found if head]):
        return ""
    inside = [head.inside.mean for head in measured]
    most = int(np.argmax(inside))
    return (
        f" At the names of objects that are there, head {most + 1} has the most weight in the box, "
        f"{percent(inside[most], 0)}; the mean of the heads is {percent(float(np.mean(inside)), 0)}, an even look has "
        f"{percent(measured[0].area.mean, 0)}."
    )


def right_and_wrong(records: Sequence[Record], texts: Sequence[str]) -> tuple[list[int], Finding]:
    """Choose the first right and the first wrong caption; the first two where that cannot be checked.

    Returns:
        The numbers of the chosen pictures, counted from 0, and how they were chosen.
    """
    checks = [check(record, text) for record, text in zip(records, texts, strict=True)]
    if not any(checks):
        chosen = list(range(min(2, len(records))))
        return chosen, Finding(f"{NO_TRUTH} Shown: the {'first two' if len(chosen) == 2 else 'only one'}.")
    marks = [mark[0] for mark in checks]
    first = {name: marks.index(mark) for name, mark in (("right", "✓"), ("wrong", "✗")) if mark in marks}
    shown = listed(f"the first {name} one" for name in first)
    right = f"Right: {marks.count('✓')} of {counted(len(marks), 'caption')}."
    return list(first.values()), Finding(f"{right} Shown: {shown}.")


def evenness(maps: Sequence[np.ndarray]) -> Finding:
    """Tell how far maps, (words, regions) of each caption, are from an even look: largest weight times regions."""
    largest = [_largest(weights).max() for weights in maps if len(weights)]
    if not largest:
        return Finding("All captions are empty: there is no look to measure.")
    verdict = "the decoder looks everywhere alike" if max(largest) < EVEN else "it looks unevenly"
    return Finding(f"The largest weight is up to {max(largest):.2f} times that of an even look: {verdict}.")


def depends(cider: CiderD, results: Mapping[ImageId, str]) -> Finding:
    """Tell how much CIDEr is left when the captions, image id -> text, are shuffled among the pictures."""
    score, _ = cider.score(results)
    if len(results) < 2:
        return Finding(f"CIDEr {score:.3f} on one picture: there is no other one to give its caption to.")
    shuffled = shuffled_cider(cider, results)
    text = f"CIDEr {score:.3f}; with the captions shuffled among the {len(results)} pictures {shuffled:.3f}."
    if shuffled > (1 - CLEAR) * score or not score:
        return Finding(f"{text} These captions fit other pictures as well as their own.")
    return Finding(f"{text} {percent(1 - shuffled / score, 0)} of the score needs the right picture.")


def _largest(weights: np.ndarray) -> np.ndarray:
    """Return the largest weight of each word in multiples of an even look: (words,)."""
    return weights.max(axis=1) * weights.shape[1]


def _sharpness(maps: Sequence[np.ndarray]) -> str:
    maps = [weights for weights in maps if len(weights)]
    if not maps:
        return "All captions are empty: there is no map."
    sharpest = np.concatenate([_largest(weights) for weights in maps]).mean()
    text = f"On average the largest weight of a word is {sharpest:.1f} times that of an even look"
    # Half the sum of absolute differences: the weight that has to move to turn one map into the next.
    moved = [np.abs(np.diff(weights, axis=0)).sum(axis=1).mean() / 2 for weights in maps if len(weights) > 1]
    if moved:
        text += f", and {percent(np.mean(moved), 0)} of the weight moves from a word of a caption to the next"
    return f"{text}."


def _than(difference: Estimate) -> str:
    return ("neither clearly more nor clearly less than", "more than", "less than")[difference.sign]
