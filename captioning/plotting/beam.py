"""The partial captions of a beam search as a tree."""

from collections.abc import Mapping, Sequence
from itertools import count
from statistics import fmean

from captioning.plotting.drawing import Arrow, Box, draw
from captioning.plotting.figure import Described

LEGEND = "Sums of log-probabilities. Gray: kept. Dotted: dropped. Thick: the result."
WIDE, BESIDE, BELOW = 1.35, 0.66, 0.68  # inches of a box; columns and rows from one to the next


def draw_beam(tree: Mapping[tuple[str, ...], tuple[float, bool]], best: Sequence[str], title: str = "") -> Described:
    """Draw every continuation that a beam search compared, the more probable ones higher up.

    Args:
        tree: words of a partial caption -> the logarithm of its probability, and whether the beam kept it. The caption
            without its last word is there, too, unless it is empty.
        best: the words of the result.
    """
    rows, leaves, result = {}, count(), tuple(best)

    def place(words: tuple[str, ...]) -> float:
        children = sorted((each for each in tree if each[:-1] == words), key=lambda each: -tree[each][0])
        rows[words] = fmean([place(each) for each in children]) if children else next(leaves)
        return rows[words]

    place(())
    boxes, arrows = [], []
    told: dict[bool, list[str]] = {True: [], False: []}
    for words, row in sorted(rows.items(), key=lambda item: (len(item[0]), item[1])):
        total, kept = tree.get(words, (0.0, True))
        look = "dropped" if not kept else "best" if words == result[: len(words)] else "layer"
        spot, label = (BESIDE * len(words), BELOW * row), words[-1] if words else "START"
        boxes.append(Box(" ".join(words), spot, f"{total:.2f}", kind=look, label=label, width=WIDE))
        if words:
            arrows.append(Arrow(" ".join(words[:-1]), " ".join(words)))
            told[kept].append(f"{' '.join(words)} {total:.2f}")
    parts = f"Result: {' '.join(result)}.", f"Kept: {'; '.join(told[True])}.", f"Dropped: {'; '.join(told[False])}."
    return draw(title or "Beam search", boxes, arrows, legend=LEGEND, told=" ".join(parts))
