"""Training: it learns, it resumes to the bit, it stops by the captions and keeps the best weights."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import models
from captioning.batches import CaptionBatches
from captioning.decoding import Caption
from captioning.models.gru import GRUConfig, GRUDecoder
from captioning.tokenizer import END, PAD, Tokenizer
from captioning.training import fit, free_running
from captioning.training.config import TrainingConfig
from captioning.training.history import read_history
from captioning.training.loss import MaskedAccuracy
from tests.tiny import store_of, tiny_dataset, tokenizer_of

NOTHING = Caption([], 0.0, 0.0, True, None)
CONFIG = TrainingConfig(epochs=4, patience=9, learning_rate=0.02)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    dataset = tiny_dataset(folder, splits=("train", "train", "train", "val"))
    return dataset, store_of(dataset, folder), tokenizer_of(dataset)


CLASSES = {model.kind: model for model in models.CLASSES.values()}


def run(made, folder, kind="bahdanau", config=CONFIG, callbacks=(), dropout=0.3, captions=2, stop_after=None):
    dataset, store, tokenizer = made
    averaged = CLASSES[kind].averaged
    sizes = {"vocabulary": len(tokenizer), "channels": store.channels, "embedding": 8, "units": 12, "dropout": dropout}
    sizes |= {"regions": 1 if averaged else store.regions} | ({} if averaged else {"attention": 6})
    train, validation = (
        CaptionBatches(dataset.split(split), store, tokenizer, batch_size=5, captions=captions, averaged=averaged)
        for split in ("train", "val")
    )
    model = models.build(CLASSES[kind], CLASSES[kind].config_class(**sizes), seed=1)
    model.scale_features(*train.statistics())
    history = fit.fit(model, train, validation, tokenizer, config, folder, callbacks, stop_after)
    return model, history


class Killed(Exception):
    """Stands for the end of the process."""


class KillAfter(keras.callbacks.Callback):
    """Breaks training off in the middle of an epoch."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_train_batch_end(self, batch, logs=None):
        if len(self.finished()) == self.epochs:
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        self._done = epoch + 1

    def finished(self):
        return range(getattr(self, "_done", 0))


def scores_only(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


@pytest.mark.parametrize("kind", ["gru", "bahdanau"])
def test_two_epochs_a_kill_and_two_more_equal_four_to_the_bit(made, tmp_path, kind):
    whole, history = run(made, tmp_path / "whole", kind)
    with pytest.raises(Killed):
        run(made, tmp_path / "broken", kind, callbacks=[KillAfter(2)])
    resumed, resumed_history = run(made, tmp_path / "broken", kind)
    assert scores_only(history) == scores_only(resumed_history)
    last = [np.load(tmp_path / name / "last" / "variables.npz") for name in ("whole", "broken")]
    assert last[0].files == last[1].files
    for name in last[0].files:
        np.testing.assert_array_equal(last[0][name], last[1][name])
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_kill_between_the_two_renames_loses_nothing(made, tmp_path):
    with pytest.raises(Killed):
        run(made, tmp_path, callbacks=[KillAfter(2)])
    kept = read_history(tmp_path / "history.csv")
    (tmp_path / "last").rename(tmp_path / "last.old")
    (tmp_path / "last.part").mkdir()
    _, history = run(made, tmp_path)
    assert len(kept) == 2 and history[:2] == kept and len(history) == 4  # the same seconds: not trained again


@pytest.mark.parametrize("for_resuming", [True, False])
def test_a_finished_training_is_not_run_again(made, tmp_path, for_resuming):
    model, history = run(made, tmp_path)
    if not for_resuming:
        shutil.rmtree(tmp_path / "last")
    loaded, again = run(made, tmp_path, callbacks=[KillAfter(0)])
    assert again == history
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_beginning_of_a_training_equals_that_of_the_whole(made, tmp_path):
    _, whole = run(made, tmp_path / "whole")
    _, beginning = run(made, tmp_path / "beginning", stop_after=2)
    assert scores_only(beginning) == scores_only(whole)[:2]


def test_a_snapshot_of_another_model_is_named(made, tmp_path):
    with pytest.raises(Killed):
        run(made, tmp_path, "gru", callbacks=[KillAfter(1)])
    with pytest.raises(ValueError, match=r"last is of another model; .* Delete .* and train anew"):
        run(made, tmp_path, "merge")


@pytest.mark.parametrize(
    "setting",
    [
        {"learning_rate": 0.01},
        {"weight_decay": 0.5},
        {"clip_norm": 0.01},
        {"label_smoothing": 0.0},
        {"mask_padding": False},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_every_setting_of_the_training_matters(made, tmp_path, setting):
    config = replace(CONFIG, epochs=1)
    usual, other = (
        run(made, tmp_path / name, "gru", replace(config, **change))[0]
        for name, change in (("usual", {}), ("other", setting))
    )
    assert any((one != another).any() for one, another in zip(usual.get_weights(), other.get_weights(), strict=True))


def test_the_rate_rises_and_follows_a_cosine_to_zero(made):
    model = models.build(GRUDecoder, GRUConfig(9, 1, 5, embedding=3, units=4))
    fit.compile_model(model, replace(CONFIG, learning_rate=0.1), steps=100)
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


def test_history_stands_in_the_csv_and_in_tensorboard(made, tmp_path):
    _, history = run(made, tmp_path)
    assert read_history(tmp_path / "history.csv") == history
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_CIDEr"} < set(history[0])
    events = b"".join(path.read_bytes() for path in (tmp_path / "logs" / "train").iterdir())
    events += b"".join(path.read_bytes() for path in (tmp_path / "logs" / "validation").iterdir())
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
    assert json.loads((tmp_path / "last" / "history.json").read_text()) == history


def test_patience_is_remembered_after_a_kill(made, tmp_path, monkeypatch):
    scores = iter([0.5, 0.3, 0.2, 0.1])
    monkeypatch.setattr(fit.FreeRunning, "score", lambda *_: next(scores))
    config = replace(CONFIG, epochs=9, patience=2)
    with pytest.raises(Killed):
        run(made, tmp_path, config=config, callbacks=[KillAfter(2)])
    _, history = run(made, tmp_path, config=config)
    assert len(history) == 3


def test_the_last_snapshot_survives_a_full_disk(made, tmp_path, monkeypatch):
    with pytest.raises(Killed):
        run(made, tmp_path, callbacks=[KillAfter(2)])
    before = (tmp_path / "last" / "history.json").read_text()
    kept = json.loads(before)
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            run(made, tmp_path)
    assert (tmp_path / "last" / "history.json").read_text() == before
    shutil.rmtree(tmp_path / "last.part")
    _, history = run(made, tmp_path)
    assert history[:2] == kept and len(history) == 4


def test_accuracy_counts_end_but_never_padding():
    metric = MaskedAccuracy()
    logits = np.zeros((1, 1, 4, 6), np.float32)
    logits[0, 0, [0, 1, 2, 3], [5, 4, END, PAD]] = 1
    metric.update_state(np.array([[[5, 5, END, PAD]]]), logits)
    assert float(metric.result()) == pytest.approx(2 / 3)
