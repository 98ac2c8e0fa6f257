"""Extraction of photos (640 x 480, JPEG) into the store against the bare forward pass on the same pixels in memory.

The forward pass is compiled by `tf.function`, in batches of 16 in float32: no photo is opened, nothing is checked,
nothing is written.
"""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import made
from benchmarks.timing import Line
from captioning import encoders, features
from captioning.images import load_pixels
from captioning.provenance import content_digest
from captioning.quiet import tensorflow as tf

BATCH = 16
# Encoder -> pictures, and the share of the bare pass's rate to reach.
ENCODERS = {"vgg16": (32, 0.95), "inception_v3": (64, 0.93), "resnet50": (64, 0.93), "mobilenet": (256, 0.80)}
TINY = {"chosen": {"mobilenet": (2, 0.80)}}


def lines(chosen: dict = ENCODERS) -> Iterator[Line]:
    """Yield a line per encoder."""
    with tempfile.TemporaryDirectory() as folder:
        most = max(pictures for pictures, _ in chosen.values())
        records = made.photos(Path(folder) / "photos", most)
        records = [dataclasses.replace(r, content=content_digest(r.file.read_bytes())) for r in records]
        for name, (pictures, aim) in chosen.items():
            yield _line(name, records[:pictures], aim, Path(folder))


def _line(name: str, records: list, aim: float, folder: Path) -> Line:
    encoder = encoders.load(name, "random", None)
    size = encoder.spec.size
    pixels = np.stack([load_pixels(record.file.read_bytes(), size, record.file.name) for record in records])
    bare = tf.function(encoder, input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)])
    numbers = itertools.count()

    def ours():
        return features.extract(records, encoder, folder / f"{name}-{next(numbers)}")

    def forward():
        return [bare(pixels[start : start + BATCH]).numpy() for start in range(0, len(pixels), BATCH)]

    def check():
        kept, expected = ours().rows(records).astype(np.float32), np.concatenate(forward())
        np.testing.assert_allclose(kept, expected, rtol=2e-3, atol=2e-3 * expected.max())

    return Line(
        f"extraction, {name}", "pictures", ours, forward, check, len(records), aim=aim, against="bare forward pass"
    )
