"""ROUGE-L (Lin 2004) as coco-caption computes it."""

from collections.abc import Sequence

BETA = 1.2


def rouge_l(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Score one caption, in [0, 1], by its longest common subsequence with each reference.

    Precision and recall are each the best over the references (they may come from different ones), joined to
    an F score that weighs recall beta = 1.2 times as much.

    Args:
        candidate: tokens; an empty caption scores 0.
        references: one list of tokens or more.
    """
    if not candidate:
        return 0.0
    places: dict[str, int] = {}
    for place, token in enumerate(candidate):
        places[token] = places.get(token, 0) | 1 << place
    common = [_common_length(places, len(candidate), reference) for reference in references]
    precision = max(common) / len(candidate)
    recall = max(length / max(len(reference), 1) for length, reference in zip(common, references, strict=True))
    if not precision:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common_length(places: dict[str, int], length: int, other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, all of one row of the usual table at a time.

    Bit i of `row` is 0 where the table's row grows from column i to i + 1 (Crochemore et al. 2001, "A fast and
    practical bit-vector algorithm for the longest common subsequence problem").
    """
    full = (1 << length) - 1
    row = full
    for token in other:
        matches = row & places.get(token, 0)
        row = (row + matches | row - matches) & full
    return length - row.bit_count()
