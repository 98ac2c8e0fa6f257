"""Time the beam search around a small recurrent step in NumPy: batched or not, one length penalty or two.

Run it with `python benchmarks/decoding.py`; `--help` lists the sizes. On a busy machine set OPENBLAS_NUM_THREADS=1:
otherwise the small matrix products wait for their threads, and the clock tells more about that than about the search.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from captioning.decoding import Step, StepFunction, beam_search
from captioning.tokenizer import END


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


def seconds(work, repeats: int = 5) -> float:
    """Return the best of several timings."""
    timings = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        timings.append(time.perf_counter() - begin)
    return min(timings)


def main() -> None:
    """Time both ways on the same images, check that they agree, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("images", 64), ("width", 3), ("units", 256), ("vocabulary", 5000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    sizes = parser.parse_args()
    step = recurrent_step(sizes.units, sizes.vocabulary)
    hidden = np.random.default_rng(1).normal(size=(sizes.images, sizes.units)).astype(np.float32)
    state = hidden, np.zeros(sizes.images, np.float32)

    def batched(length_penalty=0.7, once=None):
        return beam_search(step, state, sizes.width, length_penalty=length_penalty, once=once)

    def one_at_a_time():
        rows = range(sizes.images)
        return [beam_search(step, (hidden[r : r + 1], state[1][r : r + 1]), sizes.width)[0] for r in rows]

    captions = batched()
    equal = sum(a.tokens == b.tokens for a, b in zip(captions, one_at_a_time(), strict=True))
    words = np.mean([len(caption.tokens) for caption in captions])
    together, apart = seconds(batched), seconds(one_at_a_time)
    print(f"{sizes.images} images, beam {sizes.width}, vocabulary {sizes.vocabulary}, {words:.1f} words on average")
    print(f"batched        {together:6.3f} s  {sizes.images / together:7.1f} captions/s")
    print(f"one at a time  {apart:6.3f} s  {sizes.images / apart:7.1f} captions/s")
    print(f"ratio {apart / together:.2f}; {equal} of {sizes.images} captions are the same")
    penalties = (0.7, 1.0)
    each = [seconds(lambda alpha=alpha: batched(alpha)) for alpha in penalties]
    shared = seconds(lambda: batched(penalties))
    print(
        f"penalties {penalties} in one search {shared:6.3f} s; searches of their own {each[0]:6.3f} + {each[1]:6.3f} s"
    )
    banned = seconds(lambda: batched(once=np.ones(sizes.vocabulary, bool)))
    print(f"no word twice  {banned:6.3f} s")


if __name__ == "__main__":
    main()
