"""Values by name, and how long captions are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from captioning.plotting.figure import COLORS, SMALL, add_legend, finish, new_figure

LOOKS: dict[str, dict[str, Any]] = {
    "model": {"facecolor": COLORS[0], "edgecolor": COLORS[0]},
    "baseline": {"facecolor": "#DDDDDD", "edgecolor": "#555555", "hatch": "///"},
}


def plot_bars(
    values: Mapping[str, float],
    title: str,
    label: str = "",
    intervals: Mapping | None = None,
    baselines: Sequence[str] = (),
) -> Figure:
    """Draw horizontal bars with their values, the first on top.

    Args:
        values: name -> length of its bar, in the order in which they are drawn: sort them by what is to be seen.
        label: what the values are, with their unit.
        intervals: name -> (low, high), drawn as an error bar.
        baselines: names that are drawn gray and hatched.
    """
    largest, told = max(values.values()), []
    figure = new_figure(title, label, *values, size=(9.0, 1.2 + 0.27 * len(values) + 0.3 * bool(baselines)))
    axis = figure.add_subplot()
    axis.set_yticks(range(len(values)), list(values))
    axis.set_ylim(len(values) - 0.4, -0.6)
    for row, (name, value) in enumerate(values.items()):
        kind, interval = "baseline" if name in baselines else "model", (intervals or {}).get(name) or ()
        axis.barh(row, value, height=0.7, label=kind, **LOOKS[kind])
        ends, number = (value, *interval), _number(value, largest)
        if interval:  # rounding may leave the value outside
            axis.errorbar(value, row, xerr=[[value - min(ends)], [max(ends) - value]], color="black", capsize=4)
        axis.annotate(number, (max(0, *ends), row), (5, 0), textcoords="offset points", va="center", fontsize=SMALL)
        spread = f" ({' to '.join(_number(end, largest) for end in interval)})" if interval else ""
        told.append(f"{name}{' (baseline)' * (kind == 'baseline')} {number}{spread}")
    axis.margins(x=0.1)
    finish(axis, "", label, grid="x")
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    if baselines:
        add_legend(figure)
    return figure.describe(f"Bars: {title}{label and ', '}{label}.", "; ".join(told) + ".")


def _number(value: float, largest: float) -> str:
    """Write counts whole and scores with as many decimals as their neighbors, but nothing above 0 as 0."""
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    text = f"{value:.{3 if largest < 10 else 1}f}"
    return f"{value:.1g}" if value and not float(text) else text


def plot_lengths(lengths: Mapping[str, Sequence[int]], cut: int | None) -> Figure:
    """Draw how many words the captions of each split have, as shares, and how many captions a cut shortens.

    Args:
        lengths: split -> words of each caption.
        cut: longer captions end after so many words; None: nowhere.
    """
    words = {name: np.asarray(values) for name, values in lengths.items() if len(values)}
    every = np.concatenate(list(words.values()))
    longest, nearly = int(every.max()), int(np.quantile(every, 0.999))
    end = longest if longest <= 1.3 * nearly else nearly
    if cut is not None and cut < longest:
        end = max(end, cut + 1)
    figure = new_figure("Words per caption", size=(9.0, 3.8))
    axis, told = figure.add_subplot(), []
    for (name, values), line, color in zip(words.items(), ("-", "--", ":"), COLORS, strict=False):
        counts, captions = np.bincount(values, minlength=longest + 1), f"{len(values):,} captions"
        axis.plot(counts / len(values), line, color=color, lw=2, label=f"{name} ({captions})")
        told.append(f"{name}: {captions} of {values.min()} to {values.max()} words, most often {counts.argmax()};")
    if cut is not None:
        longer = np.count_nonzero(every > cut)
        share = f"{longer:,} of {len(every):,} captions ({100 * longer / len(every):.1f} %)"
        told.append(f"longer than {cut} words: {share}.")
        if cut < end:
            axis.axvspan(cut + 0.5, end + 0.5, facecolor="#EEEEEE", edgecolor="#999999", hatch="//", zorder=0)
            axis.axvline(cut + 0.5, color="black")
        axis.set_title(told[-1].rstrip("."), loc="right", fontsize=SMALL)
    axis.set_xlim(max(0, every.min() - 1) - 0.5, end + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylim(0)
    beyond = f" (the longest caption has {longest})" if end < longest else ""
    finish(axis, "", f"words{beyond}", "share of the captions")
    add_legend(figure)
    return figure.describe("Words per caption, as shares of the captions.", *told)
