"""Training: it learns, it resumes to the bit, it stops by the captions and keeps the best weights."""

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import models
from captioning.batches import CaptionBatches
from captioning.decoding import Caption
from captioning.files import DamagedError
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.models.gru import GRUConfig, GRUDecoder
from captioning.provenance import StaleError
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import END, PAD, START, Tokenizer
from captioning.training import fit, free_running
from captioning.training.archive import read_arrays
from captioning.training.config import TrainingConfig
from captioning.training.folder import tidy, training_in
from captioning.training.history import best_epoch, is_complete, read_history
from captioning.training.interrupts import Interruptible
from captioning.training.loop import compile_evaluation
from captioning.training.loss import masked_crossentropy, word_sums
from tests.bundles import everything_in
from tests.tiny import store_of, tiny_dataset, tokenizer_of

NOTHING = Caption([], 0.0, 0.0, True, None)
CONFIG = TrainingConfig(epochs=4, patience=9, learning_rate=0.02)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    dataset = tiny_dataset(folder, splits=("train", "train", "train", "val"))
    return dataset, store_of(dataset, folder), tokenizer_of(dataset)


CLASSES = {model.kind: model for model in models.CLASSES.values()}


def parts(made, kind="merge", dropout=0.3, captions=2, batch=5):
    """Return a new model and the batches of train and val."""
    dataset, store, tokenizer = made
    averaged = CLASSES[kind].averaged
    sizes = {"vocabulary": len(tokenizer), "channels": store.channels, "embedding": 8, "units": 12, "dropout": dropout}
    sizes |= {"regions": 1 if averaged else store.regions, "attention": 6}
    train, validation = (
        CaptionBatches(dataset.split(split), store, tokenizer, batch_size=batch, captions=captions, averaged=averaged)
        for split in ("train", "val")
    )
    config = CLASSES[kind].config_class
    known = {field.name for field in fields(config)}
    model = models.build(CLASSES[kind], config(**{name: sizes[name] for name in known & sizes.keys()}), seed=1)
    model.scale_features(*train.statistics())
    return model, train, validation


def run(made, folder, kind="merge", config=CONFIG, callbacks=(), stop_after=None, name="", **more):
    model, train, validation = parts(made, kind, **more)
    history = fit.fit(model, train, validation, made[2], config, folder, callbacks, stop_after, name)
    return model, history


class Killed(Exception):
    """Stands for the end of the process."""


class KillAfter(keras.callbacks.Callback):
    """Breaks training off in the middle of an epoch."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs, self.done = epochs, 0

    def on_train_batch_end(self, batch, logs=None):
        if self.done == self.epochs:
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        self.done = epoch + 1


class CopyAfter(KillAfter):
    """Keeps what a kill in the middle of an epoch would leave, and trains on."""

    def __init__(self, epochs, folder, copy):
        super().__init__(epochs)
        self.folder, self.copy = folder, copy

    def on_train_batch_end(self, batch, logs=None):
        if self.done == self.epochs and not self.copy.exists():
            shutil.copytree(self.folder, self.copy)


def kill(made, folder, kind="merge", config=CONFIG, after=2):
    with pytest.raises(Killed):
        run(made, folder, kind, config, callbacks=[KillAfter(after)])


def assert_same_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def scores_only(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def test_two_epochs_a_kill_and_two_more_equal_four_to_the_bit(made, tmp_path):
    """The other kinds: see the one with mixed precision."""
    whole, history = run(made, tmp_path / "whole", "bahdanau")
    kill(made, tmp_path / "broken", "bahdanau")
    resumed, resumed_history = run(made, tmp_path / "broken", "bahdanau")
    assert scores_only(history) == scores_only(resumed_history)
    last = [read_arrays(tmp_path / name / "last" / "checkpoint.npz") for name in ("whole", "broken")]
    assert list(last[0]) == list(last[1])
    for name in last[0].keys() - {"history"}:  # which holds the seconds
        np.testing.assert_array_equal(last[0][name], last[1][name])
    assert_same_weights(whole, resumed)


def test_a_finished_training_is_not_run_again_and_its_beginning_is_that_of_the_whole(made, tmp_path):
    _, beginning = run(made, tmp_path / "beginning", stop_after=2)
    model, history = run(made, tmp_path / "whole")
    assert scores_only(beginning) == scores_only(history)[:2]
    for with_last in (True, False):
        assert (tmp_path / "whole" / "last").exists() == with_last
        loaded, again = run(made, tmp_path / "whole", callbacks=[KillAfter(0)])
        assert again == history
        assert_same_weights(model, loaded)
        tidy(tmp_path / "whole")
    (tmp_path / "whole" / "training.json").unlink()
    with pytest.raises(StaleError, match="nothing says of which run"):
        run(made, tmp_path / "whole")


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_with_another_run_is_refused_and_kept(made, tmp_path, finished):
    if finished:
        run(made, tmp_path)
        tidy(tmp_path)
    else:
        kill(made, tmp_path, after=1)
    before = everything_in(tmp_path)
    for then, named in (
        ({"kind": "gru"}, "code was"),
        ({"config": replace(CONFIG, epochs=2)}, "training.epochs was 4 and is now 2"),
        ({"dropout": 0.2}, "model.dropout was 0.3 and is now 0.2"),
    ):
        with pytest.raises(StaleError, match=f"{tmp_path.name}.*{named}.*Run all cells again"):
            run(made, tmp_path, **then)
        assert before == everything_in(tmp_path)


def test_a_snapshot_of_edited_code_is_refused(made, tmp_path, monkeypatch):
    kill(made, tmp_path, "gru", after=1)

    def edited(self, config):
        GRUDecoder.__init__(self, config)
        self.map_vector = keras.layers.Dense(config.units, use_bias=False, name="map_vector")

    wider = type("GRUDecoder", (GRUDecoder,), {"__init__": edited, "__qualname__": "GRUDecoder"})
    monkeypatch.setitem(CLASSES, "gru", wider)
    with pytest.raises(StaleError, match="holds another training run: code was"):
        run(made, tmp_path, "gru")


def test_a_damaged_snapshot_is_named(made, tmp_path):
    kill(made, tmp_path, after=1)
    (tmp_path / "last" / "checkpoint.npz").write_bytes(b"PK")
    with pytest.raises(DamagedError, match=r"checkpoint.npz is damaged.*Delete"):
        run(made, tmp_path)


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


def test_patience_is_remembered_after_a_kill(made, tmp_path, monkeypatch):
    scores = iter([0.5, 0.3, 0.2, 0.1])
    monkeypatch.setattr(fit.FreeRunning, "score", lambda *_: next(scores))
    config = replace(CONFIG, epochs=9, patience=2)
    kill(made, tmp_path, config=config)
    _, history = run(made, tmp_path, config=config)
    assert len(history) == 3


def test_the_last_snapshot_survives_a_full_disk(made, tmp_path, monkeypatch):
    kill(made, tmp_path)
    snapshot, kept = tmp_path / "last" / "checkpoint.npz", read_history(tmp_path / "history.csv")
    before = snapshot.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            run(made, tmp_path)
    assert snapshot.read_bytes() == before and not list(tmp_path.rglob("partial-*"))
    _, history = run(made, tmp_path)
    assert history[:2] == kept and len(history) == 4


def test_accuracy_counts_end_but_never_padding():
    logits = np.zeros((1, 1, 4, 6), np.float32)
    logits[0, 0, [0, 1, 2, 3], [5, 4, END, PAD]] = 1
    says = {"unroll": lambda *_, **__: logits, "predict_words": lambda hidden, training: hidden}
    model = SimpleNamespace(jit=False, initial_state=lambda *_, **__: None, **says)
    inputs = {"features": None, "tokens": None}
    sums = word_sums(model, inputs, np.array([[[5, 5, END, PAD]]]), training=False)
    assert (float(sums.correct), float(sums.words)) == (2, 3)


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


def test_whatever_was_run_before_training_starts_from_its_first_weights(made, tmp_path):
    undisturbed, history = run(made, tmp_path / "undisturbed", config=replace(CONFIG, epochs=2))
    short, folder = replace(CONFIG, epochs=2), tmp_path / "used"
    model, train, validation = parts(made)

    def again(config=short, folder=folder, callbacks=()):
        return fit.fit(model, train, validation, made[2], config, folder, callbacks)

    with pytest.raises(Killed):  # interrupted in the first epoch, the Train cell run again
        again(callbacks=[KillAfter(0)])
    assert scores_only(again()) == scores_only(history)
    assert_same_weights(model, undisturbed)
    again(replace(CONFIG, epochs=3), tmp_path / "longer")  # the epochs changed, and changed back
    shutil.rmtree(folder)  # the bundle deleted
    assert scores_only(again()) == scores_only(history)
    assert_same_weights(model, undisturbed)


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


def test_another_precision_does_not_resume(made, tmp_path):
    kill(made, tmp_path, after=1)
    with pytest.raises(StaleError, match="precision was 'float32' and is now 'bfloat16'"):
        run(made, tmp_path, config=replace(CONFIG, precision="bfloat16"))


def nats_by_hand(model, batches):
    """Return the mean nats per word and the share of words guessed right, in float64, picture by picture."""
    nats, right = [], []
    for inputs, targets in batches.evaluation().as_numpy_iterator():
        logits = np.asarray(model(inputs), np.float64)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        for place in np.argwhere(targets != PAD):
            word = targets[tuple(place)]
            nats.append(-log_p[(*place, word)])
            right.append(logits[tuple(place)].argmax() == word)
    return np.mean(nats), np.mean(right)


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_loss_and_accuracy_are_means_over_words_whatever_the_batch(made, tmp_path, batch):
    """Reported without smoothing, in training, in validation and by `evaluate`."""
    still = replace(CONFIG, epochs=1, learning_rate=1e-12, weight_decay=0.0, label_smoothing=0.3)
    uneven = tuple(  # captions of one to six words, so that batches hold different numbers of them
        replace(r, captions=(" ".join(["blue"] * (1 + r.image_id % 6)), *r.captions[1:])) for r in made[0].records
    )
    made = (replace(made[0], records=uneven), *made[1:])
    model, train, validation = parts(made, "merge", dropout=0.0, batch=batch)
    (row,) = fit.fit(model, train, validation, made[2], still, tmp_path)
    for name, batches in (("", train), ("val_", validation)):
        loss, accuracy = nats_by_hand(model, batches)
        assert row[f"{name}loss"] == pytest.approx(loss, rel=1e-5)
        assert row[f"{name}accuracy"] == pytest.approx(accuracy, abs=1e-6)
    evaluated = compile_evaluation(model)(validation)
    assert evaluated == pytest.approx({name: row[f"val_{name}"] for name in ("loss", "accuracy")})


def test_padding_that_is_trained_on_does_not_count_in_what_is_reported(made, tmp_path):
    """So that the losses of a run with this mistake and of one without it may be in one table."""
    still = replace(CONFIG, epochs=1, learning_rate=1e-12, weight_decay=0.0, mask_padding=False)
    model, train, validation = parts(made, "merge", dropout=0.0, batch=20)
    (row,) = fit.fit(model, train, validation, made[2], still, tmp_path)
    assert (next(validation.evaluation().as_numpy_iterator())[1] == PAD).any()
    for prefix, batches in (("", train), ("val_", validation)):
        assert row[f"{prefix}loss"] == pytest.approx(nats_by_hand(model, batches)[0], rel=1e-5)


def test_keras_and_numpy_report_the_same_loss_for_the_same_logits():
    """Nats per word, padding left out, no smoothing."""
    random = np.random.default_rng(0)
    model = CaptioningRNN(CaptioningRNNConfig(9, 4, "lstm", embedding=5, units=6))
    vectors, tokens = random.normal(size=(3, 4)).astype(np.float32), random.integers(3, 9, (3, 6))
    tokens[:2, 4:], tokens[:, 0] = PAD, START
    initial_state, step = model.compile_step()
    state, logits = initial_state(vectors), []
    for before in tokens.T[:-1]:
        of_step, state, _ = step(before, state)
        logits.append(of_step)
    reported = masked_crossentropy()(tokens[:, 1:], np.stack(logits, axis=1))
    assert float(reported) == pytest.approx(model.score(vectors, tokens)[0], rel=1e-5)


ON_TWO_DEVICES = """
import os, sys
from pathlib import Path
import captioning.quiet
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
import numpy as np
from tests import test_training as t
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
        config = t.replace(t.CONFIG, epochs=2, learning_rate=5e-3, clip_norm=0.3)  # so that all gradients are clipped
        config = t.replace(config, averaging=0.9 if kind == "bilstm" else 0.0)
        runs.append((t.fit.fit(model, train, validation, made[2], config, folder / kind / devices), model))
    for one, other in zip(*(model.get_weights() for _, model in runs)):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(*(model.optimizer.variables for _, model in runs)):  # Adam hides a multiple of the gradient
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    for one, other in zip(*(history for history, _ in runs)):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "val_CIDEr"):
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5, err_msg=name)
print("equal")
"""


def in_new_process(code, *arguments, **more):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=300, **more)


def test_two_devices_train_as_one(tmp_path):
    done = in_new_process(ON_TWO_DEVICES, tmp_path)
    assert done.stdout.endswith("equal\n"), done.stderr[-3000:]
    assert done.stderr == "", done.stderr  # no note of TensorFlow, either


def test_the_weights_file_holds_weights_alone_and_tidy_leaves_it(made, tmp_path):
    model, _ = run(made, tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        names = []
        file.visit(names.append)
        sizes = [file[name].size for name in names if isinstance(file[name], h5py.Dataset)]
    assert not any("optimizer" in name for name in names)
    assert sum(sizes) == sum(int(np.prod(variable.shape)) for variable in model.weights)
    assert model.optimizer is not None
    (tmp_path / "partial-1-model.weights.h5").touch()
    tidy(tmp_path)
    names = {"model.weights.h5", "history.csv", "training.json", "logs"}
    assert {path.name for path in tmp_path.iterdir()} == names


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


def test_a_second_run_waits_and_finds_the_first_one_finished(made, tmp_path, capsys):
    results = []

    class Second(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.thread = threading.Thread(target=lambda: results.append(run(made, tmp_path, "merge")))
                self.thread.start()

    second = Second()
    model, history = run(made, tmp_path, "merge", callbacks=[second])
    second.thread.join(timeout=60)
    ((other, same),) = results
    assert same == history  # the same seconds
    assert_same_weights(model, other)
    assert "waiting" in capsys.readouterr().out


def test_settings_are_compared_as_json_holds_them(tmp_path):
    for _ in range(2):
        with training_in(tmp_path, model={"sizes": (1, 2)}, training={}, code="0"):
            pass


def test_a_run_that_is_not_that_of_the_experiment_is_refused(tmp_path):
    """The knobs or the class were changed after the model was built, or after the experiment was found."""
    kept = {"model": {"units": 5}, "training": {"epochs": 3}, "class": {"code": "0"}, "finished": True}
    (tmp_path / "settings.json").write_text(json.dumps(kept))
    right = {"model": {"units": 5}, "training": {"epochs": 3}, "code": "0"}
    for change in ({"model": {"units": 6}}, {"training": {"epochs": 4}}, {"code": "1"}):
        with pytest.raises(StaleError, match=f"another training run: {next(iter(change))}"):  # noqa: SIM117
            with training_in(tmp_path, **(right | change)):
                pass
    with training_in(tmp_path, **right):
        assert not (tmp_path / "training.json").exists()


SWALLOWED = """
import os, signal, sys
from pathlib import Path
import captioning.quiet
import keras
from tests import test_training as t
from tests.tiny import store_of, tiny_dataset, tokenizer_of

class Swallows:
    def __del__(self):  # where Python can only print an exception
        os.kill(os.getpid(), signal.SIGINT)

class InTracing(t.GRUDecoder):
    def unroll(self, tokens, state, training=False):
        if training:
            Swallows()
        return super().unroll(tokens, state, training)

folder = Path(sys.argv[1])
dataset = tiny_dataset(folder, splits=("train", "train", "train", "val"))
made = dataset, store_of(dataset, folder), tokenizer_of(dataset)
t.CLASSES["gru"] = InTracing
try:
    t.run(made, folder / "bundle", "gru", t.replace(t.CONFIG, epochs=3))
except KeyboardInterrupt:
    print("stopped", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_an_interrupt_that_python_swallows_stops_training(tmp_path):
    done = in_new_process(SWALLOWED, tmp_path)
    assert done.stdout.endswith("stopped True\n"), done.stdout + done.stderr[-2000:]
    assert "Exception ignored" in done.stderr
    assert not read_history(tmp_path / "bundle" / "history.csv")


def test_an_interrupt_that_became_another_error_is_one():
    interrupts = Interruptible()
    with pytest.raises(KeyboardInterrupt), interrupts.listening():
        interrupts.asked = True
        raise RuntimeError
