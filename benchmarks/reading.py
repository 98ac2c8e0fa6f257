"""Reading features: batches of training from the store against one .npy per picture, 64 x 2048 numbers each.

Both read files that the system has in memory, give batches of 16 pictures, and read ahead, over some epochs. The same
compiled loop takes the batches of both, and widens them to float32 where they are not. (The tutorials read a picture's
file again for each of its captions; that is not counted here.)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import made
from benchmarks.timing import Line
from benchmarks.usual import npy_files
from captioning.batches import CaptionBatches
from captioning.quiet import tensorflow as tf

TINY = {"pictures": 8, "regions": 4, "channels": 6, "batch": 4, "epochs": 2}


@tf.function
def _read(batches, count):
    """Take so many batches; return the first number of each picture, and the last batch: each is widened whole."""
    found, rows = tf.TensorArray(tf.float32, count, infer_shape=False), tf.zeros((0, 0, 0))
    for number in tf.range(count):
        tf.autograph.experimental.set_loop_options(shape_invariants=[(rows, tf.TensorShape((None, None, None)))])
        batch = next(batches)
        features = batch if tf.is_tensor(batch) else batch[0]["features"]
        rows = tf.ensure_shape(tf.cast(features, tf.float32), (None, None, None))
        found = found.write(number, rows[:, 0, 0])
    return found.concat(), rows


def lines(
    pictures: int = 1024, regions: int = 64, channels: int = 2048, batch: int = 16, epochs: int = 8
) -> Iterator[Line]:
    """Yield the one line."""
    with tempfile.TemporaryDirectory() as folder:
        records = made.records(pictures, 5000)
        store = made.store(Path(folder), records, regions, channels)
        batches = CaptionBatches(records, store, made.tokenizer(5000), batch_size=batch)
        names = npy_files.write(Path(folder) / "npy", store.rows(records))
        steps = epochs * batches.steps_per_epoch

        def ours():
            return _read(iter(batches.training(0, epochs)), steps)

        def usual():
            return _read(iter(npy_files.batches(epochs * names, batch)), steps)

        def check():
            given = [inputs["features"].numpy() for inputs, _ in batches.training(0, 1)]
            theirs = [rows.numpy() for rows in npy_files.batches(names, batch)]
            given, theirs = (np.concatenate(parts).sum(axis=(1, 2), dtype=np.float64) for parts in (given, theirs))
            np.testing.assert_array_equal(np.sort(given), np.sort(theirs))
            np.testing.assert_array_equal(*(np.sort(way()[0]) for way in (ours, usual)))  # every picture in every epoch
            sizes = [sum(file.stat().st_size for file in Path(folder).rglob(kind)) for kind in ("*.f16", "*.npy")]
            line.more["bytes on disk, as a share"] = sizes[0] / sizes[1]

        line = Line(
            "reading features", "pictures", ours, usual, check, epochs * pictures, aim=10,
            against="one .npy per picture",
        )  # fmt: skip
        yield line
