"""Where each head of a Transformer looks for each word."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from captioning.images import open_image
from captioning.plotting.attention import Box, add_scale, draw_weights, grids_of
from captioning.plotting.figure import TEXT
from captioning.plotting.fonts import find_fonts
from captioning.plotting.grid import NEAR, new_grid

FEWEST, MOST = 4, 9  # columns: a caption of one word does not fill the page, and the words of a long one follow below


def show_heads(
    file: Path | str,
    words: Sequence[str],
    heads: np.ndarray,
    title: str = "",
    boxes: Mapping[int, Box] | None = None,
) -> Figure:
    """Draw a row per head and a column per word: cells on the gray picture, all on one scale.

    The number below a picture is its largest weight times the number of regions: 1 is a look that is even everywhere.

    Args:
        file, boxes: see `show_attention`.
        heads: (words, heads, regions), summing to 1 over the regions, which form a square grid, row by row.

    Raises:
        ValueError: maps and words differ in number, or the regions form no square.
    """
    grids, scale = grids_of(words, heads)  # (words, heads, side, side), in multiples of an even look
    rows = max(1, math.ceil(len(words) / MOST))
    wide = max(FEWEST, math.ceil(len(words) / rows))  # rows of equal length
    places = [
        (number, head) for first in range(0, len(words), wide) for head in range(grids.shape[1])
        for number in range(first, first + wide)
    ]  # fmt: skip
    find_fonts(title, *words)
    picture = open_image(file, NEAR)
    below: list[list[tuple[str, dict]]] = [
        [(f"head {head + 1} ×{grids[n, head].max():.1f}", {})] if n < len(words) else [] for n, head in places
    ]
    figure, axes = new_grid(title, [picture] * len(places), below, wide, above=0.28, bottom=0.85)
    for axis, (number, head) in zip(axes, places, strict=True):
        if number < len(words):
            draw_weights(axis, picture, grids[number, head], scale, (boxes or {}).get(number))
            axis.set_title(words[number], loc="left", fontsize=TEXT, fontweight="bold")
    add_scale(figure, scale)
    strongest = (
        f"{word} " + " ".join(f"×{grid.max():.1f}" for grid in of_word)
        for word, of_word in zip(words, grids, strict=True)
    )
    shown = f"{Path(getattr(file, 'name', file)).name}, {grids.shape[2]} by {grids.shape[2]} regions"
    return figure.describe(
        f"Attention per head{title and ': '}{title}. Picture {shown}; the largest weight of each of "
        f"{grids.shape[1]} heads per word, in multiples of an even look:",
        "; ".join(strongest),
    )
