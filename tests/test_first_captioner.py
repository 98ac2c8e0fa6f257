"""Notebook 00: its network is what it says, its exercises run, and its sentences tell both outcomes."""

import functools
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
import tensorflow as tf

from captioning import findings, settings
from captioning.datasets.records import Record
from captioning.datasets.scenes import scenes
from captioning.models.recurrence import gru_step
from captioning.settings import SettingError
from tests.series import FILES

draw = scenes.draw


def run(until=None, **changes):
    """Run the code cells in this process; return their names.

    Args:
        until: id of the last cell that is needed.
        changes: id of a cell -> pairs of (old, new).
    """
    names = {}
    for cell in nbformat.read(FILES[0], as_version=4).cells:
        if cell.cell_type == "code" and cell.id != "get":
            source = re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE)
            for old, new in changes.get(cell.id, ()):
                assert old in source
                source = source.replace(old, new)
            exec(source, names)
        if cell.id == until:
            break
    return names


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """Return a function that copies a drawing made once."""

    @functools.cache
    def made(**sizes):
        draw(folder := tmp_path_factory.mktemp("drawing"), **sizes)
        return folder

    return lambda folder, **sizes: shutil.copytree(made(**sizes), folder, dirs_exist_ok=True)


@pytest.fixture(autouse=True)
def quick(drawings, monkeypatch):
    monkeypatch.setenv("CAPTIONING_QUICK", "1")
    monkeypatch.setattr(scenes, "draw", drawings)


def test_its_network_is_a_gru_whose_loss_leaves_padding_out_and_whose_steps_follow_the_gradient():
    names = run(until="step")
    weights = names["weights"]
    word, state = np.random.default_rng(0).normal(size=(2, 3, 48)).astype("float32")
    word, state = word[:, : names["EMBEDDING"]], state[:, : names["UNITS"]]
    gates = ("update", "reset", "candidate")
    for gate in gates:
        weights[f"b_{gate}"].assign_add(np.linspace(-1, 1, names["UNITS"]))
    w, u, b = (tf.concat([weights[f"{table}_{gate}"] for gate in gates], -1) for table in "WUb")
    np.testing.assert_allclose(names["gru"](word, state), gru_step(word @ w + b, state @ u, state), atol=1e-6)

    features, ids = (part[:4] for part in names["train_rows"])
    loss = float(names["loss_of"](features, ids))
    assert loss == float(names["loss_of"](features, np.pad(ids, ((0, 0), (0, 3)))))  # more padding
    before = float(weights["b_output"][5])
    slope = []
    for nudge in (1e-2, -1e-2):
        weights["b_output"].assign(tf.tensor_scatter_nd_update(weights["b_output"], [[5]], [before + nudge]))
        slope.append(float(names["loss_of"](features, ids)))
    weights["b_output"].assign(tf.tensor_scatter_nd_update(weights["b_output"], [[5]], [before]))
    assert float(names["learn"](features, ids)) == pytest.approx(loss, abs=1e-5)
    moved = float(weights["b_output"][5]) - before
    assert moved == pytest.approx(-names["LEARNING_RATE"] * (slope[0] - slope[1]) / 2e-2, abs=2e-4) and moved != 0


def test_exercises_1_to_3_steps_that_are_too_long_more_pictures_and_a_single_color():
    settings = [("LEARNING_RATE = 0.5", "LEARNING_RATE = 20"), ("GRID = 8", "GRID = 1")]
    names = run(settings=settings, quick=[("PICTURES=40", "PICTURES=50")])
    assert names["train_features"].shape == (50, 3)
    assert min(names["validation_loss"]) > 3 and len(names["written"]) == 10


def test_exercise_4_words_drawn_by_chance():
    drawn = "int(tf.random.categorical(logits(state), 1)[0, 0])"
    names = run(until="caption", caption=[("int(tf.argmax(probabilities))", drawn)])
    assert len({names["caption"](names["train_features"][0]) for _ in range(5)}) > 1


def test_exercise_5_a_blind_network_says_the_same_of_every_picture():
    names = run(state=[("features @", "(0 * features) @")])
    assert len(set(names["written"])) == 1 and names["validation_loss"][-1] < names["validation_loss"][0]


def test_it_needs_no_choice_of_a_dataset_and_disturbs_none(monkeypatch, tmp_path):
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path))
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    assert run(until="split")["train_features"].shape == (40, 192)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), (None, False)])
def test_whether_a_run_is_quick_does_not_depend_on_the_dataset(value, expected, monkeypatch):
    monkeypatch.delenv("CAPTIONING_QUICK")
    if value is not None:
        monkeypatch.setenv("CAPTIONING_QUICK", value)
    monkeypatch.setenv("CAPTIONING_ROOT", "/no/such/folder")  # of a dataset chosen in notebook 01
    assert settings.is_quick() is expected


def test_a_quick_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("CAPTIONING_QUICK", "yes")
    with pytest.raises(SettingError, match="CAPTIONING_QUICK='yes': give 1"):
        settings.is_quick()


@pytest.mark.parametrize(
    ("training", "validation", "said"),
    [
        ([3, 2, 1], [3, 2, 2.5], "(2.00) and rose to 2.50 by the end: from there on the network overfits"),
        ([3, 2, 1], [3, 2, 1.5], "(1.50) and ended at 1.50: no overfitting yet"),
        ([3, 2, 2], [3, 2, 2.5], "the training loss did not fall meanwhile, either"),
        ([3, 2, np.nan], [3, 2, np.nan], "diverged"),
        ([40, 20], [18, 23], "never below 18.00, no better than the same probability for every word (4.65)"),
    ],
)
def test_what_became_of_two_losses(training, validation, said):
    assert said in findings.overfitting(training, validation, 4.65)


def test_what_a_step_did():
    assert "fell: 2.000 before the step, 1.500" in findings.one_step(2, 1.5)
    assert "did not fall: the step was too long" in findings.one_step(2, 2.5)


def test_what_is_named():
    truth = {"place": "beach", "objects": [{"object": "car", "colour": "red"}]}
    records = [Record(number, Path("x.jpg"), ("a car",), "val", truth) for number in range(2)]
    texts = ["a red car on the beach", "a blue car in the desert"]
    said = findings.named(records, {"A": texts, "B": texts[:1] * 2})
    shares = "100 % of the objects, {0} of the colors; {0} of its captions name all, and no more"
    assert "2 validation pictures: A names 50 % of the places, " + shares.format("50 %") in said
    assert "B names 100 % of the places, " + shares.format("100 %") in said
