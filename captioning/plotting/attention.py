"""Where a decoder looks for each word."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from captioning.images import Picture, open_image
from captioning.metrics.attention import share_inside
from captioning.plotting.figure import SMALL, TEXT, wrapped
from captioning.plotting.fonts import find_fonts
from captioning.plotting.grid import NEAR, new_grid

# From clear to nearly opaque, and darker than the gray picture, so that it shows in print too.
OVERLAY = LinearSegmentedColormap.from_list("weights", [(0.55, 0, 0.35, 0), (0.55, 0, 0.35, 0.9)])
EVEN = "weight, in multiples of an even look"
Box = Sequence[float]  # left, top, right, bottom, as shares of the width and height


def show_attention(
    file: Picture,
    words: Sequence[str],
    attention: np.ndarray,
    title: str = "",
    boxes: Mapping[int, Box] | None = None,
) -> Figure:
    """Draw where the decoder looks for each word: cells on the gray picture, all words on one scale.

    The number beside a word is its largest weight times the number of regions: 1 is a look that is even everywhere.

    Args:
        file: the picture: a path, or something with a `name` that can be read twice.
        attention: (words, regions), rows summing to 1; the regions form a square grid, row by row.
        boxes: number of a word -> (left, top, right, bottom) of what it names, as shares of the width and height.

    Raises:
        ValueError: rows and words differ in number, or the regions form no square.
    """
    grids, scale = grids_of(words, attention)
    named = [(boxes or {}).get(number) for number in range(len(words))]
    notes = ["" if box is None else _note(weights, box) for weights, box in zip(attention, named, strict=True)]
    below: list[list[tuple[str, dict]]] = [[], *([(note, {})] if note else [] for note in notes)]
    find_fonts(title, *words)
    picture, panels = open_image(file, NEAR), len(words) + 1
    figure, axes = new_grid(title, [picture] * panels, below, _columns(panels), above=0.28, bottom=0.85)
    axes[0].imshow(picture, aspect="auto")
    axes[0].set_title("the picture", loc="left", fontsize=TEXT)
    told = []
    for axis, word, grid, box, note in zip(axes[1:], words, grids, named, notes, strict=True):
        draw_weights(axis, picture, grid, scale, box)
        axis.set_title(word, loc="left", fontsize=TEXT, fontweight="bold")
        axis.set_title(f"×{grid.max():.1f}", loc="right", fontsize=TEXT)
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        told.append(f"{word} ×{grid.max():.1f} at row {row + 1}, column {column + 1}{note and ', '}{note};")
    if len(words):
        add_scale(figure, scale)
    shown = Path(str(getattr(file, "name", file))).name
    side = grids.shape[-1]
    seen = f"{shown}, {side} by {side} regions; the largest weight per word, in multiples of an even look:"
    return figure.describe(f"Attention{title and ': '}{title}. Picture {seen}", *told)


def grids_of(words: Sequence[str], weights: np.ndarray) -> tuple[np.ndarray, Normalize]:
    """Return weights (words, ..., regions) in multiples of an even look, (words, ..., side, side), and their scale.

    On it an even look is never drawn as a strong one.

    Raises:
        ValueError: weights and words differ in number, or the regions form no square.
    """
    if len(words) != len(weights):
        raise ValueError(f"{len(words)} words but the weights of {len(weights)}.")
    regions = weights.shape[-1]
    side = math.isqrt(regions)
    if side * side != regions:
        raise ValueError(f"{regions} regions form no square grid.")
    grids = np.asarray(weights, np.float64).reshape(*weights.shape[:-1], side, side) * regions
    return grids, Normalize(0, max(2.0, grids.max(initial=0.0)))


def _columns(panels: int) -> int:
    """Return how many columns, about five, leave the last row with the fewest empty places."""
    return panels if panels <= 6 else min((5, 6, 4), key=lambda number: -panels % number)


def _note(weights: np.ndarray, box: Box) -> str:
    area = (box[2] - box[0]) * (box[3] - box[1])
    return f"box: {100 * share_inside(weights, box):.0f} % of the weight, {100 * area:.0f} % of the area"


def draw_weights(axis: Axes, picture: Any, grid: np.ndarray, scale: Normalize, box: Box | None) -> None:
    """Draw the weights of one word on the gray picture, and the box of what it names."""
    extent = (0, 1, 1, 0)
    axis.imshow(picture.convert("L"), cmap="gray", vmin=-300, vmax=270, extent=extent, aspect="auto")  # no black in it
    axis.imshow(grid, cmap=OVERLAY, norm=scale, extent=extent, aspect="auto", interpolation="nearest")
    if box is not None:
        left, top, right, bottom = box
        for color, style in (("white", "-"), ("black", "--")):
            axis.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, lw=2, ec=color, ls=style))


def add_scale(figure: Figure, scale: Normalize) -> None:
    """Draw the scale that all words share, below them."""
    wide, high = figure.get_size_inches()
    axis = figure.add_axes((0, 0.5 / high, min(4.5, wide) / wide, 0.16 / high), label="scale")
    bar = figure.colorbar(ScalarMappable(scale, OVERLAY), cax=axis, orientation="horizontal")
    bar.set_label(wrapped(EVEN, 72 * min(4.5, wide)), fontsize=TEXT)
    bar.ax.tick_params(labelsize=SMALL)
