"""Reading features: batches of training from the store against one .npy per picture, 64 x 2048 numbers each.

Both read files that the system has in memory, give batches of 16 pictures in float32, each once, and read ahead.
(The tutorials read a picture's file again for each of its captions; that is not counted here.)
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

TINY = {"pictures": 6, "regions": 4, "channels": 6, "batch": 4}


def lines(pictures: int = 1024, regions: int = 64, channels: int = 2048, batch: int = 16) -> Iterator[Line]:
    """Yield the one line."""
    with tempfile.TemporaryDirectory() as folder:
        records = made.records(pictures, 5000)
        store = made.store(Path(folder), records, regions, channels)
        batches = CaptionBatches(records, store, made.tokenizer(5000), batch_size=batch)
        # In the order of the epoch, so that both give the same batches.
        order = np.concatenate([numbers for numbers, _ in batches.pictures(0)])
        names = npy_files.write(Path(folder) / "npy", store.rows([records[number] for number in order]))

        def ours():
            for _ in (tf.cast(inputs["features"], tf.float32) for inputs, _ in batches.training(0, 1)):
                pass

        def usual():
            for _ in npy_files.batches(names, batch):
                pass

        def check():
            kept = [tf.cast(inputs["features"], tf.float32).numpy() for inputs, _ in batches.training(0, 1)]
            theirs = [rows.numpy() for rows in npy_files.batches(names, batch)]
            kept, theirs = (np.concatenate(parts).sum(axis=(1, 2)) for parts in (kept, theirs))
            np.testing.assert_array_equal(np.sort(kept), np.sort(theirs))
            sizes = [sum(file.stat().st_size for file in Path(folder).rglob(kind)) for kind in ("*.f16", "*.npy")]
            line.more["bytes on disk, as a share"] = sizes[0] / sizes[1]

        line = Line(
            "reading features", "pictures", ours, usual, check, pictures, aim=10, against="one .npy per picture"
        )
        yield line
