"""What all Keras decoders share: scaled features, teacher forcing over all captions, a compiled step."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from captioning.environment import PRECISIONS, of_process
from captioning.lines import Lines, aligned
from captioning.models.compiled import CompiledStep
from captioning.quiet import start_quietly


@dataclass(frozen=True)
class DecoderConfig:
    """The sizes that every decoder needs."""

    vocabulary: int  # number of token ids, the special ones included
    regions: int  # per picture; 1 for a vector
    channels: int  # of the features


def for_each_caption(tokens, state):
    """Return tokens (batch, captions, steps) as (batch * captions, steps), and the state of the picture of each row."""
    captions, steps = ops.shape(tokens)[1:]
    state = tf.nest.map_structure(lambda array: ops.repeat(array, captions, axis=0), state)
    return ops.reshape(tokens, (-1, steps)), state


def side_by_side(rows, of_pictures):
    """Return rows (captions of all pictures, n) as (pictures, captions of each, n), for arrays of so many pictures."""
    return ops.reshape(rows, (ops.shape(of_pictures)[0], -1, rows.shape[-1]))


def product(rows, kernel):
    """Return rows (..., n) times a kernel (n, m), as one product: of several axes TensorFlow makes a slower one.

    XLA refuses that one in a loop over captions of any length.
    """
    found = ops.matmul(ops.reshape(rows, (-1, rows.shape[-1])), kernel)
    return ops.reshape(found, (*ops.shape(rows)[:-1], kernel.shape[-1]))


class Decoder(keras.Model):
    """A caption decoder over the features of a frozen encoder.

    Subclasses give `initial_state(features, training) -> state` and `step(tokens, state) -> Step`; for teacher forcing
    `unroll(tokens, state, training) -> hidden`, for tokens (batch, captions, steps) and the state of each picture, and
    `predict_words(hidden, training) -> logits`. `hidden` is all that a prediction needs: (batch, captions, steps,
    width), or (batch * captions, steps, width) with the captions of a picture one below the other. `predict_words`
    takes any axes before the last one, so that training may give it the real words alone.
    `call` puts the two together, and equals the same steps in a row.
    """

    kind = ""  # short name of the model, as bundles have it
    config_class: type[DecoderConfig] = DecoderConfig
    averaged = False  # whether it works on one vector per picture
    # Whether XLA compiles the steps of training, which it can for every decoder here. Measured on two cores of an AMD
    # EPYC: training is 1.8 (GRU) to 5 times slower (Transformer), and the first step takes 2 to 5 s more for every
    # other shape. On a GPU it is not measured: set it there to see.
    jit = False

    def __init__(self, config: DecoderConfig):
        super().__init__(autocast=False)  # raw features may be too large for float16: scaled first, then cast
        self.config = config
        self.normalization = keras.layers.Normalization(axis=-1, name="normalization", dtype="float32")

    def build(self, _=None) -> None:
        """Create all weights by running the decoder once on zeros, and keep their first values."""
        if not self.built:
            start_quietly()
            self.normalization.build((None, self.config.regions, self.config.channels))
            self.built = True
            zeros = np.zeros((1, self.config.regions, self.config.channels), np.float32)
            self({"features": zeros, "tokens": np.zeros((1, 1, 1), np.int32)})
            scaling = {id(variable) for variable in self.normalization.variables}
            self._first = {id(v): np.array(v) for v in self.own_variables if id(v) not in scaling}

    @property
    def own_variables(self) -> list:
        """All variables that make the decoder what it is: weights and dropout seeds, not the metrics."""
        metrics = {id(variable) for variable in self.metrics_variables}
        return [variable for variable in self.variables if id(variable) not in metrics]

    def describe(self) -> Lines:
        """Return a table of the weights: layer, array, its shape with what each axis is, number of parameters."""
        rows = [("layer", "array", "shape", "parameters")]
        for layer, arrays in itertools.groupby(self.weights, lambda weight: _layer_of(weight.path)):
            shapes = {weight.name: tuple(weight.shape) for weight in arrays if len(weight.shape)}
            rows += [(layer, name, _axes(layer, name, shapes), f"{math.prod(shapes[name]):,}") for name in shapes]
        seen = [""] + [row[0] for row in rows]
        rows = [("" if row[0] == before else row[0], *row[1:]) for before, row in zip(seen, rows, strict=False)]
        trained = sum(math.prod(weight.shape) for weight in self.trainable_weights)
        return aligned([*rows, ("together", "", "to train, without the normalization", f"{trained:,}")])

    def restart(self) -> None:
        """Set weights and dropout seeds to their first values, whatever has been done since; the scaling stays."""
        for variable in self.own_variables:
            if id(variable) in self._first:
                variable.assign(self._first[id(variable)])

    def scale_features(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Set the mean and variance per channel, fitted on the train split; they are saved with the weights.

        Args:
            mean: (channels,), in the unit of the features.
            variance: (channels,), in its square; positive.

        Raises:
            ValueError: they are not finite numbers.
        """
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise ValueError(
                "Mean or variance of the features is not a finite number: has the train split pictures with features? "
                "Look at the features in notebooks/03_vgg16_transfer_values.ipynb."
            )
        self.build()
        layer = self.normalization
        layer.adapt_mean.assign(mean)
        layer.adapt_variance.assign(variance)
        layer.finalize_state()

    @property
    def training_precision(self) -> str:
        """What the steps of training compute in: CAPTIONING_PRECISION, where that is not float32, the usual one."""
        asked = of_process("PRECISION")
        return self.compute_dtype if asked == "float32" else asked

    @contextlib.contextmanager
    def computing_in(self, precision: str) -> Iterator[None]:
        """Compute in another precision for a while, as in training; weights, normalization and loss stay in float32.

        Args:
            precision: float32, bfloat16 (some CPUs, newer GPUs) or float16 (GPUs; its loss must be scaled).

        Raises:
            ValueError: another one.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"The precision {precision!r} is none of {', '.join(PRECISIONS)}.")
        kept = [(layer, layer.dtype_policy) for layer in self._flatten_layers() if layer is not self.normalization]
        try:
            for layer, _ in kept:
                layer.dtype_policy = PRECISIONS[precision]
            yield
        finally:
            for layer, policy in kept:
                layer.dtype_policy = policy

    def standardize(self, features):
        """Return the features with mean 0 and deviation 1 per channel over the train split, to compute with."""
        return ops.cast(self.normalization(ops.cast(features, "float32")), self.compute_dtype)

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
        hidden = self.unroll(inputs["tokens"], state, training=training)
        logits = self.predict_words(hidden, training=training)
        return ops.reshape(logits, (-1, captions, steps, self.config.vocabulary))

    def of_picture(self, state) -> Any:
        """Return, in the structure of a state, which of its arrays a step takes with a row per picture.

        These belong to the picture and never change; where they have fewer rows than there are tokens, those of a
        picture lie side by side. A class with a step of its own may say so too; unless it does, there are none.
        """
        return tf.nest.map_structure(lambda _: False, state)

    def compile_step(self) -> tuple[Callable, CompiledStep]:
        """Return `initial_state` and `step` compiled for decoding, see `CompiledStep`.

        The first raises a ValueError for features that are not finite numbers.
        """
        config = self.config
        features = tf.TensorSpec((None, config.regions, config.channels), tf.float32)
        start = tf.function(lambda features: self.initial_state(features), input_signature=[features])

        def initial_state(features):
            features = tf.cast(features, tf.float32)  # of float16, as on disk, many times faster than NumPy
            if not tf.reduce_all(tf.math.is_finite(features)):
                raise ValueError("Features hold NaN or infinity: make them again with 03_vgg16_transfer_values.ipynb.")
            return start(features)

        return initial_state, CompiledStep(self)


def _layer_of(path: str) -> str:
    """Return the layer in a weight's path, without the model before and the recurrent cell and the array after it."""
    parts = path.split("/")[1:-1]
    return "/".join(part for part in parts if part not in ("gru_cell", "lstm_cell"))


def _axes(layer: str, name: str, shapes: dict[str, tuple[int, ...]]) -> str:
    """Return the shape of one array of a layer in words, for example "512 inputs, 3 x 256 units"."""
    *first, last = shapes[name]
    if "recurrent_kernel" in shapes:  # the parts of a recurrent cell, as the gates of an LSTM, side by side
        units = shapes["recurrent_kernel"][0]
        axis, width = {"kernel": "inputs", "bias": "biases"}.get(name, "units"), f"{last // units} x {units} units"
    else:
        axis = {"kernel": "inputs", "embeddings": "places" if "positions" in layer else "words"}.get(name, "inputs")
        named = {"kernel": "output", "bias": "output", "mean": "channel", "variance": "channel"}.get(name, "number")
        width = f"{last:,} {named}{'' if last == 1 else 's'}"
    return ", ".join([*(f"{size:,} {axis}" for size in first), width])
