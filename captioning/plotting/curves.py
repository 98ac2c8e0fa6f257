"""Measures over epochs and updates."""

from collections.abc import Mapping, Sequence
from typing import Any

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
    """
    figure = new_figure(title, *histories, size=(WIDTH, 4.0))
    axes, told = figure.subplots(1, len(UNITS)), []
    for number, (name, history) in enumerate(histories.items()):
        kept, run = best_epoch(history), f"{name}, " if len(histories) > 1 else ""
        told.append(f"{name}: epoch {kept + 1} of {len(history)} kept;")
        for axis, measure in zip(axes, UNITS, strict=True):
            validation = f"validation (ring: epoch {kept + 1}, which was kept)"
            for key, label, line in ((measure, "train", "--"), (f"val_{measure}", validation, "-")):
                if key in history[0]:
                    fill = {"markerfacecolor": "white"} if key == measure else {}
                    course = _line(axis, number, [row[key] for row in history], run + label, line, **fill)
                    told.append(f"{key} {course};")
            best = history[kept].get(f"val_{measure}", np.nan)
            axis.plot(kept + 1, best, "o", ms=13, mfc="none", mec="black", clip_on=False)
    for axis, (measure, unit) in zip(axes, UNITS.items(), strict=True):
        only = "" if any(measure in history[0] for history in histories.values()) else ", validation only"
        _finish(axis, measure + only, "epoch", unit)
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
        step: the label of the axis across: epoch, update, words later.
        limits: measure -> a horizontal line.
        logarithmic: the vertical axes.
    """
    figure = new_figure(title, size=(WIDTH if len(panels) > 1 else 8.0, 4.0))
    axes, told = figure.subplots(1, len(panels), squeeze=False)[0], []
    for axis, (measure, runs) in zip(axes, panels.items(), strict=True):
        told.append(f"{measure}:")
        for number, (name, values) in enumerate(runs.items()):
            course = _line(axis, number, values, name, LINES[number % len(LINES)], markevery=max(1, len(values) // 20))
            told.append(f"{name} {course};")
        if limits and measure in limits:
            axis.axhline(limits[measure], color="black", lw=1, label=f"limit {limits[measure]:g}")
        _finish(axis, "", step, measure)
        if logarithmic and np.isfinite(axis.dataLim.minposy):  # else there is nothing above 0
            _scale_logarithmically(axis)
    if limits or max(map(len, panels.values())) > 1:
        add_legend(figure)
    return figure.describe(f"{title or 'Curves'}. Across: {step}.", *told)


def _line(axis: Axes, number: int, values: Sequence[float], label: str, line: str, **style: Any) -> str:
    """Draw the values of a run, and say where they begin, how far they go and where they end."""
    color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
    axis.plot(range(1, len(values) + 1), values, line, color=color, marker=marker, ms=4.5, label=label, **style)
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return "never a number"
    return f"{values[0]:.3g} first, {min(finite):.3g} lowest, {max(finite):.3g} highest, {values[-1]:.3g} last"


def _finish(axis: Axes, title: str, step: str, up: str) -> None:
    """Label the axes, that across with whole numbers only."""
    finish(axis, title, step, up)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlim(0.5, max(1.5, axis.get_xlim()[1]))


def _scale_logarithmically(axis: Axes) -> None:
    """Label 1, 2, 5, 10 ... as plain numbers; over many powers of ten, these alone."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,), numticks=12))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
