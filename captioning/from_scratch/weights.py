"""Settings and first weights of the from-scratch captioner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from captioning.from_scratch.cells import (
    lstm_backward,
    lstm_forward,
    lstm_step_forward,
    rnn_backward,
    rnn_forward,
    rnn_step_forward,
)
from captioning.tokenizer import SPECIAL


class Cell(NamedTuple):
    """What a recurrent layer adds to the captioner."""

    gates: int  # the weights are (channels, gates * units)
    states: int  # arrays in the state: hidden, or hidden and cell
    step_forward: Callable
    forward: Callable
    backward: Callable


CELLS = {
    "rnn": Cell(1, 1, rnn_step_forward, rnn_forward, rnn_backward),
    "lstm": Cell(4, 2, lstm_step_forward, lstm_forward, lstm_backward),
}


@dataclass(frozen=True)
class CaptioningRNNConfig:
    """The sizes and knobs of a `CaptioningRNN`.

    Raises:
        ValueError: a setting is outside its range.
    """

    vocabulary: int  # number of token ids, the special ones included: len(tokenizer)
    channels: int  # channels of the image features
    cell: str = "lstm"  # "rnn" or "lstm"
    embedding: int = 256  # channels of a word vector
    units: int = 384  # size of the hidden state
    dropout: float = 0.0  # share zeroed in image features, word vectors and hidden states while training
    dtype: str = "float32"  # "float64" for gradient checks
    seed: int = 0  # of the first weights and of the dropout
    through_time: bool = True  # False is a mistake: the backward pass ignores the gradient from the next step

    def __post_init__(self):
        if self.cell not in CELLS:
            raise ValueError(f"cell is {self.cell!r}; known cells: {', '.join(CELLS)}.")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype is {self.dtype!r}; use float32 or float64.")
        if min(self.channels, self.embedding, self.units) < 1 or self.vocabulary <= len(SPECIAL):
            raise ValueError(f"Sizes must be at least 1, the vocabulary more than {len(SPECIAL)}: {self}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1: {self}.")


def first_weights(config: CaptioningRNNConfig) -> dict[str, np.ndarray]:
    """Draw the weights as Keras does by default, from the seed of the settings.

    Uniform +-sqrt(6 / (rows + columns)) (Glorot & Bengio 2010), orthogonal recurrent weights (Saxe et al. 2014),
    biases of 0 but 1 for the forget gate (Jozefowicz et al. 2015), word vectors uniform +-0.05.
    """
    rng, cell, units = np.random.default_rng(config.seed), CELLS[config.cell], config.units

    def glorot(rows: int, columns: int) -> np.ndarray:
        return rng.uniform(-1, 1, (rows, columns)) * np.sqrt(6 / (rows + columns))

    bias = np.zeros(cell.gates * units)
    if config.cell == "lstm":
        bias[units : 2 * units] = 1
    weights = {
        "embedding": rng.uniform(-0.05, 0.05, (config.vocabulary, config.embedding)),
        "image_kernel": glorot(config.channels, cell.states * units),
        "image_bias": np.zeros(cell.states * units),
        "kernel": glorot(config.embedding, cell.gates * units),
        "recurrent_kernel": np.linalg.qr(rng.normal(size=(cell.gates * units, units)))[0].T,
        "bias": bias,
        "output_kernel": glorot(units, config.vocabulary),
        "output_bias": np.zeros(config.vocabulary),
    }
    return {name: np.ascontiguousarray(values, config.dtype) for name, values in weights.items()}
