"""What all figures share: an alt text, letters that can be read on a page, and places for pictures and axes."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from captioning.plotting.fonts import find_fonts

# Inches. A page 1,100 pixels wide shows a figure of 100 dots per inch at 950 pixels: its 12 points are 13 pixels there.
WIDTH = 12.0
GAP = 0.3  # inches between pictures
NEAR = 600  # pixels: no panel shows more
HEADING, TEXT, SMALL = 14.0, 12.0, 11.0  # points
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")


class Described(Figure):
    """A figure that gives notebooks an alt text, for readers who cannot see it."""

    alt = ""

    def describe(self, *sentences: str) -> Described:
        """Set the alt text, at most 1,000 characters of it."""
        self.alt = textwrap.shorten(" ".join(sentences), 1000, placeholder=" …")
        return self

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        """Return metadata alone: the picture itself is left to the format that the reader has configured."""
        if "inline" in plt.get_backend():
            plt.close(self)  # as a cell's last expression it would appear a second time at the end of the cell
        return {}, {"image/png": {"alt": self.alt}}


def new_figure(
    title: str, *texts: str, size: tuple[float, float] = (WIDTH, 3.0), layout: str | None = None
) -> Described:
    """Return an empty figure with a heading, and find fonts for all that will be written into it."""
    find_fonts(title, *texts)
    figure = plt.figure(FigureClass=Described, figsize=size, layout=layout)
    if title:
        _head(figure, wrapped(title, 72 * size[0], HEADING, "bold"))
    return figure


def _head(figure: Figure, heading: str, **place) -> None:
    figure.suptitle(heading, x=0, ha="left", fontsize=HEADING, fontweight="bold", parse_math=False, **place)


def finish(axis: Axes, title: str = "", across: str = "", up: str = "", grid: str = "both") -> None:
    """Label a plot, and take away what is not needed to read it."""
    axis.set_title(title, fontsize=TEXT, loc="left", parse_math=False)
    axis.set_xlabel(across, fontsize=TEXT, parse_math=False)
    axis.set_ylabel(up, fontsize=TEXT, parse_math=False)
    axis.tick_params(labelsize=SMALL)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis=grid, alpha=0.3)
    axis.set_axisbelow(True)


def add_legend(figure: Figure, columns: int = 4) -> None:
    """Set one legend for all plots below them, where it covers no data."""
    pairs = [axis.get_legend_handles_labels() for axis in figure.axes]
    named = {label: handle for handles, labels in pairs for handle, label in zip(handles, labels, strict=True)}
    figure.legend(named.values(), named.keys(), loc="outside lower left", ncols=columns, frameon=False,
                  fontsize=SMALL, handlelength=3)  # fmt: skip


def wrapped(text: str, width: float, size: float = TEXT, weight: str = "normal", style: str = "normal") -> str:
    """Break a text into lines of at most `width` points, between words or, in a word that is too long, letters."""
    font = FontProperties(size=size, weight=weight, style=style)
    renderer = RendererAgg(1, 1, 72)  # whose pixels are points

    def fits(line: str) -> bool:
        return renderer.get_text_width_height_descent(line, font, False)[0] <= width

    lines = [""]
    for word in text.split():
        for number, piece in enumerate([word] if fits(word) else _letters(word)):
            longer = f"{lines[-1]}{'' if number or not lines[-1] else ' '}{piece}"
            lines[-1:] = [longer] if fits(longer) or not lines[-1] else [lines[-1], piece]
    return "\n".join(lines)


def _letters(word: str) -> list[str]:
    """Return the letters of a word, each with the marks above and below it."""
    letters: list[str] = []
    for letter in word:
        if letters and unicodedata.category(letter).startswith("M"):
            letters[-1] += letter
        else:
            letters.append(letter)
    return letters


def write_below(axis: Axes, lines: Sequence[tuple[str, dict]], width: float, start: float = 0.0) -> float:
    """Write texts below a picture, one below the other.

    Args:
        axis: of the picture.
        lines: each text with its style, as `Axes.annotate` takes it.
        width: of the column, in inches.
        start: inches between the picture and the first text.

    Returns:
        The inches that they take.
    """
    depth = 72 * start + 5
    for text, style in lines:
        fonts = {"weight": style.get("fontweight", "normal"), "style": style.get("style", "normal")}
        inset = 8 if "bbox" in style else 0
        written = axis.annotate(
            wrapped(text, 72 * width - inset, **fonts), (0, 0), (inset / 2, -depth - inset / 2), va="top", fontsize=TEXT,
            xycoords="axes fraction", textcoords="offset points", parse_math=False, annotation_clip=False, **style,
        )  # fmt: skip
        depth += written.get_window_extent().height * 72 / axis.figure.dpi + inset + 3
    return depth / 72


def arrange(
    figure: Figure,
    axes: Sequence[Axes],
    sizes: Sequence[tuple[float, float]],
    columns: int,
    width: float,
    above: float = 0.0,
    below: Sequence[float] | None = None,
    bottom: float = 0.0,
) -> None:
    """Set pictures in rows, those of a row beginning at one height. All lengths are inches.

    Args:
        figure: which gets the size that is needed.
        axes: of the pictures.
        sizes: width and height of each picture.
        columns: pictures per row.
        width: of a column.
        above: kept free over each picture.
        below: kept free under each picture.
        bottom: kept free under all of them.
    """
    needed = np.array(sizes)[:, 1] + above + (0 if below is None else np.array(below)) + GAP
    heading = figure.get_suptitle()
    top = 0.12 + 0.24 * (1 + heading.count("\n")) if heading else 0.0
    rows = [range(first, min(first + columns, len(axes))) for first in range(0, len(axes), columns)]
    total = top + sum(needed[row].max() for row in rows) - GAP + bottom
    wide = min(columns, len(axes)) * (width + GAP) - GAP
    figure.set_size_inches(wide, total)
    if heading:
        _head(figure, heading, y=1.0, va="top")
    for row in rows:
        for column, number in enumerate(row):
            across, high = sizes[number]
            base = total - top - above - high
            axes[number].set_position((column * (width + GAP) / wide, base / total, across / wide, high / total))
        top += needed[row].max()


def fitted(picture, width: float, highest: float) -> tuple[float, float]:
    """Return the width and height, in inches, at which a picture fills a column."""
    scale = min(width / picture.width, highest / picture.height)
    return picture.width * scale, picture.height * scale
