"""Pictures in rows, with texts below that are as wide as their column."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from PIL import Image

from captioning.plotting.figure import TEXT, WIDTH, Described, new_figure, wrapped

GAP = 0.3  # inches between pictures
NEAR = 600  # pixels: no panel shows more


def new_grid(
    title: str,
    pictures: Sequence[Image.Image],
    texts: Sequence[Sequence[tuple[str, dict]]],
    columns: int,
    above: float = 0.0,
    bottom: float = 0.0,
) -> tuple[Described, list[Axes]]:
    """Return a figure with a panel for each picture and texts below it; panels of a row begin at one height.

    Args:
        pictures: whose shapes the panels have, none much higher than wide.
        texts: for each picture, those below it, each with its style.
        columns: panels per row.
        above: inches kept free above each panel.
        bottom: inches kept free below them all.
    """
    width = min((WIDTH + GAP) / columns - GAP, 4.0)
    wide = columns * (width + GAP) - GAP
    figure = new_figure(title, *(text for lines in texts for text, _ in lines), size=(wide, 3.0), layout=None)
    axes = [figure.add_axes((0, 0, 1, 1), label=f"panel {number}") for number in range(len(pictures))]
    heights = [min(width * picture.height / picture.width, 1.1 * width) for picture in pictures]
    needed = [
        above + height + _write_below(axis, lines, width) + GAP
        for axis, height, lines in zip(axes, heights, texts, strict=True)
    ]
    rows = [range(first, min(first + columns, len(axes))) for first in range(0, len(axes), columns)]
    tallest = [max(needed[number] for number in row) for row in rows]
    heading = figure.get_suptitle()
    top = 0.12 + 0.24 * (1 + heading.count("\n")) if heading else 0.0
    high = top + sum(tallest) - GAP + bottom
    figure.set_figheight(high)
    for row, height in zip(rows, tallest, strict=True):
        for column, number in enumerate(row):
            base = high - top - above - heights[number]
            shape = pictures[number].width / pictures[number].height * heights[number] / wide, heights[number] / high
            axes[number].set_position((column * (width + GAP) / wide, base / high, *shape))
            axes[number].set_axis_off()
        top += height
    return figure, axes


def _write_below(axis: Axes, lines: Sequence[tuple[str, dict]], width: float) -> float:
    """Write texts, each with its style, below a panel, and return the inches that they take."""
    depth = 5.0  # points
    for text, style in lines:
        fonts = {"weight": style.get("fontweight", "normal"), "style": style.get("style", "normal")}
        inset = 8 if "bbox" in style else 0
        written = axis.annotate(
            wrapped(text, 72 * width - inset, **fonts), (0, 0), (inset / 2, -depth - inset / 2), fontsize=TEXT,
            xycoords="axes fraction", textcoords="offset points", va="top", **style,
        )  # fmt: skip
        depth += written.get_window_extent().height * 72 / axis.figure.dpi + inset + 3
    return depth / 72 if lines else 0.0
