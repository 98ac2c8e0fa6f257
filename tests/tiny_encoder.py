"""A frozen CNN of two layers at 32 x 32 pixels, photos for it, and what its features must be."""

import dataclasses
import random
import threading

import keras
import numpy as np
from PIL import Image

from captioning.datasets.records import Record
from captioning.encoders import Encoder, EncoderSpec
from captioning.images import load_pixels
from captioning.provenance import content_digest

SIZE, REGIONS, CHANNELS = 32, 16, 6
NO_NETWORK = (
    "URL fetch failure on https://storage.googleapis.com/tensorflow/tiny.h5: None -- "
    "[Errno -3] Temporary failure in name resolution"
)


def build(weights=None, input_shape=None, include_top=True):
    """Do as the builders of keras.applications do; there is no network for the ImageNet weights."""
    layers = keras.layers
    pixels = keras.Input(input_shape)
    hidden = layers.Conv2D(4, 3, strides=4, padding="same", activation="tanh")(pixels)
    outputs = layers.Conv2D(CHANNELS, 3, strides=2, padding="same", activation="relu", name="last")(hidden)
    if include_top:
        outputs = layers.Dense(3)(layers.Flatten()(outputs))
    model = keras.Model(pixels, outputs)
    if weights == "imagenet":
        raise Exception(NO_NETWORK)  # Keras raises nothing more precise
    if weights is not None:
        model.load_weights(weights)
    return model


def preprocess(pixels):
    """Bring pixels into [-1, 1]."""
    return pixels / 127.5 - 1


SPEC = EncoderSpec(
    "tiny", build, {"include_top": False}, preprocess, "RGB in [-1, 1]", "last", SIZE, REGIONS, CHANNELS,
    "tiny_notop.weights.h5",
)  # fmt: skip


def tiny_encoder(seed=0, spec=SPEC, scale=1.0, bias=0.0):
    """Return an encoder whose weights depend on the seed alone; the last layer's are scaled and shifted."""
    model = build(None, (spec.size, spec.size, 3), include_top=False)
    generator = np.random.default_rng(seed)
    weights = [generator.normal(0, 0.3, value.shape).astype(np.float32) for value in model.get_weights()]
    model.set_weights([*weights[:2], weights[2] * scale, weights[3] * scale + np.float32(bias)])
    return Encoder(spec, model, "random")


def noise_records(folder, count):
    """Draw the photos that are missing and return their records; the ids are not in order."""
    folder.mkdir(exist_ok=True)
    records = []
    for number, image_id in enumerate(random.Random(3).sample(range(1000), 100)[:count]):
        file = folder / f"{image_id}.png"
        if not file.exists():
            noise = random.Random(image_id).randbytes(40 * 30 * 3)
            Image.frombytes("RGB", (40, 30), noise).save(file)
        records.append(Record(image_id, file, ("a photo",), ("train", "train", "val")[number % 3]))
    return records


def checked(records):
    """Return the records as the photo check leaves them: with the digest of each photo's content."""
    return [dataclasses.replace(r, content=content_digest(r.file.read_bytes())) for r in records]


def alone(record, encoder):
    """Encode one picture without any batch: float32 (regions, channels)."""
    return keras.ops.convert_to_numpy(encoder(load_pixels(record.file, SIZE)[None]))[0]


def assert_encoded(store, records, encoder):
    """The rows are the encoder's float32 values, rounded to the 11 bits of float16."""
    rows = store.rows(records)
    assert rows.dtype == np.float16 and rows.shape == (len(records), REGIONS, CHANNELS)
    single = np.array([alone(record, encoder) for record in records]).reshape(rows.shape)
    np.testing.assert_allclose(rows, single, rtol=2**-11 + 1e-4, atol=1e-6)


def state(folder):
    """Return name -> (bytes, time of the last change) of every file."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def contents(folder):
    """Return name -> bytes of every file."""
    return {name: content for name, (content, _) in state(folder).items()}


class Forbidden(Encoder):
    """An encoder that must not be called."""

    def __call__(self, pixels):
        raise AssertionError("the encoder was called")


def forbidden(encoder):
    """Return the encoder as one that must not be called."""
    return Forbidden(encoder.spec, encoder._model, encoder.weights)


class Counting(Encoder):
    """An encoder that counts the pictures that it is given; a filled up batch ends with black ones."""

    pictures, _lock = 0, threading.Lock()  # several batches are encoded at a time

    def run(self, pixels):
        with self._lock:
            self.pictures += int(pixels.any(axis=(1, 2, 3)).sum())
        return super().run(pixels)


def counting(encoder):
    """Return the encoder as one that counts."""
    return Counting(encoder.spec, encoder._model, encoder.weights)
