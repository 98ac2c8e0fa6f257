"""Pictures in rows, with texts below that are as wide as their column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from captioning.plotting.figure import TEXT, WIDTH, Described, head, new_figure, wrapped

GAP = 0.3  # inches between pictures
NEAR = 600  # pixels: no panel shows more


def new_grid(title: str, texts: Sequence[str], panels: int, columns: int) -> tuple[Described, list[Axes], float]:
    """Return a figure, its axes, which `arrange` sets in their places, and the width of a column in inches."""
    width = min((WIDTH + GAP) / columns - GAP, 4.0)
    figure = new_figure(title, *texts, size=(columns * (width + GAP) - GAP, 3.0), layout=None)
    axes = [figure.add_axes((0, 0, 1, 1), label=f"panel {number}") for number in range(panels)]
    for axis in axes:
        axis.set_axis_off()
    return figure, axes, width


def write_below(axis: Axes, lines: Sequence[tuple[str, dict]], width: float) -> float:
    """Write texts, each with its style, below a picture, and return the inches that they take."""
    depth = 5.0  # points
    for text, style in lines:
        fonts = {"weight": style.get("fontweight", "normal"), "style": style.get("style", "normal")}
        inset = 8 if "bbox" in style else 0
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
        text = wrapped(text, 72 * width - inset, **fonts)
        written = axis.annotate(text, (0, 0), (inset / 2, -depth - inset / 2), fontsize=TEXT, parse_math=False,
                                **place, **style)  # fmt: skip
        depth += written.get_window_extent().height * 72 / axis.figure.dpi + inset + 3
    return depth / 72


def arrange(
    figure: Described,
    axes: Sequence[Axes],
    pictures: Sequence[Image.Image],
    columns: int,
    width: float,
    below: Sequence[float],
    above: float = 0.0,
    bottom: float = 0.0,
) -> None:
    """Set pictures in rows, those of a row beginning at one height, none much higher than wide.

    Inches are kept free below each picture, above each, and at the bottom of the figure.
    """
    scales = [min(width / picture.width, 1.1 * width / picture.height) for picture in pictures]
    sizes = [np.multiply(picture.size, scale) for picture, scale in zip(pictures, scales, strict=True)]
    needed = np.array([above + size[1] + free + GAP for size, free in zip(sizes, below, strict=True)])
    heading = figure.get_suptitle()
    top = 0.12 + 0.24 * (1 + heading.count("\n")) if heading else 0.0
    rows = [range(first, min(first + columns, len(axes))) for first in range(0, len(axes), columns)]
    wide, high = figure.get_figwidth(), top + sum(needed[row].max() for row in rows) - GAP + bottom
    figure.set_figheight(high)
    if heading:
        head(figure, heading, y=1.0, va="top")
    for row in rows:
        for column, number in enumerate(row):
            base = high - top - above - sizes[number][1]
            corner = column * (width + GAP) / wide, base / high
            axes[number].set_position((*corner, *(sizes[number] / (wide, high))))
        top += needed[row].max()
