"""Masked loss, callbacks and `fit`: stopped by the captions' CIDEr, resumable to the bit after a kill."""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from captioning.batches import CaptionBatches
from captioning.free_running import FreeRunning
from captioning.models.decoder import Decoder
from captioning.tokenizer import PAD, Tokenizer


@dataclass(frozen=True)
class TrainingConfig:
    """How a decoder is trained."""

    epochs: int = 20  # at most
    patience: int = 5  # epochs without a better CIDEr before it stops
    learning_rate: float = 2e-3  # at its highest; follows a cosine down to 0
    weight_decay: float = 0.01
    label_smoothing: float = 0.1  # share of the target spread over all words
    clip_norm: float = 5.0  # of the whole gradient
    mask_padding: bool = True  # False is the usual bug: padding is learned, and counted in the mean


def masked_crossentropy(label_smoothing: float = 0.0, mask_padding: bool = True) -> Callable:
    """Return the loss: sparse categorical cross-entropy, averaged over the words that are there.

    Args:
        label_smoothing: share e of the target that is spread over all words: (1 - e) times the cross-entropy of the
            true word plus e times the mean over the vocabulary (Szegedy et al. 2016, section 7).
        mask_padding: whether PAD is left out, from the sum and from the count.

    Returns:
        A function of targets (..., steps) and logits (..., steps, vocabulary) that gives nats per word.
    """

    def loss(targets, logits):
        nats = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        if label_smoothing:
            spread = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
            nats = (1 - label_smoothing) * nats + label_smoothing * spread
        mask = ops.cast(targets != PAD, "float32") if mask_padding else ops.ones_like(nats)
        return ops.sum(nats * mask) / ops.maximum(ops.sum(mask), 1.0)

    return loss


class MaskedAccuracy(keras.metrics.Metric):
    """Share of the next words guessed right; PAD never counts, END does."""

    def __init__(self, name: str = "accuracy"):
        super().__init__(name=name)
        self.right = self.add_weight(name="right", initializer="zeros")
        self.words = self.add_weight(name="words", initializer="zeros")

    def update_state(self, targets, logits, sample_weight=None):
        """Count the words of one batch."""
        mask = ops.cast(targets, "int32") != PAD
        hits = ops.logical_and(mask, ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int64")))
        self.right.assign_add(ops.sum(ops.cast(hits, "float32")))
        self.words.assign_add(ops.sum(ops.cast(mask, "float32")))

    def result(self):
        """Return right / words."""
        return self.right / ops.maximum(self.words, 1.0)


class ValidationCaptions(keras.callbacks.Callback):
    """Captions validation pictures after each epoch, and adds `val_CIDEr` to the logs."""

    def __init__(self, batches: CaptionBatches, tokenizer: Tokenizer, pictures: int = 200):
        """Take the validation batches, of which the first `pictures` are captioned."""
        super().__init__()
        records = batches.records[:pictures]
        ids = [record.image_id for record in records]
        store = batches.store
        features = store.averaged(ids) if batches.regions < store.regions else store.rows(ids)
        self._captions = FreeRunning(records, features, tokenizer, batches.max_words)

    def on_train_begin(self, logs=None):
        """Compile the step once, for all epochs."""
        self._compiled = self.model.compile_step()

    def on_epoch_end(self, epoch, logs=None):
        """Caption, show and score."""
        logs["val_CIDEr"] = self._captions.score(*self._compiled)


class Snapshots(keras.callbacks.Callback):
    """Keeps all that training needs to go on after a kill, and the weights of the best epoch.

    Written after each epoch under a temporary name and then renamed: weights, optimizer, seed generators, epoch, best
    score, patience and history. (Keras's BackupAndRestore forgets early stopping and the dropout seeds.)
    """

    def __init__(self, folder: Path, config: TrainingConfig):
        """Take the bundle's folder; training stops after `config.patience` epochs without a higher val_CIDEr."""
        super().__init__()
        self.folder, self.config = Path(folder), config
        self.history: list[dict[str, float]] = []

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Write everything down."""
        row = {"epoch": epoch} | {name: float(value) for name, value in logs.items()}
        self.history.append(row | {"seconds": time.perf_counter() - self._started})
        if best_epoch(self.history) == epoch:
            self._save_best()
        write_history(self.folder / "history.csv", self.history)
        self._save_last()  # last: a kill before it only makes the epoch run again
        if is_complete(self.history, self.config) and len(self.history) < self.config.epochs:
            print(f"No better val_CIDEr for {self.config.patience} epochs: training stops.")
            self.model.stop_training = True

    def restore(self, model: Decoder) -> int:
        """Set the model and this callback to where the last run was broken off.

        A complete training is known by its history and weights alone: what is for resuming may be missing.

        Returns:
            The epoch to go on with; 0 where there is nothing to restore.

        Raises:
            ValueError: the variables are those of another model.
        """
        last = self.folder / "last"
        written = read_history(self.folder / "history.csv")
        if is_complete(written, self.config) and (self.folder / "model.weights.h5").is_file():
            self.history = written
            return len(written)
        if not (last / "history.json").is_file():
            return 0
        self.history = json.loads((last / "history.json").read_text(encoding="utf-8"))
        variables = _all_variables(model)
        with np.load(last / "variables.npz") as archive:
            values = [archive[str(index)] for index in range(len(archive.files))]
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise ValueError(f"{last} is of another model; was its code changed? Delete {self.folder} and train anew.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return len(self.history)

    def _save_best(self) -> None:
        partial = self.folder / "partial.weights.h5"
        self.model.save_weights(partial)
        partial.replace(self.folder / "model.weights.h5")

    def _save_last(self) -> None:
        partial, last, old = (self.folder / name for name in ("last.part", "last", "last.old"))
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        values = {str(index): np.asarray(variable) for index, variable in enumerate(_all_variables(self.model))}
        np.savez(partial / "variables.npz", **values)
        (partial / "history.json").write_text(json.dumps(self.history), encoding="utf-8")
        if last.exists():
            last.rename(old)
        partial.rename(last)
        shutil.rmtree(old, ignore_errors=True)


def fit(
    model: Decoder,
    train: CaptionBatches,
    validation: CaptionBatches,
    tokenizer: Tokenizer,
    config: TrainingConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    stop_after: int | None = None,
) -> list[dict[str, float]]:
    """Train with `Model.fit`; a run that was broken off goes on where it was.

    Args:
        model: built; its features scaled.
        train: batches of the train split.
        validation: batches of the validation split.
        tokenizer: to write the validation captions out.
        config: how.
        folder: the bundle: gets the best weights, `last/`, `history.csv` and TensorBoard's `logs/`.
        callbacks: more of them, for example a test's.
        stop_after: train only so many of the epochs, with the rate of the whole training: for comparing beginnings.

    Returns:
        One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, val_CIDEr, seconds; both losses with label
        smoothing. The model has the best weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    snapshots = Snapshots(folder, config)
    compile_model(model, config, steps=train.steps_per_epoch * config.epochs)
    _finish_rename(folder)
    first_epoch = snapshots.restore(model)
    if not is_complete(snapshots.history, config):
        if first_epoch:
            print(f"Going on after epoch {first_epoch} of at most {config.epochs}.")
        model.fit(
            train.training(first_epoch, config.epochs),
            steps_per_epoch=train.steps_per_epoch,
            initial_epoch=first_epoch,
            epochs=min(config.epochs, stop_after or config.epochs),
            validation_data=validation.evaluation(),
            # The order matters: val_CIDEr must be in the logs before the others read them.
            callbacks=[
                ValidationCaptions(validation, tokenizer),
                snapshots,
                keras.callbacks.TensorBoard(folder / "logs", write_graph=False),
                *callbacks,
            ],
            shuffle=False,
            verbose=2,
        )
    model.load_weights(folder / "model.weights.h5")
    return snapshots.history


def compile_model(model: Decoder, config: TrainingConfig, steps: int) -> None:
    """Compile with the masked loss and AdamW, whose rate rises over 5 % of the steps and follows a cosine to 0."""
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        config.learning_rate / 10, max(1, steps - warmup), warmup_target=config.learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm)
    optimizer.build(model.trainable_variables)
    loss = masked_crossentropy(config.label_smoothing, config.mask_padding)
    model.compile(optimizer=optimizer, loss=loss, metrics=[MaskedAccuracy()], jit_compile=False)


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write one row per epoch as CSV, under a temporary name first."""
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    os.replace(partial, path)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read what `write_history` wrote; no rows where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [row | {"epoch": int(row["epoch"])} for row in rows]


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """Return the epoch of the highest val_CIDEr, the first of equal ones; -1 before the first."""
    return int(np.argmax([row["val_CIDEr"] for row in history])) if history else -1


def is_complete(history: Sequence[dict[str, float]], config) -> bool:
    """Tell whether a training has had all its epochs, or no better val_CIDEr for `patience` of them.

    Args:
        history: one row per epoch.
        config: with `epochs` and `patience`.
    """
    waited = len(history) - 1 - best_epoch(history)
    return bool(history) and (len(history) >= config.epochs or waited >= config.patience)


def _finish_rename(folder: Path) -> None:
    """Undo the one moment of a kill in which `last/` has been moved away and its successor not yet moved in."""
    if not (folder / "last").exists() and (folder / "last.old").exists():
        (folder / "last.old").rename(folder / "last")


def _all_variables(model: Decoder) -> list:
    """Return weights, dropout seeds and optimizer state; metrics start anew each epoch."""
    metrics = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in metrics]
    return [*own, *model.optimizer.variables]
