"""Models by two scores."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from captioning.plotting.figure import COLORS, MARKERS, SMALL, finish, new_figure


def plot_points(points: Mapping[str, tuple[float, float]], across: str, up: str, title: str = "") -> Figure:
    """Draw named points, such as models by two scores: name -> (value across, value up)."""
    figure = new_figure(title, *points, size=(9.0, 5.0), layout="constrained")
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
    marks = axis.transData.transform(list(points.values()))
    taken = [Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in marks]
    for name, point in points.items():
        for distance, angle in product((10, 20, 35, 50, 70, 100), np.radians((0, 180, 90, 270, 45, 315, 135, 225))):
            offset = distance * np.cos(angle), distance * np.sin(angle)
            side = "left" if offset[0] > 1 else "right" if offset[0] < -1 else "center"
            label = axis.annotate(
                name, point, offset, textcoords="offset points", ha=side, va="center", fontsize=SMALL, parse_math=False,
                arrowprops={"arrowstyle": "-", "lw": 0.8, "shrinkB": 5} if distance > 10 else None,
            )  # fmt: skip
            place = label.get_window_extent().padded(1)
            inside = axis.bbox.x0 < place.x0 and place.x1 < axis.figure.bbox.x1 and axis.bbox.y0 < place.y0
            if inside and place.y1 < axis.bbox.y1 + 10 and not place.count_overlaps(taken):
                break
            label.remove()
        else:
            axis.add_artist(label)  # there is no free place: the last one that was tried
        taken.append(place)
