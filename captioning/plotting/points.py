"""Models by two scores."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from captioning.plotting.figure import COLORS, MARKERS, SMALL, finish, new_figure


# Points and angle, best first; farther ones have a line, and a level one would run through the next mark.
PLACES = [*product([10], np.radians((0, 180, 90, 270, 45, 315, 135, 225)))]
PLACES += product(range(22, 130, 12), np.radians((90, 270, 45, 315, 135, 225)))


def plot_points(points: Mapping[str, tuple[float, float]], across: str, up: str, title: str = "") -> Figure:
    """Draw named points, such as models by two scores: name -> (value across, value up)."""
    figure = new_figure(title, *points, size=(9.0, 5.0))
    axis = figure.add_subplot()
    for (x, y), color, marker in zip(points.values(), cycle(COLORS), cycle(MARKERS), strict=False):
        axis.plot(x, y, marker, color=color, markersize=9, clip_on=False)
    axis.margins(0.12)
    finish(axis, "", across, up)
    figure.draw_without_rendering()  # labels are placed by what is where
    _name(axis, points)
    told = "; ".join(f"{name}: {x:.3g}, {y:.3g}" for name, (x, y) in points.items())
    return figure.describe(f"{title or 'Points'}. Across {across}, up {up}. {told}.")


def _name(axis: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each name at the nearest place where it covers neither a point nor another name."""
    renderer = axis.figure.canvas.get_renderer()
    taken = [Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in axis.transData.transform(list(points.values()))]
    for name, point in points.items():
        label = axis.annotate(name, point, (0, 0), textcoords="offset points", va="center", fontsize=SMALL, parse_math=False,
                              arrowprops={"arrowstyle": "-", "lw": 0.8, "shrinkB": 5})  # fmt: skip
        label.set_in_layout(False)  # else a name would move the plot, and the names before it no longer fit
        for distance, angle in PLACES:
            label.xyann = across, _ = distance * np.cos(angle), distance * np.sin(angle)
            label.set_ha("left" if across > 1 else "right" if across < -1 else "center")
            label.update_positions(renderer)
            place = Text.get_window_extent(label)  # without its line
            if all(axis.bbox.contains(*corner) for corner in (place.min, place.max)) and not place.count_overlaps(
                taken
            ):
                break
        label.arrow_patch.set_visible(distance > 10)
        taken.append(place)
