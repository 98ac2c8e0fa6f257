"""A step of the Transformer with kept keys and values against reading the whole beginning again, in one run.

    python benchmarks/transformer_step.py

Both search captions of 20 words with the same beam, one after the other, and must find the same ones. For the step that
reads again, too, keys and values of the regions are made once per picture: what is compared is the words alone.
"""

import argparse
import time

import captioning.quiet  # noqa: F401

# isort: split
import numpy as np
import tensorflow as tf

from captioning import models
from captioning.decoding import Step, beam_search
from captioning.models.transformer import TransformerConfig, TransformerDecoder
from captioning.tokenizer import END, PAD


def main() -> None:
    """Time both ways on the same pictures, check that they agree, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"pictures": 64, "width": 3, "words": 20, "vocabulary": 1571, "regions": 49, "channels": 1024, "repeats": 3}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    config = TransformerConfig(given.vocabulary, given.regions, given.channels, longest=31)
    model = models.build(TransformerDecoder, config)
    shape = given.pictures, given.regions, given.channels
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    initial_state, step = model.compile_step()

    def search(kept: bool):
        count, *blocks = initial_state(features)
        words = np.full((given.pictures, config.longest), PAD, np.int32)
        state = (count, *blocks) if kept else (words, count, *(tuple(regions) for _, _, *regions in blocks))
        return beam_search(endless(step if kept else reading_again(model)), state, given.width, given.words)

    ways = {"kept": True, "read again": False}
    found = {name: [caption.tokens for caption in search(kept)] for name, kept in ways.items()}
    seconds = {name: min(timed(search, kept) for _ in range(given.repeats)) for name, kept in ways.items()}
    same = sum(map(list.__eq__, *found.values()))
    print(f"{given.pictures} pictures, beam {given.width}, {given.words} words, vocabulary {given.vocabulary}")
    for name, taken in seconds.items():
        print(f"{name:12}{taken:7.3f} s {given.pictures / taken:8.1f} captions/s")
    print(f"ratio {seconds['read again'] / seconds['kept']:.2f}; {same} of {given.pictures} captions are the same")


def timed(work, *arguments) -> float:
    """Return the seconds that a call takes."""
    begin = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begin


def reading_again(model: TransformerDecoder):
    """Return a step whose state is all words so far, (rows, longest), their number, and what is kept of the regions."""

    @tf.function(reduce_retracing=True)
    def read(words, pictures):
        hidden = model.unroll(words[:, None], (None, *((None, None, *regions) for regions in pictures)))
        return model.predict_words(hidden[:, -1])

    def step(tokens, state):
        words, count, *pictures = state
        words, position = np.array(words), int(count[0])
        words[:, position] = tokens
        logits = read(tf.constant(words[:, : position + 1]), tuple(pictures))
        return Step(logits, (words, count + 1, *pictures))

    return step


def endless(step):
    """Return the step with captions that do not end, so that all have the same number of words."""

    def longer(tokens, state):
        logits, state, _ = step(tokens, state)
        logits = np.array(logits)
        logits[:, END] = -1e9
        return Step(logits, state)

    return longer


if __name__ == "__main__":
    main()
