"""Captions per second of the NumPy captioner: loss and gradients of a whole batch against one caption at a time.

Run: python benchmarks/numpy_rnn.py (about ten seconds)
"""

import time
from collections.abc import Callable

import numpy as np

from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.tokenizer import END, PAD, START

VOCABULARY, CHANNELS, BATCH, LONGEST = 1_700, 768, 64, 18
SECONDS = 2  # of each measurement


def made_batch() -> tuple[np.ndarray, np.ndarray]:
    """Return features (batch, channels) and captions of 8 to 15 words, about as in COCO."""
    rng = np.random.default_rng(0)
    tokens = np.full((BATCH, LONGEST), PAD)
    for row in tokens:
        length = rng.integers(8, 16)
        row[: length + 2] = [START, *rng.integers(END + 1, VOCABULARY, length), END]
    return rng.normal(size=(BATCH, CHANNELS)).astype(np.float32), tokens


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


def captions_per_second(work: Callable[[], object]) -> float:
    """Repeat the work for some seconds and return the rate of the fastest run, which others disturbed least."""
    work()
    best, end = np.inf, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return BATCH / best


def main() -> None:
    """Measure both cells and print one line for each."""
    batch = made_batch()
    for cell in ("rnn", "lstm"):
        model = CaptioningRNN(CaptioningRNNConfig(VOCABULARY, CHANNELS, cell))
        (loss, gradients), (expected, references) = model.loss(*batch), one_by_one(model, *batch)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, references[name], atol=1e-3 * np.abs(gradient).max())
        whole = captions_per_second(lambda model=model: model.loss(*batch))
        single = captions_per_second(lambda model=model: one_by_one(model, *batch))
        print(f"{cell}: batch {whole:.0f} captions/s, loop {single:.0f} captions/s, ratio {whole / single:.1f}")


if __name__ == "__main__":
    main()
