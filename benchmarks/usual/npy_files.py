"""Features as the public tutorials keep and read them: a .npy file per picture, loaded by `tf.numpy_function`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from captioning.quiet import tensorflow as tf


def write(folder: Path, rows: Sequence[np.ndarray]) -> list[str]:
    """Write one file per picture in float32, as CNNs give it; return the names."""
    folder.mkdir(parents=True)
    names = [str(folder / f"{number:012}.npy") for number in range(len(rows))]
    for name, row in zip(names, rows, strict=True):
        np.save(name, row.astype(np.float32))
    return names


def batches(names: Sequence[str], batch: int) -> tf.data.Dataset:
    """Return batches of features in the order of the names, read in parallel and ahead."""

    def load(name):
        return tf.numpy_function(lambda path: np.load(path.decode()), [name], tf.float32)

    files = tf.data.Dataset.from_tensor_slices(list(names))
    return files.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch).prefetch(tf.data.AUTOTUNE)
