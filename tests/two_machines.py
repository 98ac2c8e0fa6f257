"""One of two machines that train together: `python -m tests.two_machines FOLDER DIES`, with TF_CONFIG set."""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import captioning.quiet  # noqa: F401 (first: it waits for the other machine)

import keras  # isort: skip
import numpy as np  # isort: skip

from captioning import devices  # isort: skip
from captioning.provenance import StaleError  # isort: skip
from captioning.training.snapshots import Snapshots  # isort: skip
from tests import small_training  # isort: skip
from tests.tiny import store_of, tiny_dataset, tokenizer_of  # isort: skip

CONFIG = replace(small_training.CONFIG, epochs=3, averaging=0.5, clip_norm=0.3)
BATCH = 5  # of twelve pictures: three on the one and two on the other machine; in the last batch one each


def parts(folder):
    """Return dataset, features and tokenizer, the same on each machine."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = tiny_dataset(folder, pictures=16, splits=("train", "train", "train", "val"))
    return dataset, store_of(dataset, folder), tokenizer_of(dataset)


class Dies(keras.callbacks.Callback):
    """Ends the process in the middle of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, dies: bool) -> None:
    """Train in a folder that both machines see, then in one that only this one sees."""
    number = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    own = folder / f"of {number}"
    made = parts(own)
    if number:
        Snapshots._write = None  # only the first machine writes
    try:
        if dies:
            try:
                small_training.run(made, own / "other", "gru", replace(CONFIG, epochs=3 + number), dropout=0.0)
            except StaleError as error:
                print(error)
        callbacks = [Dies()] if dies and number else []
        model, history = small_training.run(made, folder / "run", "gru", CONFIG, callbacks, dropout=0.0, batch=BATCH)
    except ConnectionError as error:
        print(error)
        return
    (own / "history.json").write_text(json.dumps(history))
    np.savez(own / "weights.npz", *model.get_weights())
    model, _ = small_training.run(made, own / "scratch", "gru", CONFIG, stop_after=1, dropout=0.0)
    if number:  # whatever the others hold, they get what the first one has
        for weight in model.trainable_weights:
            weight.assign(np.full(weight.shape, np.nan))
    devices.take_from_chief(model)
    np.savez(own / "scratch.npz", *model.get_weights())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "dies")
