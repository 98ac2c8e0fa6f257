"""The output layer at 10,000 words, with loss and gradients: all positions against the words that are there alone.

65 captions of COCO's lengths, padded to the longest of them; 512 numbers per position.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks import made
from benchmarks.timing import Line
from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import PAD
from captioning.training.loss import masked_crossentropy

TINY = {"vocabulary": 30, "units": 8, "batch": 2}


def lines(vocabulary: int = 10_000, units: int = 512, batch: int = 13) -> Iterator[Line]:
    """Yield the one line."""
    tokens = made.tokenizer(vocabulary).encode_batch(made.texts(batch * made.CAPTIONS, vocabulary))
    targets = tf.constant(tokens[:, 1:].reshape(batch, made.CAPTIONS, -1))
    hidden = tf.Variable(np.random.default_rng(0).normal(size=(*targets.shape, units)).astype(np.float32))
    layer = keras.layers.Dense(vocabulary)
    layer.build((None, units))

    @tf.function
    def whole():
        with tf.GradientTape() as tape:
            loss = masked_crossentropy()(targets, layer(hidden))
        return loss, *tape.gradient(loss, [hidden, *layer.trainable_variables])

    @tf.function
    def gathered():
        with tf.GradientTape() as tape:
            there = tf.where(targets != PAD)
            words = tf.gather_nd(targets, there)
            loss = masked_crossentropy()(words, layer(tf.gather_nd(hidden, there)))
        return loss, *tape.gradient(loss, [hidden, *layer.trainable_variables])

    def check():
        for one, other in zip(whole(), gathered(), strict=True):
            one, other = (tf.convert_to_tensor(array).numpy() for array in (one, other))
            np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(one).max())
        line.more["share of positions that are words"] = float(np.mean(targets.numpy() != PAD))

    captions = batch * made.CAPTIONS
    line = Line("output layer, 10,000 words", "captions", gathered, whole, check, captions, against="all positions")
    yield line
