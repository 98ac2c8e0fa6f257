"""The log: one table for Keras and NumPy, a row per epoch, a star at the best so far."""

import re
from dataclasses import replace

import pytest

from captioning.from_scratch.early_stopping import NumpyTrainingConfig
from captioning.training import log
from captioning.training.config import SelfCriticalConfig, TrainingConfig
from captioning.training.folder import run_name
from tests import small_training as keras_runs
from tests import test_from_scratch_early_stopping as numpy_runs

ROW = r" +(?P<epoch>\d+)(?P<star>[* ])  (?P<numbers>( *[\d.]+)+)  (?P<caption>.*)"


def printed_by(kind, made, folder, **more):
    if kind == "numpy_lstm":
        return numpy_runs.run(made, folder, training=replace(numpy_runs.TRAINING, epochs=3), **more)[1]
    return keras_runs.run(made, folder, kind, replace(keras_runs.CONFIG, epochs=3), **more)[1]


@pytest.mark.parametrize("kind", ["merge", "numpy_lstm"])
def test_a_run_is_a_table_with_a_row_per_epoch(kind, made, tmp_path, capsys):
    history = printed_by(kind, made, tmp_path)
    title, legend, header, *rows = capsys.readouterr().out.splitlines()[:6]
    assert title == f"{kind}: at most 3 epochs, 30 captions in each." and legend == log.LEGEND
    accuracy = ["accuracy"] * (kind == "merge")  # NumPy's training does not count it
    names = ["epoch", "loss", *accuracy, "val_loss", "val_accuracy", "val_CIDEr", "seconds"]
    assert header.split() == [*names, "caption"]
    assert len(rows) == len(history) == 3
    for number, row in enumerate(rows, 1):
        found = re.fullmatch(ROW, row)
        assert int(found["epoch"]) == number and len(found["numbers"].split()) == len(names) - 1
        assert found["numbers"].split()[0] == f"{history[number - 1]['loss']:.3f}"
        assert len(row) <= log.WIDTH


@pytest.mark.parametrize("kind", ["merge", "numpy_lstm"])
def test_the_log_of_a_resumed_run_begins_with_how_far_it_was(kind, made, tmp_path, capsys, monkeypatch):
    kept, log_row, rows = log.TrainingLog.row, [], []

    def dies(self, history, caption):
        if len(history) == 2 and not log_row:
            log_row.append(0)
            raise keras_runs.Killed
        rows.append(kept(self, history, caption))

    monkeypatch.setattr(log.TrainingLog, "row", dies)
    with pytest.raises(keras_runs.Killed):
        printed_by(kind, made, tmp_path)
    capsys.readouterr()
    asked = {"name": "as asked"} if kind == "merge" else {}
    printed_by(kind, made, tmp_path, **asked)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{asked.get('name', kind)}: resuming after epoch 2 of at most 3 epochs, 30 captions in each."
    assert said[1] == log.LEGEND and said[3].split()[0].strip("*") == "3"
    assert str(said).count("  val_CIDEr  ") == 1
    printed_by(kind, made, tmp_path)
    assert capsys.readouterr().out == ""  # finished: nothing is trained


def test_the_star_is_at_each_epoch_that_was_the_best_so_far(capsys):
    table, history = log.TrainingLog("x", 1, 4), []
    for epoch, cider in enumerate((0.0, 0.2, 0.1, 0.3)):
        history.append({"epoch": epoch, "loss": 1.0, "val_loss": 1.0, "val_CIDEr": cider, "seconds": 1.0})
        table.row(history, "a red car " * 20)
    rows = capsys.readouterr().out.splitlines()[3:]
    assert [row.split()[0] for row in rows] == ["1*", "2*", "3", "4*"]
    assert all(row.endswith((" red …", " car …", " a …")) and len(row) <= log.WIDTH for row in rows)


def test_a_caption_without_a_word_and_a_single_one_are_said_to_be_so(capsys):
    row = {"epoch": 0, "loss": 1.0, "val_loss": 1.0, "val_CIDEr": 0.0, "seconds": 1.0}
    log.TrainingLog("x", 1, 1).row([row], "")
    said = capsys.readouterr().out
    assert said.startswith("x: at most 1 epoch, 1 caption in each.\n") and said.endswith("  (no word)\n")


def test_the_name_is_as_asked_or_that_of_the_experiment_or_the_kind(tmp_path):
    assert run_name("", tmp_path / "scratch", "gru") == "gru"
    (folder := tmp_path / "gru-vgg16").mkdir()
    (folder / "settings.json").touch()
    assert run_name("", folder, "gru") == "gru-vgg16" and run_name("gru, unmasked", folder, "gru") == "gru, unmasked"


@pytest.mark.parametrize("config", [TrainingConfig, SelfCriticalConfig, NumpyTrainingConfig])
@pytest.mark.parametrize("epochs", [0, -1, 1.5])
def test_a_run_of_no_epochs_is_refused(config, epochs):
    with pytest.raises(ValueError, match="epochs must be a whole number of at least 1"):
        config(epochs=epochs)
