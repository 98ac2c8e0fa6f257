"""The NumPy captioner: loss and gradients of a whole batch of 64 captions against one caption at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from benchmarks.timing import Line
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.tokenizer import END, PAD, START

LONGEST = 18
TINY = {"vocabulary": 20, "channels": 5, "batch": 3, "sizes": {"embedding": 4, "units": 6}}


def lines(
    vocabulary: int = 1700, channels: int = 768, batch: int = 64, sizes: Mapping = MappingProxyType({})
) -> Iterator[Line]:
    """Yield a line per cell."""
    features, tokens = made_batch(vocabulary, channels, batch)
    for cell in ("rnn", "lstm"):
        model = CaptioningRNN(CaptioningRNNConfig(vocabulary, channels, cell, **sizes))

        def check(model=model):
            (loss, gradients), (expected, references) = (way(model) for way in (together, apart))
            np.testing.assert_allclose(loss, expected, rtol=1e-5)
            for name, gradient in gradients.items():
                np.testing.assert_allclose(gradient, references[name], atol=1e-3 * np.abs(gradient).max())

        def together(model=model):
            return model.loss(features, tokens)

        def apart(model=model):
            return one_by_one(model, features, tokens)

        yield Line(f"NumPy {cell}, a batch", "captions", together, apart, check, batch, against="a caption at a time")


def made_batch(vocabulary: int, channels: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features (batch, channels) and captions of 8 to 15 words, about as in COCO."""
    rng = np.random.default_rng(0)
    tokens = np.full((batch, LONGEST), PAD)
    for row in tokens:
        length = rng.integers(8, 16)
        row[: length + 2] = [START, *rng.integers(END + 1, vocabulary, length), END]
    return rng.normal(size=(batch, channels)).astype(np.float32), tokens


def one_by_one(model: CaptioningRNN, features: np.ndarray, tokens: np.ndarray) -> tuple[float, dict]:
    """Return the same loss and gradients as `model.loss` from a loop over the captions."""
    total, words, summed = 0.0, 0, {name: np.zeros_like(values) for name, values in model.parameters.items()}
    for row in range(len(tokens)):
        count = np.count_nonzero(tokens[row, 1:] != PAD)
        loss, gradients = model.loss(features[row : row + 1], tokens[row : row + 1])
        total, words = total + count * loss, words + count
        for name, gradient in gradients.items():
            summed[name] += count * gradient
    return total / words, {name: values / words for name, values in summed.items()}
