"""Models by two scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from captioning.plotting.figure import COLORS, MARKERS, SMALL, finish, new_figure

# Distance (points), angle and alignment, best first: beside the mark, else at the end of a line up or down.
PLACES = [(10, 0, "left"), (10, 180, "right"), (12, 90, "center"), (12, 270, "center")]
PLACES += [(far, angle, "center") for far in range(24, 130, 12) for angle in (90, 270, 45, 135, 225, 315, 20, 160)]


def plot_points(points: Mapping[str, tuple[float, float]], across: str, up: str, title: str = "") -> Figure:
    """Draw named points, such as models by two scores: name -> (value across, value up)."""
    figure = new_figure(title, *points, size=(9.0, 5.0))
    axis = figure.add_subplot()
    for number, (x, y) in enumerate(points.values()):
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        axis.plot(x, y, marker, color=color, markersize=9, clip_on=False)
    axis.margins(0.12)
    finish(axis, "", across, up)
    figure.draw_without_rendering()  # labels are placed by what is where
    _name(axis, points)
    told = "; ".join(f"{name}: {x:.3g}, {y:.3g}" for name, (x, y) in points.items())
    return figure.describe(f"{title or 'Points'}. Across {across}, up {up}. {told}.")


def _name(axis: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each name at the nearest place where it covers neither a point nor another name."""
    canvas: Any = axis.figure.canvas
    renderer = canvas.get_renderer()
    taken = [Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in axis.transData.transform(list(points.values()))]
    for name, point in points.items():
        label: Any = axis.annotate(
            name, point, (0, 0), textcoords="offset points", va="center", fontsize=SMALL,
            arrowprops={"arrowstyle": "-", "lw": 0.8, "shrinkB": 5},
        )  # fmt: skip
        for distance, angle, alignment in PLACES:
            label.xyann = distance * np.cos(np.radians(angle)), distance * np.sin(np.radians(angle))
            label.set_ha(alignment)
            label.update_positions(renderer)
            place = Text.get_window_extent(label)  # without its line
            inside = all(axis.bbox.contains(*corner) for corner in (place.min, place.max))
            if inside and not place.count_overlaps(taken):
                break
        label.arrow_patch.set_visible(distance > 12)
        taken.append(place)
