"""Measures over epochs and updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from captioning.plotting.figure import COLORS, MARKERS, WIDTH, add_legend, finish, new_figure
from captioning.training.history import History, best_epoch

UNITS = {"loss": "nats per word", "accuracy": "share of words", "CIDEr": "CIDEr"}
LINES = ("-", "--", ":", "-.")


def plot_history(histories: Mapping[str, History], title: str = "") -> Figure:
    """Draw loss, accuracy and free-running CIDEr per epoch of one run or several, and mark the epoch that was kept.

    Args:
        histories: name of the run -> its rows; train dashed, validation solid, the kept epoch in a ring.
        title: of the figure.
    """
    figure = new_figure(title, *histories, size=(WIDTH, 4.0))
    axes, told = figure.subplots(1, len(UNITS)), []
    for (name, history), color, marker in zip(histories.items(), cycle(COLORS), cycle(MARKERS), strict=False):
        kept, label = best_epoch(history), f"{name}, " if len(histories) > 1 else ""
        told.append(f"{name}: epoch {kept + 1} of {len(history)} kept;")
        for axis, measure in zip(axes, UNITS, strict=True):
            for key, line, fill in ((measure, "--", "white"), (f"val_{measure}", "-", color)):
                if key in history[0]:
                    values = [row[key] for row in history]
                    text = "train" if key == measure else f"validation (ring: epoch {kept + 1}, which was kept)"
                    axis.plot(range(1, len(values) + 1), values, line, color=color, marker=marker, markersize=5,
                              markerfacecolor=fill, label=label + text)  # fmt: skip
                    told.append(f"{key} {_course(values)};")
            best = history[kept].get(f"val_{measure}", np.nan)
            axis.plot(kept + 1, best, "o", ms=13, mfc="none", mec="black", clip_on=False)
    for axis, (measure, unit) in zip(axes, UNITS.items(), strict=True):
        only = not any(measure in history[0] for history in histories.values())
        finish(axis, f"{measure}, validation only" if only else measure, "epoch", unit)
        _count_steps(axis)
        axis.set_ylim(bottom=max(0, axis.get_ylim()[0]))
    add_legend(figure, 2)
    return figure.describe(f"Curves of training{title and ': '}{title}.", *told)


def plot_curves(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    step: str,
    title: str = "",
    limits: Mapping[str, float] | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Draw measures over epochs or updates, a panel for each measure and a line for each run.

    Args:
        panels: measure with its unit -> name of the run -> one value per step; runs may end early.
        step: what is counted: epoch, update.
        title: of the figure.
        limits: measure -> a horizontal line.
        logarithmic: the vertical axes.
    """
    figure = new_figure(title, size=(WIDTH if len(panels) > 1 else 8.0, 4.0))
    axes, told = figure.subplots(1, len(panels), squeeze=False)[0], []
    for axis, (measure, runs) in zip(axes, panels.items(), strict=True):
        told.append(f"{measure}:")
        for number, (name, values) in enumerate(runs.items()):
            axis.plot(range(1, len(values) + 1), values, LINES[number % len(LINES)], color=COLORS[number % len(COLORS)],
                      marker=MARKERS[number % len(MARKERS)], markersize=4, markevery=max(1, len(values) // 20),
                      label=name)  # fmt: skip
            told.append(f"{name} {_course(values)};")
        if limits and measure in limits:
            axis.axhline(limits[measure], color="black", lw=1, label=f"limit {limits[measure]:g}")
        finish(axis, "", step, measure)
        _count_steps(axis)
        if logarithmic and np.isfinite(axis.dataLim.minposy):  # else there is nothing above 0
            _scale_logarithmically(axis)
    if limits or max(len(runs) for runs in panels.values()) > 1:
        add_legend(figure)
    return figure.describe(f"Curves over {step}s{title and ': '}{title}.", *told)


def _course(values: Sequence[float]) -> str:
    """Say where a curve begins, how far it goes and where it ends."""
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return "never a number"
    return f"{values[0]:.3g} first, {min(finite):.3g} lowest, {max(finite):.3g} highest, {values[-1]:.3g} last"


def _count_steps(axis: Axes) -> None:
    """Label whole numbers only."""
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlim(0.5, max(1.5, axis.get_xlim()[1]))


def _scale_logarithmically(axis: Axes) -> None:
    """Label 1, 2, 5, 10 ... as plain numbers; over many powers of ten, these alone."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,), numticks=12))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
