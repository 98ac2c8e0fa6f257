"""What all Keras decoders share: scaled features, teacher forcing over all captions, a compiled step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from captioning.decoding import Step


@dataclass(frozen=True)
class DecoderConfig:
    """The sizes that every decoder needs."""

    vocabulary: int  # number of token ids, the special ones included
    regions: int  # per picture; 1 for a vector
    channels: int  # of the features


def for_each_caption(tokens, state):
    """Return the captions one below the other, and for each of them the state of its picture.

    Args:
        tokens: (batch, captions, steps).
        state: nested arrays (batch, ...).

    Returns:
        Tokens (batch * captions, steps) and the state, nested arrays (batch * captions, ...).
    """
    captions, steps = ops.shape(tokens)[1:]
    state = tf.nest.map_structure(lambda array: ops.repeat(array, captions, axis=0), state)
    return ops.reshape(tokens, (-1, steps)), state


class Decoder(keras.Model):
    """A caption decoder over the features of a frozen encoder.

    Subclasses give `initial_state(features, training) -> state`, `step(tokens, state) -> Step` and
    `unroll(tokens, state, training) -> logits`, for tokens (batch, captions, steps) and the state of each picture;
    `call` with teacher forcing equals the same steps in a row.
    """

    averaged = False  # whether it works on one vector per picture

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.normalization = keras.layers.Normalization(axis=-1, name="normalization")

    def build(self, _=None) -> None:
        """Create all weights by running the decoder once on zeros."""
        if not self.built:
            self.normalization.build((None, self.config.regions, self.config.channels))
            self.built = True
            zeros = np.zeros((1, self.config.regions, self.config.channels), np.float32)
            self({"features": zeros, "tokens": np.zeros((1, 1, 1), np.int32)})

    def scale_features(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Set the mean and variance per channel, fitted on the train split; they are saved with the weights.

        Args:
            mean: (channels,), in the unit of the features.
            variance: (channels,), in its square; positive.
        """
        self.build()
        layer = self.normalization
        layer.adapt_mean.assign(mean)
        layer.adapt_variance.assign(variance)
        layer.finalize_state()

    def standardize(self, features):
        """Return the features as float32 with mean 0 and deviation 1 per channel over the train split."""
        return self.normalization(ops.cast(features, "float32"))

    def call(self, inputs: dict[str, Any], training: bool = False):
        """Predict every next word with teacher forcing.

        Args:
            inputs: "features" (batch, regions, channels) and "tokens" (batch, captions, steps), START first.
            training: whether dropout is on.

        Returns:
            Logits (batch, captions, steps, vocabulary).
        """
        captions, steps = ops.shape(inputs["tokens"])[1:]
        state = self.initial_state(inputs["features"], training=training)
        logits = self.unroll(inputs["tokens"], state, training=training)
        return ops.reshape(logits, (-1, captions, steps, self.config.vocabulary))

    def compile_step(self) -> tuple[Callable, Callable]:
        """Return `initial_state` and `step` compiled for decoding; NumPy in, tensors out."""
        config = self.config
        features = tf.TensorSpec((None, config.regions, config.channels), tf.float32)
        start = tf.function(lambda features: self.initial_state(features), input_signature=[features])
        step = tf.function(lambda tokens, state: tuple(self.step(tokens, state)), reduce_retracing=True)

        def initial_state(features):
            return start(np.asarray(features, np.float32))

        def take_step(tokens, state):
            return Step(*step(tf.constant(tokens, tf.int32), tf.nest.map_structure(tf.convert_to_tensor, state)))

        return initial_state, take_step
