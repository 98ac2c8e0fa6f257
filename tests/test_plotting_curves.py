"""Measures over epochs and updates: units, the kept epoch, runs told apart without color."""

from math import inf, nan

import numpy as np
import pytest
from figures import KERAS, NUMPY, draw, run

from captioning.plotting import plot_curves, plot_history


def lines(axis):
    """Return the lines of an axis, without the rings around the epochs that were kept."""
    return [line for line in axis.get_lines() if not line.get_label().startswith("_")]


def rings(axis):
    return [line.get_xdata()[0] for line in axis.get_lines() if line.get_label().startswith("_")]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 40])
def test_curves_of_one_run(epochs):
    history = run(epochs, *KERAS)
    figure = draw(plot_history({"GRU": history}, "Three layers"))
    assert [axis.get_title("left") for axis in figure.axes] == ["loss", "accuracy", "CIDEr, validation only"]
    assert [axis.get_ylabel() for axis in figure.axes] == ["nats per word", "share of words", "CIDEr"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["epoch"] * 3
    train, validation = lines(figure.axes[0])
    assert list(train.get_xdata()) == list(range(1, epochs + 1))
    np.testing.assert_allclose(validation.get_ydata(), [row["val_loss"] for row in history])
    assert train.get_linestyle() == "--" and validation.get_linestyle() == "-"
    assert train.get_markerfacecolor() == "white" != validation.get_markerfacecolor()
    assert legend(figure) == ["train", f"validation (ring: epoch {epochs}, which was kept)"]
    assert all(tick == int(tick) for axis in figure.axes for tick in axis.get_xticks())


def test_the_kept_epoch_is_the_best_one_in_every_panel():
    history = run(5, *KERAS)
    history[2]["val_CIDEr"] = 99.0
    figure = draw(plot_history({"GRU": history}))
    assert [rings(axis) for axis in figure.axes] == [[3]] * 3
    for axis, measure in zip(figure.axes, ("val_loss", "val_accuracy", "val_CIDEr"), strict=True):
        (ring,) = [line for line in axis.get_lines() if line not in lines(axis)]
        assert ring.get_ydata()[0] == history[2][measure]
    assert "epoch 3" in legend(figure)[1]


def test_several_runs_share_their_axes_and_differ_without_color():
    runs = {"RNN": run(9, *NUMPY), "LSTM": run(4, *NUMPY, start=1.0), "GRU": run(2, *KERAS)}
    figure = draw(plot_history(runs, "From scratch"))
    assert len(figure.axes) == 3 and [len(lines(axis)) for axis in figure.axes] == [6, 4, 3]
    validation = [line for line in lines(figure.axes[0]) if line.get_linestyle() == "-"]
    assert len({line.get_marker() for line in validation}) == len({line.get_color() for line in validation}) == 3
    assert legend(figure)[:2] == ["RNN, train", "RNN, validation (ring: epoch 9, which was kept)"]
    assert [sorted(rings(axis)) for axis in figure.axes] == [[2, 4, 9]] * 3


def test_a_measure_without_a_train_curve_says_so():
    figure = draw(plot_history({"RNN": run(3, *NUMPY)}))
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles == ["loss", "accuracy, validation only", "CIDEr, validation only"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [nan, inf, 0.0])
@pytest.mark.parametrize("epochs", [1, 3])
def test_values_that_are_no_numbers_or_0(value, epochs):
    history = [row | dict.fromkeys(KERAS, value) for row in run(epochs, *KERAS)]
    figure = draw(plot_history({"a": history}))
    assert ("never a number" in figure.alt) == (value != 0)
    assert all(axis.get_ylim()[0] >= 0 for axis in figure.axes)


PANELS = {
    "length of the gradient": {"free": [2.0**n for n in range(9)], "clipped": [3.0, 2.0, 1.0], "one": [5.0]},
    "nats per word": {"free": [4.0, 3.0], "clipped": [5.0, 4.0, 3.9], "one": [2.0]},
}


@pytest.mark.parametrize("limits", [None, {"length of the gradient": 5.0}])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_curves_of_runs_that_end_early(limits, logarithmic):
    figure = draw(plot_curves(PANELS, "update", "SGD", limits, logarithmic))
    norms, losses = figure.axes
    assert [axis.get_ylabel() for axis in figure.axes] == list(PANELS) and norms.get_xlabel() == "update"
    assert [list(line.get_ydata()) for line in lines(norms)[:3]] == list(PANELS["length of the gradient"].values())
    assert len({line.get_linestyle() for line in lines(losses)}) == 3
    assert legend(figure) == ["free", "clipped", "one"] + ["limit 5"] * bool(limits)
    assert len(lines(norms)) == 3 + bool(limits) and len(lines(losses)) == 3
    box = figure.legends[0].get_window_extent()
    assert all(box.y1 <= axis.get_window_extent().y0 for axis in figure.axes)  # below, where it covers nothing


def test_a_single_line_has_no_legend():
    assert not plot_curves({"CIDEr": {"GRU": [0.1, 0.2]}}, "epoch").legends


@pytest.mark.parametrize(
    ("values", "labels"),
    [([2.0, 30.0], {"2", "5", "10", "20"}), ([3.0, 8.0], {"5"}), ([0.01, 900.0], {"0.01", "0.1", "1", "10", "100"})],
)
def test_logarithmic_axes_are_labeled_with_plain_numbers(values, labels):
    figure = draw(plot_curves({"loss": {"a": values}}, "update", logarithmic=True))
    (axis,) = figure.axes
    low, high = axis.get_ylim()
    ticks = zip(axis.get_yticks(), axis.get_yticklabels(), strict=True)
    assert axis.get_yscale() == "log"
    assert labels <= {label.get_text() for tick, label in ticks if low <= tick <= high}


@pytest.mark.parametrize("values", [[nan], [1.0, inf, 2.0], [0.0, 1.0], [5.0, 5.0], []])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_curves_of_odd_values(values, logarithmic):
    draw(plot_curves({"loss": {"a": values}}, "update", logarithmic=logarithmic))
