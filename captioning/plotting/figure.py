"""What all figures share: an alt text, letters that can be read on a page, and axes that look alike."""

from __future__ import annotations

import io
import textwrap
import unicodedata
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from captioning.plotting.fonts import find_fonts
from captioning.words import units

# Inches. A page of 1,100 pixels shows a figure of this width, 1,200 dots, at 950 pixels, and its 12 points at 13.
WIDTH = 12.0
HEADING, TEXT, SMALL = 14.0, 12.0, 11.0  # points
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
plt.rcParams["text.parse_math"] = False  # names and captions may hold dollars


class Described(Figure):
    """A figure that gives notebooks an alt text, for readers who cannot see it."""

    alt = ""

    def describe(self, *sentences: str) -> Described:
        """Set the alt text, at most 1,000 characters of it."""
        self.alt = textwrap.shorten(units.plain(" ".join(sentences)), 1000, placeholder=" …")
        return self

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        """Return metadata alone: the picture is drawn in the format that the reader has configured."""
        if "inline" in plt.get_backend():
            plt.close(self)  # as a cell's last expression it would appear a second time at the end of the cell
        return {}, {"image/png": {"alt": self.alt}}


class Drawn(Described):
    """A figure of lines and letters, which notebooks get as SVG too: sharp at any size."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        _, about = super()._repr_mimebundle_()
        file = io.StringIO()
        with plt.rc_context({"svg.fonttype": "none"}):  # letters, not their outlines: a fifth of the bytes
            self.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        return {"image/svg+xml": file.getvalue()}, about | {"image/svg+xml": {"alt": self.alt}}


def new_figure(
    title: str,
    *texts: str,
    size: tuple[float, float],
    layout: str | None = "constrained",
    kind: type[Described] = Described,
) -> Described:
    """Return an empty figure of this size in inches, and find fonts for all that will be written into it.

    Where matplotlib lays out nothing (`layout` is None), the title begins at the upper edge.
    """
    find_fonts(title, *texts)
    figure: Any = plt.figure(FigureClass=kind, figsize=size, layout=layout)
    if title:
        heading, top = wrapped(title, 72 * size[0], HEADING, "bold"), {} if layout else {"y": 1.0, "va": "top"}
        figure.suptitle(heading, x=0, ha="left", fontsize=HEADING, fontweight="bold", **top)
    return figure


def finish(axis: Axes, title: str = "", across: str = "", up: str = "", grid: Any = "both") -> None:
    """Label a plot, and take away what is not needed to read it."""
    axis.set_title(title, fontsize=TEXT, loc="left")
    axis.set_xlabel(across, fontsize=TEXT)
    axis.set_ylabel(up, fontsize=TEXT)
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


def wrapped(text: str, width: float, size: float = TEXT, weight: str = "normal", style: Any = "normal") -> str:
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
