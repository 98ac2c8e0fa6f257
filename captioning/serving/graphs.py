"""Any captioner as three TensorFlow graphs of fixed form: what the exports are made of."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from captioning.bundle import Bundle, BundleError, Captioner
from captioning.decoding import Step
from captioning.encoders import Encoder
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.quiet import start_quietly
from captioning.quiet import tensorflow as tf


class Graphs:
    """The encoder, the first state and one step of a captioner; the batch axis comes first and may have any length.

    Attributes:
        start: features float32 (batch, regions, channels), raw -> state, a tuple of arrays.
        step: tokens int32 (batch,), *state -> logits float32 (batch, vocabulary), *state, and where the model attends,
            attention float32 (batch, regions).
        attends: whether the step gives its attention.
    """

    def __init__(self, bundle: Captioner):
        """Trace the decoder of a bundle; the encoder is only needed for `encode`. A BundleError for an ensemble."""
        if not isinstance(bundle, Bundle):
            raise BundleError(f"{bundle.folder} is an ensemble, which is not exported: export one of its members.")
        start_quietly()
        self.bundle, encoder = bundle, bundle.settings["encoder"]
        features = tf.TensorSpec((None, encoder["regions"], encoder["channels"]), tf.float32, "features")
        first, step = _functions_of(bundle.model)

        def start(features: Any) -> Any:
            if bundle.model.averaged:
                features = tf.reduce_mean(features, axis=1, keepdims=True)
            return first(features)

        nested = tf.function(start).get_concrete_function(features).structured_outputs
        state = [
            tf.TensorSpec([None, *a.shape[1:]], a.dtype, f"state_{i}") for i, a in enumerate(tf.nest.flatten(nested))
        ]

        def flat_step(tokens: Any, *arrays: Any) -> tuple:
            logits, after, attention = step(tokens, tf.nest.pack_sequence_as(nested, arrays))
            after = (tf.ensure_shape(a, spec.shape) for a, spec in zip(tf.nest.flatten(after), state, strict=True))
            seen = () if attention is None else (tf.cast(attention, tf.float32),)
            return tf.cast(logits, tf.float32), *after, *seen

        self.start = tf.function(lambda features: tuple(tf.nest.flatten(start(features))), input_signature=[features])
        self.step = tf.function(flat_step, input_signature=[tf.TensorSpec((None,), tf.int32, "tokens"), *state])
        self.attends = len(self.step.get_concrete_function().structured_outputs) > 1 + len(state)
        states, following = [spec.name for spec in state], [f"next_{i}" for i in range(len(state))]
        self.names = {  # of what goes into each graph and comes out
            "encoder": (["pixels"], ["features"]),
            "start": (["features"], states),
            "step": (["tokens", *states], ["logits", *following, *["attention"] * self.attends]),
        }

    @cached_property
    def _encoder(self) -> Encoder:
        """The CNN in float32: what runs it elsewhere may not know other precisions."""
        return self.bundle.encoder.in_float32()

    @cached_property
    def encode(self) -> tf.types.experimental.PolymorphicFunction:
        """Pixels uint8 (batch, size, size, 3) -> features float32, rounded to float16 as they are kept on disk."""
        encoder = self._encoder
        pixels = tf.TensorSpec((None, encoder.spec.size, encoder.spec.size, 3), tf.uint8, "pixels")
        return tf.function(
            lambda pixels: tf.cast(tf.cast(encoder(pixels), tf.float16), tf.float32), input_signature=[pixels]
        )

    def module(self, name: str) -> tuple[tf.Module, dict[str, Callable]]:
        """Return what a SavedModel of one of the graphs holds: weights, and the function with named results."""
        module = tf.Module()
        module.weights = [getattr(self.bundle.model, "variables", ())]
        if name == "encoder":
            module.weights.append(self._encoder._model.variables)
        function = self.encode if name == "encoder" else getattr(self, name)
        return module, {name: _named(function, self.names[name][1])}


def _named(function: Any, outputs: list[str]) -> Callable:
    """Return a function whose results carry names, as a signature wants them."""

    def named(*inputs: Any) -> dict[str, Any]:
        results = function(*inputs)
        return dict(zip(outputs, results if isinstance(results, tuple) else (results,), strict=True))

    return tf.function(named, input_signature=function.input_signature)


def _functions_of(model: Any) -> tuple[Callable, Callable]:
    """Return `initial_state` and `step` of a decoder in TensorFlow's operations."""
    if not isinstance(model, CaptioningRNN):
        return model.initial_state, model.step
    weights, varies = model.parameters, model.channel_deviation > 0
    step_forward = _lstm_step if model.config.cell == "lstm" else _rnn_step

    def initial_state(features: Any) -> tuple:
        image = tf.cast(features[:, 0], model.config.dtype)
        image = tf.where(varies, image - model.channel_mean, 0) / np.where(varies, model.channel_deviation, 1)
        start = tf.tanh(image @ weights["image_kernel"] + weights["image_bias"])
        return tuple(tf.split(start, model._cell.states, axis=1))

    def step(tokens: Any, state: tuple) -> Step:
        words = tf.gather(weights["embedding"], tokens)
        sums = words @ weights["kernel"] + state[0] @ weights["recurrent_kernel"] + weights["bias"]
        state = step_forward(sums, *state)
        return Step(state[0] @ weights["output_kernel"] + weights["output_bias"], state)

    return initial_state, step


def _rnn_step(sums: Any, *_: Any) -> tuple:
    """Do what `from_scratch.cells.rnn_step_forward` does with the sums before the gates."""
    return (tf.tanh(sums),)


def _lstm_step(sums: Any, *state: Any) -> tuple:
    """Do what `from_scratch.cells.lstm_step_forward` does with the sums before the gates."""
    keep_in, forget, candidate, out = tf.split(sums, 4, axis=1)
    cell = tf.sigmoid(forget) * state[1] + tf.sigmoid(keep_in) * tf.tanh(candidate)
    return tf.sigmoid(out) * tf.tanh(cell), cell
