"""How alike pictures are."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import ImageOps

from captioning.images import open_image
from captioning.plotting.figure import TEXT, new_figure


def show_similarities(files: Sequence[Path | str], similarities: np.ndarray, title: str = "") -> Figure:
    """Draw a table of how alike pictures are, with their thumbnails (cut to squares) at both sides.

    Args:
        similarities: (pictures, pictures), cosines for example; the darker a cell the larger.

    Raises:
        ValueError: there is not one row and one column for each picture.
    """
    count = len(files)
    if not count or similarities.shape != (count, count):
        raise ValueError(f"{count} pictures, but similarities of shape {similarities.shape}.")
    side = min(1.3, 9.0 / (count + 1)) * (count + 1)
    figure = new_figure(title, size=(side, side + 0.5 * bool(title)))
    axis = figure.add_subplot()
    for number, file in enumerate(files):
        thumbnail = ImageOps.fit(open_image(file, 200), (200, 200))
        for column, row in ((number, -1), (-1, number)):
            axis.imshow(thumbnail, extent=(column - 0.46, column + 0.46, row + 0.46, row - 0.46))
    table = axis.imshow(similarities, cmap="Blues")
    for (row, column), value in np.ndenumerate(similarities):
        brightness = np.dot(table.cmap(table.norm(value))[:3], (0.3, 0.6, 0.1))
        color = "white" if brightness < 0.5 else "black"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=TEXT, color=color)
    axis.set(xlim=(-1.5, count - 0.5), ylim=(count - 0.5, -1.5), aspect="equal")
    axis.set_axis_off()
    names = ", ".join(f"{number} {Path(file).name}" for number, file in enumerate(files, 1))
    pairs = "; ".join(f"{a + 1} and {b + 1}: {similarities[a, b]:.2f}" for a, b in combinations(range(count), 2))
    return figure.describe(f"{title or 'Similarities'}. Pictures: {names}. {pairs or 'Only one picture'}.")
