"""Averaged weights: they are what is validated, sampled and saved, and a resumed run has them to the bit."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning.training import fit
from captioning.training.history import best_epoch
from tests.small_training import (
    CONFIG,
    KillAfter,
    Killed,
    assert_same_weights,
    kill,
    nats_by_hand,
    parts,
    run,
    scores_only,
)

AVERAGED = replace(CONFIG, epochs=3, averaging=0.8)


class OwnAverage(keras.callbacks.Callback):
    """Averages the weights after each step in float64."""

    def __init__(self):
        super().__init__()
        self.average, self.after_epochs, self.in_model = None, [], []

    def on_train_batch_end(self, batch, logs=None):
        now = [np.asarray(weight, np.float64) for weight in self.model.trainable_variables]
        kept = self.average or now
        self.average = [0.8 * old + 0.2 * new for old, new in zip(kept, now, strict=True)]

    def on_epoch_end(self, epoch, logs=None):
        self.after_epochs.append(self.average)
        self.in_model.append([np.array(weight) for weight in self.model.trainable_variables])


def assert_close(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.fixture(scope="module")
def averaged(made, tmp_path_factory):
    """A whole run, with the average of its own beside it."""
    own, folder = OwnAverage(), tmp_path_factory.mktemp("averaged")
    model, history = run(made, folder, config=AVERAGED, callbacks=[own], dropout=0.0)
    return own, model, history, folder


def test_the_average_is_what_is_validated_sampled_and_saved(made, averaged):
    own, model, history, folder = averaged
    assert_close([np.asarray(weight) for weight in model.trainable_variables], own.after_epochs[best_epoch(history)])
    other, _, validation = parts(made, dropout=0.0)
    scores = fit.ValidationCaptions(validation, made[2])._captions
    for row, weights, in_model in zip(history, own.after_epochs, own.in_model, strict=True):
        assert_close(in_model, weights)
        for variable, weight in zip(other.trainable_variables, weights, strict=True):
            variable.assign(weight)
        assert row["val_loss"] == pytest.approx(nats_by_hand(other, validation)[0], rel=1e-4)
        assert row["val_CIDEr"] == pytest.approx(scores.score(*other.compile_step()), rel=1e-6)
    other.load_weights(folder / "model.weights.h5")
    assert_same_weights(model, other)


def test_training_moves_on_from_the_weights_that_are_not_averaged(made, averaged, tmp_path):
    _, plain = run(made, tmp_path, config=replace(AVERAGED, averaging=0.0), dropout=0.0)
    assert [row["loss"] for row in plain] == [row["loss"] for row in averaged[2]]
    assert [row["val_loss"] for row in plain] != [row["val_loss"] for row in averaged[2]]


def test_a_kill_and_a_stop_change_nothing(made, averaged, tmp_path):
    with pytest.raises(Killed):
        run(made, tmp_path, config=AVERAGED, callbacks=[KillAfter(1)], dropout=0.0)
    _, beginning = run(made, tmp_path, config=AVERAGED, stop_after=2, dropout=0.0)
    assert scores_only(beginning) == scores_only(averaged[2])[:2]
    resumed, again = run(made, tmp_path, config=AVERAGED, dropout=0.0)
    assert scores_only(averaged[2]) == scores_only(again)
    assert_same_weights(averaged[1], resumed)


def test_half_precision_averages_and_resumes_too(made, tmp_path):
    short = replace(AVERAGED, epochs=2, precision="float16")
    whole, history = run(made, tmp_path / "whole", config=short)
    kill(made, tmp_path / "broken", config=short, after=1)
    resumed, again = run(made, tmp_path / "broken", config=short)
    assert scores_only(history) == scores_only(again)
    assert_same_weights(whole, resumed)
    assert np.isfinite([row["val_loss"] for row in history]).all()
