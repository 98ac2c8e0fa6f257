"""Opening a store of 500,000 pictures: its index is read; a row is found by a picture's id and content."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import made
from benchmarks.timing import Line
from captioning.datasets.records import Record
from captioning.features import FeatureStore
from captioning.features.shards import Entry
from captioning.provenance import content_digest

TINY = {"pictures": 600}
CHANNELS = 2


def lines(pictures: int = 500_000) -> Iterator[Line]:
    """Yield the one line."""
    with tempfile.TemporaryDirectory() as folder:
        store, records = written(Path(folder), pictures)

        def opened():
            return FeatureStore(store)

        def check():
            few = records[:: max(1, pictures // 100)]
            rows = opened().rows(few)
            np.testing.assert_array_equal(rows[:, 0, 0], [record.image_id % 2048 for record in few])

        yield Line(f"opening a store of {pictures:,} pictures", "", opened, None, check, aim=1)


def written(folder: Path, pictures: int) -> tuple[Path, list[Record]]:
    """Write a store of rows of two numbers and return its folder, and its pictures."""
    target = folder / "inception_v3-made"
    contents = (content_digest(b"%d" % number) for number in range(pictures))
    records = [Record(n, folder / f"{n:012}.jpg", ("a",), "train", content=part) for n, part in enumerate(contents)]
    store = FeatureStore.for_writing(target, made.identity(1, CHANNELS))
    rows = np.repeat(np.arange(2048, dtype=np.float16)[:, None, None], CHANNELS, axis=-1)
    store.add([Entry(store.key(record), rows[record.image_id % 2048]) for record in records])
    return target, records
