"""The from-scratch captioner: a vanilla RNN or an LSTM started from the image, NumPy only, no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from captioning import decoding
from captioning.decoding import Caption, Step
from captioning.from_scratch.layers import (
    affine_backward,
    affine_forward,
    dropout_backward,
    dropout_forward,
    embedding_backward,
    embedding_forward,
    temporal_softmax_loss,
)
from captioning.from_scratch.pooling import pool_regions
from captioning.from_scratch.weights import CELLS, CaptioningRNNConfig, first_weights
from captioning.tokenizer import PAD
from captioning.training.archive import copy_into, read_arrays, write_arrays


class CaptioningRNN:
    """A decoder that starts its state from the image and predicts the caption word by word.

    The first state is tanh(image W + b), as `f_init` of Xu et al. 2015; then word vectors -> RNN or LSTM -> affine
    -> softmax over the vocabulary, as in Karpathy & Fei-Fei 2015, section 3.2.

    Attributes:
        config: the settings.
        parameters: the weights by name; an optimizer changes them in place.
    """

    averaged = True  # it works on one vector per picture, as `models.decoder.Decoder` says it of itself

    def __init__(self, config: CaptioningRNNConfig, channel_mean: Any = 0, channel_deviation: Any = 1):
        """Draw the first weights from the seed of the settings.

        Args:
            config: sizes and knobs.
            channel_mean, channel_deviation: (channels,), from `channel_statistics` of the train split; without them
                the features must be standardized already.
        """
        self.config = config
        self.channel_mean = self._channels(channel_mean)
        self.channel_deviation = self._channels(channel_deviation)
        self.parameters = first_weights(config)
        self._cell = CELLS[config.cell]

    @property
    def kind(self) -> str:
        """Short name of the model, as bundles have it."""
        return f"numpy_{self.config.cell}"

    def loss(
        self, features: np.ndarray, tokens: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Average -log p(word | image, words before it) over the real words, with its gradients.

        END counts as a word, START is never predicted, PAD is left out (Vinyals et al. 2015, equation 13, per
        word).

        Args:
            features: (batch, regions, channels) or (batch, channels), any float type.
            tokens: (batch, steps), START ... END PAD.
            rng: draws the dropout; None means none, as in `step`.

        Returns:
            The loss in nats per word, and its gradient with respect to each of `parameters`, by name.

        Raises:
            ValueError: features or tokens that do not fit the settings, or no word at all.
        """
        tokens = self._checked(tokens, len(features))
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        words = targets != PAD
        states, caches = self._run(features, inputs, rng)
        # Padding is left out before the largest product, not only masked after it: (words, units).
        kept, output_dropout = dropout_forward(states[words], self.config.dropout, rng)
        logits, output = affine_forward(kept, *self._weights("output_kernel", "output_bias"))
        loss, gradient = temporal_softmax_loss(logits, targets[words], np.ones(len(logits), bool))
        gradient, by_kernel, by_bias = affine_backward(gradient, output)
        by_states = np.zeros_like(states)
        by_states[words] = dropout_backward(gradient, output_dropout)
        gradients = {"output_kernel": by_kernel, "output_bias": by_bias}
        return loss, gradients | self._run_backward(by_states, caches)

    def score(self, features: np.ndarray, tokens: np.ndarray) -> tuple[float, float]:
        """Return the loss without dropout, and the share of the words guessed right; arguments as for `loss`."""
        tokens = self._checked(tokens, len(features))
        targets, words = tokens[:, 1:], tokens[:, 1:] != PAD
        states, _ = self._run(features, tokens[:, :-1], None)
        logits, _ = affine_forward(states[words], *self._weights("output_kernel", "output_bias"))
        loss, _ = temporal_softmax_loss(logits, targets[words], np.ones(len(logits), bool))
        return loss, float((logits.argmax(axis=1) == targets[words]).mean())

    def initial_state(self, features: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the state before START: (hidden,) of the RNN, (hidden, cell) of the LSTM, (batch, units) each.

        Args:
            features: (batch, regions, channels) or (batch, channels), any float type; regions are averaged.

        Raises:
            ValueError: other channels than in the settings, or a feature that is not finite.
        """
        image = self._standardized(features)
        start, _ = affine_forward(image, *self._weights("image_kernel", "image_bias"))
        return tuple(np.split(np.tanh(start), self._cell.states, axis=1))

    def step(self, tokens: np.ndarray, state: tuple[np.ndarray, ...]) -> Step:
        """Read one token per row and score the next one.

        Args:
            tokens: (batch,) token ids.
            state: from `initial_state` or an earlier step.

        Returns:
            Logits (batch, vocabulary), the new state, and None: there is no attention.
        """
        vectors, _ = embedding_forward(np.asarray(tokens), *self._weights("embedding"))
        *state, _ = self._cell.step_forward(vectors, *state, *self._recurrent())
        logits, _ = affine_forward(state[0], *self._weights("output_kernel", "output_bias"))
        return Step(logits, tuple(state), None)

    def compile_step(self) -> tuple[Callable, Callable]:
        """Return `initial_state` and `step`, as the Keras decoders do; here nothing is left to compile."""
        return self.initial_state, self.step

    def sample(
        self, features: np.ndarray, max_length: int = 20, temperature: float = 1.0, seed: int = 0
    ) -> list[Caption]:
        """Draw one caption per image by `captioning.decoding.sample`; see there for the arguments."""
        state = self.initial_state(features)
        return decoding.sample(self.step, state, max_length, temperature=temperature, seed=seed)

    def save(self, path: Path | str) -> None:
        """Write settings, channel statistics and weights as one .npz without pickle."""
        write_arrays(path, self.arrays())

    @classmethod
    def load(cls, path: Path | str) -> CaptioningRNN:
        """Read a captioner that `save` wrote, or the one in a training checkpoint.

        Raises:
            ValueError: the file is no such captioner, or is damaged.
        """
        return cls.from_arrays(read_arrays(path), path)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that is saved, by name; the settings are JSON text."""
        weights = {f"parameters/{name}": values for name, values in self.parameters.items()}
        settings = np.array(json.dumps(asdict(self.config)))
        statistics = {"channel_mean": self.channel_mean, "channel_deviation": self.channel_deviation}
        return {"config": settings, **statistics, **weights}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], source: Path | str) -> CaptioningRNN:
        """Build a captioner from what `arrays` returned; `source` names the file in errors.

        Raises:
            ValueError: a setting or an array is missing, unknown or of the wrong shape.
        """
        try:
            config = CaptioningRNNConfig(**json.loads(str(arrays["config"])))
            model = cls(config, arrays["channel_mean"], arrays["channel_deviation"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{source} holds no NumPy captioner: {error!r}. Train it again.") from error
        copy_into(model.parameters, arrays, "parameters/", source)
        return model

    def _run(self, features, inputs, rng) -> tuple:
        """Return the hidden states (batch, steps, units) of whole captions, and the caches."""
        rate = self.config.dropout
        image, _ = dropout_forward(self._standardized(features), rate, rng)
        start, image_cache = affine_forward(image, *self._weights("image_kernel", "image_bias"))
        start = np.tanh(start)
        vectors, embedding_cache = embedding_forward(inputs, *self._weights("embedding"))
        vectors, dropout = dropout_forward(vectors, rate, rng)
        first = np.split(start, self._cell.states, axis=1)
        states, cache = self._cell.forward(vectors, *first, *self._recurrent())
        return states, (start, image_cache, embedding_cache, dropout, cache)

    def _run_backward(self, by_states, caches) -> dict[str, np.ndarray]:
        """Return the gradients with respect to all weights up to the hidden states."""
        start, image_cache, embedding_cache, dropout, cache = caches
        by_vectors, *by_first, by_kernel, by_recurrent, by_bias = self._cell.backward(
            by_states, cache, self.config.through_time
        )
        by_start = np.concatenate(by_first, axis=1) * (1 - start**2)
        _, by_image_kernel, by_image_bias = affine_backward(by_start, image_cache)
        by_table = embedding_backward(dropout_backward(by_vectors, dropout), embedding_cache)
        return {
            "image_kernel": by_image_kernel,
            "image_bias": by_image_bias,
            "embedding": by_table,
            "kernel": by_kernel,
            "recurrent_kernel": by_recurrent,
            "bias": by_bias,
        }

    def _weights(self, *names: str) -> list[np.ndarray]:
        return [self.parameters[name] for name in names]

    def _recurrent(self) -> list[np.ndarray]:
        return self._weights("kernel", "recurrent_kernel", "bias")

    def _channels(self, values: Any) -> np.ndarray:
        """Return one finite number per channel."""
        values = np.asarray(values, self.config.dtype)
        if values.shape not in ((), (self.config.channels,)) or not np.isfinite(values).all():
            raise ValueError(
                f"Mean and deviation must be {self.config.channels} finite numbers, not of shape {values.shape}."
            )
        return np.broadcast_to(values, (self.config.channels,)).copy()

    def _standardized(self, features: np.ndarray) -> np.ndarray:
        """Return (batch, channels): regions averaged, channels of mean 0 and deviation 1 over train."""
        image = pool_regions(features, self.config.dtype)
        if image.shape[1] != self.config.channels:
            raise ValueError(f"Features have {image.shape[1]} channels; the model reads {self.config.channels}.")
        if not np.isfinite(image).all():
            raise ValueError("Features hold a number that is not finite: make their shards again.")
        # A channel that never varied over train has deviation 0 and carries nothing.
        varies = self.channel_deviation > 0
        return np.where(varies, image - self.channel_mean, 0) / np.where(varies, self.channel_deviation, 1)

    def _checked(self, tokens: np.ndarray, batch: int) -> np.ndarray:
        """Return the tokens without the columns that are padding only."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or len(tokens) != batch:
            raise ValueError(f"Tokens must be (batch, steps) for {batch} images, not {tokens.shape}.")
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.config.vocabulary:
            raise ValueError(f"A token id is outside the vocabulary of {self.config.vocabulary} ids.")
        used = np.flatnonzero((tokens != PAD).any(axis=0))
        return tokens[:, : used[-1] + 1 if used.size else 1]
