"""Training: it learns, it follows its settings, it stops by the captions and keeps the best weights."""

import json
import shutil
from dataclasses import fields, replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import models
from captioning.batches import CaptionBatches
from captioning.decoding import Caption
from captioning.models.gru import GRUConfig, GRUDecoder
from captioning.provenance import StaleError
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import Tokenizer
from captioning.training import fit, free_running
from captioning.training.archive import read_arrays
from captioning.training.config import TrainingConfig
from captioning.training.history import best_epoch, is_complete, read_history
from captioning.training.loop import compile_evaluation
from tests.small_training import (
    CLASSES,
    CONFIG,
    CopyAfter,
    assert_same_weights,
    in_new_process,
    parts,
    run,
    scores_only,
)
from tests.tiny import store_of, tiny_dataset, tokenizer_of

NOTHING = Caption([], 0.0, 0.0, True, None)


CHANGES = {"epochs": 3, "learning_rate": 0.01, "weight_decay": 0.5, "clip_norm": 0.01, "label_smoothing": 0.0}
CHANGES |= {"mask_padding": False, "averaging": 0.9, "precision": "bfloat16"}


@pytest.fixture(scope="module")
def usual(made, tmp_path_factory):
    return run(made, tmp_path_factory.mktemp("usual"), config=replace(CONFIG, epochs=2))


@pytest.mark.parametrize("field", fields(TrainingConfig), ids=lambda field: field.name)
def test_every_setting_of_the_training_matters(made, tmp_path, monkeypatch, usual, field):
    if field.name == "patience":  # by how long it waits, not by what it learns
        monkeypatch.setattr(fit.FreeRunning, "score", lambda *_: 0.5)
        assert len(run(made, tmp_path, config=replace(CONFIG, epochs=4, patience=2))[1]) == 3
        return
    changed = {"epochs": 2} | {field.name: CHANGES[field.name]}
    other, _ = run(made, tmp_path, config=replace(CONFIG, **changed))
    assert any((a != b).any() for a, b in zip(usual[0].get_weights(), other.get_weights(), strict=True))


def test_the_norm_of_the_whole_gradient_is_clipped(made, tmp_path):
    """After one step of Adam its first moments are a tenth of the clipped gradient."""
    model, train, validation = parts(made, "gru", dropout=0.0, batch=20)
    fit.fit(model, train, validation, made[2], replace(CONFIG, clip_norm=0.01), tmp_path, stop_after=1)
    moments = [np.asarray(moment, np.float64) / 0.1 for moment in model.optimizer._momentums]
    assert np.sqrt(sum((moment**2).sum() for moment in moments)) == pytest.approx(0.01, rel=1e-5)


def test_a_weight_that_a_model_leaves_out_stops_no_training(made, tmp_path, monkeypatch):
    class LeavesOut(GRUDecoder):
        def __init__(self, config):
            super().__init__(config)
            self.unused = self.add_weight(shape=(2,), name="unused")

    monkeypatch.setitem(CLASSES, "gru", LeavesOut)
    assert len(run(made, tmp_path, "gru", stop_after=1)[1]) == 1


def test_the_rate_rises_and_follows_a_cosine_to_zero(made):
    model = models.build(GRUDecoder, GRUConfig(9, 1, 5, embedding=3, units=4))
    fit.set_optimizer(model, replace(CONFIG, learning_rate=0.1), steps=100)
    rates = [float(model.optimizer._learning_rate(step)) for step in (0, 5, 52, 100)]
    np.testing.assert_allclose(rates, [0.01, 0.1, 0.1 * (1 + np.cos(np.pi * 47 / 95)) / 2, 0], atol=1e-4)


def test_validation_captions_come_from_the_pictures_own_features(tmp_path, monkeypatch):
    """More pictures than are decoded at once."""
    dataset = tiny_dataset(tmp_path, pictures=130, splits=("val",))
    store, tokenizer = store_of(dataset, tmp_path), Tokenizer.fit(dataset.captions("val"))
    batches = CaptionBatches(dataset.split("val"), store, tokenizer, batch_size=9)
    seen = []
    say_nothing = lambda step, state, length: seen.extend(state) or [NOTHING] * len(state)  # noqa: E731
    monkeypatch.setattr(free_running, "greedy", say_nothing)
    after_each_epoch = fit.ValidationCaptions(batches, tokenizer)
    after_each_epoch.set_model(SimpleNamespace(distribute_strategy=tf.distribute.get_strategy()))
    after_each_epoch._compiled = (lambda features: features), None
    after_each_epoch.on_epoch_end(0, {})
    np.testing.assert_array_equal(seen, store.rows(batches.records))


@pytest.mark.parametrize("kind", list(CLASSES))
def test_it_learns_to_name_what_the_features_hold(made, tmp_path, kind):
    _, history = run(made, tmp_path, kind, replace(CONFIG, epochs=40, patience=40, label_smoothing=0.0), dropout=0.0)
    assert history[-1]["loss"] < 0.35 * history[0]["loss"]
    assert max(row["val_CIDEr"] for row in history) > 2 * history[0]["val_CIDEr"] + 0.5


def test_one_caption_per_picture_is_enough(made, tmp_path):
    """As in Open Images: the merge model on pictures with a single caption each."""
    dataset, store, tokenizer = made
    single = replace(dataset, records=tuple(replace(r, captions=r.captions[:1]) for r in dataset.records))
    config = replace(CONFIG, epochs=40, patience=40, label_smoothing=0.0)
    _, history = run((single, store, tokenizer), tmp_path, "merge", config, dropout=0.0, captions=1)
    assert history[-1]["loss"] < 0.35 * history[0]["loss"]


def test_history_is_in_the_csv_and_in_tensorboard(made, tmp_path):
    _, history = run(made, tmp_path, config=replace(CONFIG, epochs=2))
    assert read_history(tmp_path / "history.csv") == history
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_CIDEr"} < set(history[0])
    events = b"".join(path.read_bytes() for path in (tmp_path / "logs").glob("*/*"))
    assert b"epoch_CIDEr" in events or b"val_CIDEr" in events


def test_it_stops_by_the_captions_and_keeps_the_best_weights(made, tmp_path, monkeypatch):
    scores = iter([0.1, 0.5, 0.3, 0.2, 0.9])
    monkeypatch.setattr(fit.FreeRunning, "score", lambda *_: next(scores))
    kept = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept.append(self.model.get_weights())

    model, history = run(made, tmp_path, config=replace(CONFIG, epochs=9, patience=2), callbacks=[Keep()])
    assert [row["val_CIDEr"] for row in history] == [0.1, 0.5, 0.3, 0.2]
    for best, weight in zip(kept[1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(best, weight)
    assert json.loads(str(read_arrays(tmp_path / "last" / "checkpoint.npz")["history"])) == history


def test_callbacks_see_each_batch_and_may_stop_in_the_middle_of_an_epoch(made, tmp_path):
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append((batch, logs)))
    _, (row, *_) = run(made, tmp_path / "whole", callbacks=[look], stop_after=1)
    assert [batch for batch, _ in seen] == [0, 1, 2]
    assert seen[-1][1] == {name: row[name] for name in ("loss", "accuracy")} != seen[0][1]

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    _, history = run(made, tmp_path / "stopped", callbacks=[Stop()])
    assert len(history) == 1 and {name: history[0][name] for name in seen[1][1]} == seen[1][1]


@pytest.mark.parametrize(("kind", "precision"), [*((kind, "float16") for kind in CLASSES), ("merge", "bfloat16")])
def test_mixed_precision_trains_decodes_and_resumes_to_the_bit(made, tmp_path, monkeypatch, kind, precision):
    """In the precision that the setting asks for; what is trained computes in float32, as after loading."""
    monkeypatch.setenv("CAPTIONING_PRECISION", precision)
    short, seen = TrainingConfig(epochs=2, patience=9, learning_rate=0.02), []
    assert short.precision == precision != CONFIG.precision
    copying = CopyAfter(1, tmp_path / "whole", tmp_path / "broken")
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(copying.model.compute_dtype))
    whole, history = run(made, tmp_path / "whole", kind, short, callbacks=[copying, look])
    resumed, again = run(made, tmp_path / "broken", kind, short)
    assert seen == [precision] * 2 and whole.compute_dtype == resumed.compute_dtype == "float32"
    assert scores_only(history) == scores_only(again) and history[0] == again[0]  # whose seconds are the first run's
    assert_same_weights(whole, resumed)
    assert history[0]["val_loss"] < 3.2 and history[1]["loss"] < history[0]["loss"]


def test_the_precision_of_the_environment_is_that_of_the_steps_and_of_nothing_else(made, tmp_path, monkeypatch, usual):
    short = replace(CONFIG, epochs=2)
    monkeypatch.setenv("CAPTIONING_PRECISION", "float16")
    copying = CopyAfter(1, tmp_path / "whole", tmp_path / "broken")
    whole, history = run(made, tmp_path / "whole", config=short, callbacks=[copying])
    assert isinstance(whole.optimizer, keras.optimizers.LossScaleOptimizer) and whole.compute_dtype == "float32"
    assert history[0]["loss"] == pytest.approx(usual[1][0]["loss"], rel=0.05)  # dropout is another one
    _, _, validation = parts(made)
    assert compile_evaluation(whole)(validation)["loss"] in [row["val_loss"] for row in history]
    shutil.copytree(tmp_path / "broken", tmp_path / "other")
    resumed, again = run(made, tmp_path / "broken", config=short)
    assert scores_only(history) == scores_only(again)
    assert_same_weights(whole, resumed)
    monkeypatch.setenv("CAPTIONING_PRECISION", "bfloat16")
    with pytest.raises(StaleError, match="precision was 'mixed_float16' and is now 'mixed_bfloat16'"):
        run(made, tmp_path / "other", config=short)


ON_TWO_DEVICES = """
import os, sys
from pathlib import Path
import captioning.quiet
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from dataclasses import replace
import numpy as np
from captioning.training.fit import fit
from tests import small_training as t
from tests.tiny import store_of, tiny_dataset, tokenizer_of

folder = Path(sys.argv[1])
dataset = tiny_dataset(folder, pictures=16, splits=("train", "train", "train", "val"))
made = dataset, store_of(dataset, folder), tokenizer_of(dataset)
for kind in ("bahdanau", "bilstm", "transformer"):  # the others consist of layers of Keras's own
    runs = []
    for devices in ("one", "all"):
        os.environ["CAPTIONING_DEVICES"] = devices
        # Batches of 11 and 1 of 12 pictures: six on one device, five on the other; then 1 and 0.
        model, train, validation = t.parts(made, kind, dropout=0.0, batch=11)
        assert model.distribute_strategy.num_replicas_in_sync == 1 + (devices == "all")
        config = replace(t.CONFIG, epochs=2, learning_rate=5e-3, clip_norm=0.3)  # so that all gradients are clipped
        config = replace(config, averaging=0.9 if kind == "bilstm" else 0.0)
        runs.append((fit(model, train, validation, made[2], config, folder / kind / devices), model))
    for one, other in zip(*(model.get_weights() for _, model in runs)):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(*(model.optimizer.variables for _, model in runs)):  # Adam hides a multiple of the gradient
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    for one, other in zip(*(history for history, _ in runs)):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_CIDEr"):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5, err_msg=name)
print("equal")
"""


def test_two_devices_train_as_one(tmp_path):
    done = in_new_process(ON_TWO_DEVICES, tmp_path)
    assert done.stdout.endswith("equal\n"), done.stderr[-3000:]
    assert done.stderr == "", done.stderr  # no note of TensorFlow, either


def rows(*scores):
    return [{"val_CIDEr": cider, "val_loss": loss} for cider, loss in scores]


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([], -1),
        ([(0.2, 1.0), (0.5, 9.0), (0.5, 0.1)], 1),
        ([(0.0, 2.1), (0.0, 1.1), (0.0, 1.4)], 1),
        ([(0.0, 2.1), (0.0, 1.1), (0.1, 1.4)], 2),
        ([(np.nan, 2.1), (0.0, 1.1), (np.nan, 1.4)], 1),
        ([(0.3, 2.0), (np.nan, 1.1)], 0),
        ([(0.0, np.nan), (0.0, 3.0)], 1),
        ([(np.nan, np.nan)], 0),
    ],
)
def test_the_loss_decides_where_cider_says_nothing(scores, best):
    assert best_epoch(rows(*scores)) == best


def test_patience_waits_for_the_loss_where_cider_says_nothing():
    falling = rows(*((0.0, 3.0 - epoch) for epoch in range(3)))
    assert not is_complete(falling, TrainingConfig(epochs=9, patience=2))
    assert is_complete(falling + rows((0.0, 2.0), (0.0, 2.0)), TrainingConfig(epochs=9, patience=2))


def test_a_silent_cider_is_said_and_the_lowest_loss_kept(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fit.FreeRunning, "score", lambda *_: 0.0)
    model, history = run(made, tmp_path)
    best = min(range(4), key=lambda epoch: history[epoch]["val_loss"])
    assert best > 0
    assert f"the loss decided: the weights of epoch {best + 1} are kept" in capsys.readouterr().out
    validation = parts(made)[2]
    evaluated = compile_evaluation(model)(validation)
    assert evaluated["loss"] == pytest.approx(history[best]["val_loss"], rel=1e-5)


@pytest.mark.parametrize("kind", ["merge", "transformer"])
def test_one_picture_per_split_is_trained_by_the_loss(tmp_path, kind, capsys):
    dataset = tiny_dataset(tmp_path, pictures=3, captions=1, splits=("train", "val", "test"))
    few = dataset, store_of(dataset, tmp_path), tokenizer_of(dataset)
    _, history = run(few, tmp_path / "run", kind, captions=1)
    assert [row["val_CIDEr"] for row in history] == [0.0] * 4  # no word tells one picture from others
    losses = [row["val_loss"] for row in history]
    assert np.isfinite(losses).all() and best_epoch(history) == np.argmin(losses)
    assert f"the loss decided: the weights of epoch {np.argmin(losses) + 1} are kept" in capsys.readouterr().out
