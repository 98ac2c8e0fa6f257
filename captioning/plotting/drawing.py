"""Drawings of boxes and arrows: what is in them is listed, where they are is a column and a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from captioning.plotting.figure import HEADING, SMALL, Described, Drawn, new_figure, wrapped

COLUMN, ROW = 2.85, 0.92  # inches from the middle of a box to that of the next
WIDTH, LINE = 2.2, 0.185  # inches of a box, and of a line of text in it
MARGIN = 0.35  # inches around all boxes, for arrows that pass beside them
# Told apart by shape and by what is filled, so that they differ in gray too.
LOOKS: dict[str, dict[str, Any]] = {
    "layer": {"boxstyle": "square,pad=0", "fc": "#DDDDDD", "lw": 1.2},
    "step": {"boxstyle": "square,pad=0", "fc": "white", "lw": 1.2},
    "data": {"boxstyle": "round,pad=0,rounding_size=0.2", "fc": "white", "lw": 1.2},
    "dropped": {"boxstyle": "square,pad=0", "fc": "white", "lw": 1.2, "ls": ":"},
    "best": {"boxstyle": "square,pad=0", "fc": "#DDDDDD", "lw": 3.5},
}
LEGEND = "Gray: has weights. White: has none. Round: comes in or goes out."
LATER = " Dashed arrow: kept for the next word."


@dataclass(frozen=True)
class Box:
    """One part of a drawing."""

    name: str  # in bold; arrows and the alt text use it
    place: tuple[float, float]  # column and row, from the upper left
    text: str = ""  # what it does
    shape: tuple[int | str, ...] = ()  # of what comes out of it, without the axis of the batch
    inputs: int = 0  # numbers in each row that its weights take, if it has any
    kind: str = "layer"  # one of `LOOKS`
    label: str = ""  # what is written for its name
    width: float = WIDTH  # inches

    @property
    def size(self) -> str:
        """What goes in and comes out, such as "64 × 2,048 → 64 × 320"."""
        *rows, _ = self.shape or (0,)
        return f"{sizes(*rows, self.inputs)} → {sizes(*self.shape)}" if self.inputs else sizes(*self.shape)

    @property
    def lines(self) -> list[str]:
        """The lines of text in the box."""
        return [line for line in (self.label or self.name, self.text, self.size) if line]

    @property
    def half(self) -> tuple[float, float]:
        """Half of its width and of its height, in inches."""
        return (self.width if len(self.lines) > 1 else 0.5) / 2, (LINE * len(self.lines) + 0.13) / 2

    @property
    def middle(self) -> tuple[float, float]:
        """Inches from the middle of the first box, to the right and down."""
        return self.place[0] * COLUMN, self.place[1] * ROW


@dataclass(frozen=True)
class Arrow:
    """A path from one box to another, or back to itself."""

    start: str
    end: str
    later: bool = False  # dashed: what arrives is used at the next word
    side: int = 0  # 1: beside all boxes between them, on their right; -1: on their left


def sizes(*shape: int | str) -> str:
    """Write a shape as 64 × 2,048."""
    return " × ".join(size if isinstance(size, str) else f"{size:,}" for size in shape)


def draw(
    title: str,
    boxes: Sequence[Box],
    arrows: Sequence[Arrow],
    frames: Mapping[str, Sequence[str]] | None = None,
    legend: str = LEGEND,
    told: str = "",
) -> Described:
    """Draw boxes and arrows.

    Args:
        frames: what is written above some boxes -> their names; a dashed line goes around them.
        legend: below the drawing.
        told: the alt text after the title; without it, which box leads to which.
    """
    named = {box.name: box for box in boxes}
    edge = min(box.middle[0] - box.width / 2 for box in boxes)
    right = max(box.middle[0] + box.width / 2 for box in boxes)
    wide, down = right - edge + 2 * MARGIN, max(box.middle[1] + box.half[1] for box in boxes)
    heading = wrapped(title, 72 * wide, HEADING, "bold")
    legend = wrapped(legend + LATER * any(arrow.later for arrow in arrows), 72 * (wide - 0.1), SMALL)
    above = (0.75 if frames else 0.5) + 0.25 * (1 + heading.count("\n"))
    high = above + down + 0.25 + 0.2 * (1 + legend.count("\n"))
    figure = new_figure(title, *(box.name for box in boxes), size=(wide, high), layout=None, kind=Drawn)
    axis = figure.add_axes((0, 0, 1, 1), label="drawing")
    axis.set(xlim=(edge - MARGIN, right + MARGIN), ylim=(high - above, -above))  # one unit: one inch
    axis.set_axis_off()
    for label, names in (frames or {}).items():
        _frame(axis, label, [named[name] for name in names])
    for arrow in arrows:
        _connect(axis, arrow, named[arrow.start], named[arrow.end])
    for box in boxes:
        _place(axis, box)
    axis.text(edge - MARGIN, high - above, legend, fontsize=SMALL, va="bottom")
    whole, short = (" ".join(_told(box, arrows, texts) for box in boxes) for texts in (True, False))
    return figure.describe(f"{title}.", told or (whole if len(title) + len(whole) < 998 else short))


def _told(box: Box, arrows: Sequence[Arrow], texts: bool) -> str:
    """Describe a box, with or without what it does, and where its arrows lead."""
    ways = [f"{arrow.end}{' at the next word' * arrow.later}" for arrow in arrows if arrow.start == box.name]
    about = ", ".join(line for line in (box.text * texts, box.size) if line)
    return f"{box.name}{about and f' ({about})'}{' to ' * bool(ways)}{', '.join(ways)};"


def _place(axis: Axes, box: Box) -> None:
    (x, y), (wide, high) = box.middle, box.half
    axis.add_patch(FancyBboxPatch((x - wide, y - high), 2 * wide, 2 * high, ec="black", zorder=3, **LOOKS[box.kind]))
    for number, line in enumerate(box.lines):
        weight = "bold" if number == 0 and box.kind != "dropped" else "normal"
        axis.text(x, y + LINE * (number - (len(box.lines) - 1) / 2), line, ha="center", va="center", fontsize=SMALL,
                  fontweight=weight, zorder=4)  # fmt: skip


def _connect(axis: Axes, arrow: Arrow, start: Box, end: Box) -> None:
    """Draw an arrow between the nearest edges, or around what lies between."""
    (x, y), (to_x, to_y) = start.middle, end.middle
    (wide, high), (to_wide, to_high) = start.half, end.half
    style: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 13,
        "lw": 1.2,
        "color": "black",
        "shrinkA": 0,
        "shrinkB": 0,
    }
    style |= {"linestyle": (0, (4, 3)) if arrow.later else "-"}
    if arrow.side:
        apart, far = 0.08, 0.15 if start is end else 0.28
        x, to_x = x + arrow.side * wide, to_x + arrow.side * to_wide
        out = arrow.side * (max(arrow.side * start.middle[0], arrow.side * end.middle[0]) + WIDTH / 2 + far)
        axis.plot([x, out, out], [y + apart, y + apart, to_y - apart], ls=style["linestyle"], lw=1.2, color="black")
        axis.add_patch(FancyArrowPatch((out, to_y - apart), (to_x, to_y - apart), **style))
    else:
        if abs(to_x - x) < wide + to_wide:  # from above to below
            down = 1 if to_y > y else -1
            ends = (x, y + down * high), (to_x, to_y - down * to_high)
        else:
            onward = 1 if to_x > x else -1
            ends = (x + onward * wide, y), (to_x - onward * to_wide, to_y)
        axis.add_patch(FancyArrowPatch(*ends, **style))


def _frame(axis: Axes, label: str, boxes: Sequence[Box]) -> None:
    left, right = min(box.middle[0] for box in boxes), max(box.middle[0] for box in boxes)
    top, bottom = min(box.middle[1] - box.half[1] for box in boxes), max(box.middle[1] + box.half[1] for box in boxes)
    left, right = left - WIDTH / 2 - 0.12, right + WIDTH / 2 + 0.12
    axis.add_patch(FancyBboxPatch((left, top - 0.12), right - left, bottom - top + 0.24, boxstyle="square,pad=0",
                                  fc="none", ec="#555555", ls="--", lw=1.0))  # fmt: skip
    axis.text(left, top - 0.17, label, fontsize=SMALL, style="italic", va="bottom")
