"""All that a training run needs to resume after a kill, written after each epoch."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from captioning import devices
from captioning.files import DamagedError, write_atomically
from captioning.models.decoder import Decoder
from captioning.provenance import StaleError, difference
from captioning.quiet import keras
from captioning.training.archive import read_arrays, write_arrays
from captioning.training.config import TrainingConfig
from captioning.training.history import History, best_epoch, finished, is_complete, write_history


class Snapshots(keras.callbacks.Callback):
    """Keeps all that training needs to resume after a kill, and the weights of the best epoch.

    The snapshot is one file: weights, optimizer, seed generators and history, from which epoch, best score and patience
    follow. (Keras's BackupAndRestore forgets early stopping and the dropout seeds.)
    """

    def __init__(self, folder: Path, config: TrainingConfig):
        """Take the bundle's folder; training stops after `config.patience` epochs without a better one."""
        super().__init__()
        self.folder, self.config = Path(folder), config
        self.weights, self.snapshot = self.folder / "model.weights.h5", self.folder / "last" / "checkpoint.npz"
        self.history: History = []

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Write everything down."""
        row = {"epoch": epoch} | {name: float(value) for name, value in logs.items()}
        self.history.append(row | {"seconds": time.perf_counter() - self._started})
        if devices.is_chief(self.model.distribute_strategy):
            self._write(epoch)
        if is_complete(self.history, self.config):
            self.model.stop_training = True

    def _write(self, epoch: int) -> None:
        if best_epoch(self.history) == epoch:
            with write_atomically(self.weights) as draft, without_optimizer(self.model):
                self.model.save_weights(draft)
        write_history(self.folder / "history.csv", self.history)
        self._save_snapshot()  # last: a kill before it only makes the epoch run again

    def restore(self, model: Decoder) -> int:
        """Set model and callback to where the last run was interrupted, return the epoch; to the first weights and 0.

        Raises:
            StaleError: the snapshot is of another model.
            DamagedError: the snapshot cannot be read.
        """
        self.history = finished(self.weights, self.config)
        if self.history:
            return len(self.history)
        if not self.snapshot.is_file():
            model.restart()
            return 0
        try:
            arrays = read_arrays(self.snapshot)
            kept, self.history = json.loads(str(arrays["variables"])), json.loads(str(arrays["history"]))
        except (ValueError, KeyError) as error:
            raise DamagedError(f"{self.snapshot} is damaged: {error}. Delete {self.folder}, train again.") from error
        variables = _named_variables(model)
        if found := difference(kept, _kinds(model, variables)):
            raise StaleError(
                f"{self.snapshot} is of another model: {found}; was its code or the precision changed? "
                f"Delete {self.folder} and train again."
            )
        for name, variable in variables.items():
            variable.assign(arrays[f"variables/{name}"])
        return len(self.history)

    def _save_snapshot(self) -> None:
        variables = _named_variables(self.model)
        texts = {"variables": _kinds(self.model, variables), "history": self.history}
        texts = {name: np.array(json.dumps(content)) for name, content in texts.items()}
        values = {f"variables/{name}": np.asarray(variable) for name, variable in variables.items()}
        write_arrays(self.snapshot, texts | values)


@contextmanager
def without_optimizer(model: keras.Model) -> Iterator[None]:
    """Save or load weights alone: Keras would add the optimizer, three times their size."""
    optimizer, model.optimizer = model.optimizer, None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _named_variables(model: Decoder) -> dict:
    """Return weights, dropout seeds and optimizer state by name; metrics start again in each epoch."""
    # Without the model's own name and the numbers that Keras counts up in a process.
    own = [(re.sub(r"_\d+(?=/|$)", "", variable.path.split("/", 1)[-1]), variable) for variable in model.own_variables]
    met: Counter[str] = Counter()
    named = {}
    for name, variable in own + [("optimizer", variable) for variable in model.optimizer.variables]:
        met[name] += 1
        named[f"{name} {met[name]}"] = variable
    return named


def _kinds(model: Decoder, variables: dict) -> dict:
    """Return what a snapshot must fit: precision of the computation, and type and shape of each variable."""
    kinds = {name: f"{variable.dtype} {list(variable.shape)}" for name, variable in variables.items()}
    own = {name: kind for name, kind in kinds.items() if not name.startswith("optimizer ")}
    # The weights first: their names say more than those of the optimizer.
    return {"precision": model.dtype_policy.name, "weights": own, "optimizer": kinds}
