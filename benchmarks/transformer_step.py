"""A step of the Transformer with kept keys and values against reading the whole beginning again, beam 3, 20 words.

For the step that reads again, too, keys and values of the regions are made once per picture: what is compared is the
words alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import captioning.quiet  # noqa: F401

# isort: split
import numpy as np
import tensorflow as tf

from benchmarks.search import same_words
from benchmarks.timing import Line
from captioning import models
from captioning.decoding import Step, beam_search
from captioning.models.transformer import TransformerConfig, TransformerDecoder
from captioning.tokenizer import END, PAD

FULL = TransformerConfig(1571, 49, 1024, longest=31)
TINY = {"config": TransformerConfig(20, 4, 6, units=8, heads=2, longest=8), "pictures": 2, "words": 3}


def lines(config: TransformerConfig = FULL, pictures: int = 64, words: int = 20) -> Iterator[Line]:
    """Yield the one line."""
    model = endless(models.build(TransformerDecoder, config))
    shape = pictures, config.regions, config.channels
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    initial_state, step = model.compile_step()
    again = reading_again(model)

    def kept():
        return beam_search(step, initial_state(features), 3, words)

    def read_again():
        count, *blocks = model.initial_state(features)
        said = np.full((pictures, config.longest), PAD, np.int32)
        state = said, np.array(count), *(tuple(map(np.array, regions)) for _, _, *regions in blocks)
        return beam_search(again, state, 3, words)

    yield Line(
        f"Transformer, beam 3, {words} words", "captions", kept, read_again, lambda: same_words(kept(), read_again()),
        pictures, against="reading the beginning again",
    )  # fmt: skip


def endless(model: TransformerDecoder) -> TransformerDecoder:
    """Return the model, which now never says END: the table of words is its output layer, which has no bias."""
    model.norm.beta.assign(np.ones(model.config.units))
    table = np.array(model.embedding.embeddings)
    table[END] = -1e4
    model.embedding.embeddings.assign(table)
    return model


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
