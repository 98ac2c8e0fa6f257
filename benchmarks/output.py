"""The output layer at 10,000 words, with loss and gradients: the words that are there alone, against all positions.

65 captions of COCO's lengths, padded to the longest of them; 512 numbers per position. The usual way predicts at every
position, takes Keras's cross-entropy, and leaves the padding out of the mean.
"""

from __future__ import annotations

from collections.abc import Iterator

import captioning.quiet  # noqa: F401

# isort: split
import keras
import numpy as np
import tensorflow as tf

from benchmarks import made
from benchmarks.timing import Line
from captioning.tokenizer import PAD
from captioning.training.loss import word_sums

TINY = {"vocabulary": 30, "units": 8, "batch": 2}


class OutputLayer:
    """What the loss asks of a decoder, with nothing before the output layer."""

    jit = False

    def __init__(self, hidden: np.ndarray, vocabulary: int):
        self.hidden, self.layer = tf.Variable(hidden), keras.layers.Dense(vocabulary)
        self.layer.build(hidden.shape)
        self.variables = [self.hidden, *(variable.value for variable in self.layer.trainable_variables)]

    def initial_state(self, features, training: bool) -> None:
        """Return no state."""

    def unroll(self, tokens, state, training: bool):
        """Return what is given for every position."""
        return tf.convert_to_tensor(self.hidden)

    def predict_words(self, hidden, training: bool = False):
        """Return the logits."""
        return self.layer(hidden)


def lines(vocabulary: int = 10_000, units: int = 512, batch: int = 13) -> Iterator[Line]:
    """Yield the one line."""
    tokens = made.tokenizer(vocabulary).encode_batch(made.texts(batch * made.CAPTIONS, vocabulary))
    tokens = tf.constant(tokens.reshape(batch, made.CAPTIONS, -1))
    inputs, targets = {"features": None, "tokens": tokens[..., :-1]}, tokens[..., 1:]
    hidden = np.random.default_rng(0).normal(size=(*targets.shape, units)).astype(np.float32)
    model = OutputLayer(hidden, vocabulary)

    @tf.function
    def words():
        with tf.GradientTape() as tape:
            sums = word_sums(model, inputs, targets, training=True)
            loss = sums.trained / sums.words_trained
        return loss, *tape.gradient(loss, model.variables)

    @tf.function
    def positions():
        with tf.GradientTape() as tape:
            logits = model.predict_words(model.hidden)
            nats = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
            there = tf.cast(targets != PAD, tf.float32)
            loss = tf.reduce_sum(nats * there) / tf.reduce_sum(there)
        return loss, *tape.gradient(loss, model.variables)

    def check():
        for one, other in zip(words(), positions(), strict=True):
            one, other = (tf.convert_to_tensor(array).numpy() for array in (one, other))
            np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(one).max())
        line.more["share of positions that are words"] = float(np.mean(targets.numpy() != PAD))

    captions, name = batch * made.CAPTIONS, f"output layer, {vocabulary:,} words"
    line = Line(name, "captions", words, positions, check, captions, aim=2.2, against="all positions")
    yield line
