"""All that a training needs to go on after a kill, written after each epoch."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import keras
import numpy as np

from captioning.models.decoder import Decoder
from captioning.training.config import TrainingConfig
from captioning.training.history import best_epoch, is_complete, read_history, write_history


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


def finish_rename(folder: Path) -> None:
    """Undo the one moment of a kill in which `last/` has been moved away and its successor not yet moved in."""
    if not (folder / "last").exists() and (folder / "last.old").exists():
        (folder / "last.old").rename(folder / "last")


def _all_variables(model: Decoder) -> list:
    """Return weights, dropout seeds and optimizer state; metrics start anew each epoch."""
    metrics = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in metrics]
    return [*own, *model.optimizer.variables]
