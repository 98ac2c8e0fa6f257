"""What attention weights show, and whether captions depend on the picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from captioning import evaluation
from captioning.datasets.dataset import Record
from captioning.findings.finding import Finding
from captioning.findings.wording import counted
from captioning.metrics import CiderD, attention, shuffled_cider
from captioning.metrics.attention import Estimate
from captioning.metrics.references import ImageId

EVEN = 1.2  # largest weight times regions: below, maps are called even
CLEAR = 0.1  # share of CIDEr that shuffling takes away: below, captions do not depend on the picture


def looking(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> Finding:
    """Tell how much weight is in the box of the thing that a word names, and how sharp and how different maps are.

    Args:
        records: of the pictures.
        words: of one caption for each.
        maps: the weights of each caption, (words, regions), rows summing to 1.
    """
    measured = attention.inside(records, words, maps)
    if measured is None:
        text = "No word names a thing whose place is known, so that nothing can be said of where the weight should be."
        return Finding(f"{text} {_sharpness(maps)}")
    text = (
        f"{counted(measured.pictures, 'caption')} {'names' if measured.pictures == 1 else 'name'} what is there, "
        f"{counted(measured.words, 'time')} in all. At such a name {_share(measured.inside)} of the weight is inside "
        f"the box of the thing. The box covers {_share(measured.area)} of the picture: the name looks there "
        f"{_than(measured.over_area)} an even look would. Other words of the caption put {_share(measured.others)} "
        f"there: the name looks there {_than(measured.over_others)} they do."
    )
    text += " (95% intervals in parentheses.)" if "(" in text else ""
    return Finding(f"{text} {_sharpness(maps)}")


def looks(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> Finding:
    """Tell of each caption how much weight is in the boxes of what it names, and which word has the sharpest map.

    Args:
        records: of the pictures.
        words: of one caption for each.
        maps: the weights of each caption, (words, regions), rows summing to 1.
    """
    return Finding(" ".join(_looks(*caption) for caption in zip(records, words, maps, strict=True)))


def _looks(record: Record, words: Sequence[str], weights: np.ndarray) -> str:
    if not len(words):
        return "An empty caption looks nowhere."
    parts = []
    for number, box in attention.boxes_of(record, words).items():
        inside, area = attention.share_inside(weights[number], box), (box[2] - box[0]) * (box[3] - box[1])
        place = f"at word {number + 1}, “{words[number]}”"
        parts.append(f"{place}, {inside:.0%} of the weight is in the box, which is {area:.0%} of the picture")
    largest = weights.max(axis=1) * weights.shape[1]
    sharpest = int(largest.argmax())
    parts.append(
        f"the sharpest map is that of word {sharpest + 1}, “{words[sharpest]}”: its largest weight is "
        f"{largest[sharpest]:.1f} times that of an even look"
    )
    return f"In “{textwrap.shorten(' '.join(words), 60, placeholder=' …')}”: {'; '.join(parts)}."


def right_and_wrong(records: Sequence[Record], texts: Sequence[str]) -> tuple[list[int], Finding]:
    """Choose the first right and the first wrong caption; the first two where that cannot be checked.

    Args:
        records: of the pictures.
        texts: one caption for each.

    Returns:
        The numbers of the chosen pictures, counted from 0, and how they were chosen.
    """
    checks = [evaluation.check(record, text) for record, text in zip(records, texts, strict=True)]
    if not any(checks):
        chosen = list(range(min(2, len(records))))
        shown = "the first two are shown" if len(chosen) == 2 else "the only one is shown"
        return chosen, Finding(f"Which of these captions are right cannot be checked: {shown}.")
    kinds = {"right": "✓", "wrong": "✗"}
    numbers = {name: [n for n, check in enumerate(checks) if check.startswith(mark)] for name, mark in kinds.items()}
    of = f"Of {counted(len(records), 'caption')} "
    parts = [f"{len(found)} {'is' if len(found) == 1 else 'are'} {name}" for name, found in numbers.items()]
    found = {name: of_kind[0] for name, of_kind in numbers.items() if of_kind}
    shown = " and ".join(f"the first {name} one" for name in found)
    follow = "follow" if len(found) == 2 else "follows"
    return list(found.values()), Finding(f"{of}{' and '.join(parts)}. {shown.capitalize()} {follow}.")


def evenness(maps: Sequence[np.ndarray]) -> Finding:
    """Tell how far the maps of some captions are from an even look, largest weight times regions.

    Args:
        maps: the weights of each caption, (words, regions).
    """
    largest = [float(weights.max()) * weights.shape[1] for weights in maps if len(weights)]
    if not largest:
        return Finding("All captions are empty: there is no look to measure.")
    text = f"The largest weight is up to {max(largest):.2f} times that of an even look"
    if max(largest) < EVEN:
        return Finding(f"{text}: the decoder looks everywhere alike.")
    return Finding(f"{text}: it looks unevenly.")


def depends(cider: CiderD, results: Mapping[ImageId, str]) -> Finding:
    """Tell how much of a score is left when the captions are shuffled among the pictures.

    Args:
        cider: fitted to the references of the pictures.
        results: image id -> caption.
    """
    score, _ = cider.score(results)
    if len(results) < 2:
        return Finding(f"CIDEr {score:.3f} on one picture: there is no other one to give its caption to.")
    shuffled = shuffled_cider(cider, results)
    text = f"CIDEr {score:.3f}; with the captions shuffled among the {len(results)} pictures {shuffled:.3f}."
    if shuffled > (1 - CLEAR) * score or not score:
        return Finding(f"{text} These captions fit other pictures as well as their own.")
    return Finding(f"{text} {1 - shuffled / score:.0%} of the score needs the right picture.")


def _sharpness(maps: Sequence[np.ndarray]) -> str:
    maps = [weights for weights in maps if len(weights)]
    if not maps:
        return "All captions are empty: there is no map."
    sharpest = np.mean([weight for weights in maps for weight in weights.max(axis=1) * weights.shape[1]])
    text = f"On average the largest weight of a word is {sharpest:.1f} times that of an even look"
    if several := [weights for weights in maps if len(weights) > 1]:
        # Half the sum of absolute differences: the weight that has to move to turn one map into the other.
        moved = [np.abs(np.diff(weights, axis=0)).sum(axis=1).mean() / 2 for weights in several]
        text += f", and {np.mean(moved):.0%} of the weight moves from a word of a caption to the next"
    return f"{text}."


def _share(estimate: Estimate) -> str:
    interval = f" ({estimate.low:.0%} to {estimate.high:.0%})" if estimate.low < estimate.high else ""  # of one picture
    return f"{estimate.mean:.0%}{interval}"


def _than(difference: Estimate) -> str:
    if difference.low > 0:
        return "more than"
    return "less than" if difference.high < 0 else "neither clearly more nor clearly less than"
