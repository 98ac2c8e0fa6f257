"""Training runs of a second: a model, its batches, the run, and its end in the middle."""

import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import models
from captioning.batches import CaptionBatches
from captioning.tokenizer import PAD
from captioning.training import fit
from captioning.training.config import TrainingConfig

CONFIG = TrainingConfig(epochs=4, patience=9, learning_rate=0.02)


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


def in_new_process(code, *arguments, **more):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=300, **more)
