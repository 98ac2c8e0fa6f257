"""The beam search around a small recurrent step in NumPy: 64 pictures together or one at a time, two length penalties.

On a busy machine set OPENBLAS_NUM_THREADS=1: otherwise the small matrix products wait for their threads, and the clock
tells more about that than about the search.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.timing import Line
from captioning.decoding import Step, StepFunction, beam_search
from captioning.tokenizer import END

TINY = {"pictures": 3, "units": 6, "vocabulary": 20}


def lines(pictures: int = 64, width: int = 3, units: int = 256, vocabulary: int = 5000) -> Iterator[Line]:
    """Yield the two lines."""
    step = recurrent_step(units, vocabulary)
    hidden = np.random.default_rng(1).normal(size=(pictures, units)).astype(np.float32)
    state = hidden, np.zeros(pictures, np.float32)
    penalties = [0.7, 1.0]

    def search(rows=slice(None), length_penalty=0.7):
        return beam_search(step, tuple(array[rows] for array in state), width, length_penalty=length_penalty)

    def one_at_a_time():
        return [search(slice(row, row + 1))[0] for row in range(pictures)]

    def apart():
        return [search(length_penalty=penalty) for penalty in penalties]

    def shared():
        return search(length_penalty=penalties)

    def same_captions():
        same_words(search(), one_at_a_time())

    def same_results():
        for one, other in zip(shared(), apart(), strict=True):
            same_words(one, other)

    yield Line(
        f"NumPy beam {width}, {pictures} pictures", "captions", search, one_at_a_time, same_captions, pictures,
        against="one at a time",
    )  # fmt: skip
    yield Line(
        "two length penalties in one search", "captions", shared, apart, same_results, pictures, against="two searches"
    )


def same_words(one, other) -> None:
    """Compare captions; where two are equally good to the last bits, either may win: one of a hundred may differ."""
    different = sum(a.tokens != b.tokens for a, b in zip(one, other, strict=True))
    assert different <= len(one) // 100, f"{different} of {len(one)} captions differ"


def recurrent_step(units: int, vocabulary: int, seed: int = 0) -> StepFunction:
    """Return a vanilla recurrent step with random weights, whose captions end after some ten words."""
    random = np.random.default_rng(seed)
    embedding = random.normal(size=(vocabulary, units)).astype(np.float32)
    recurrent = random.normal(scale=units**-0.5, size=(units, units)).astype(np.float32)
    output = random.normal(scale=3 * units**-0.5, size=(units, vocabulary)).astype(np.float32)

    def step(tokens: np.ndarray, state: tuple[np.ndarray, np.ndarray]) -> Step:
        hidden, words = state
        hidden = np.tanh(embedding[tokens] + hidden @ recurrent)
        logits = hidden @ output
        logits[:, END] += words - 2
        return Step(logits, (hidden, words + 1), None)

    return step
