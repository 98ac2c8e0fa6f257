"""Captions of a trained decoder's size: greedy on 256 pictures against one at a time, a call per word; beam 3; BiLSTM.

Greedy decoding runs in float32, as in all use of a trained model, and in bfloat16, as after each epoch of bfloat16
training. Features are tensors of float16, as stored, or of float32 for the tutorials, as they store them.

Every caption has 12 words: END is made impossible, so that no way stops early. One at a time is what the tutorials'
`evaluate` does: one picture, one call of the Keras model per word, the likeliest word read back and given to the next.
"""

from __future__ import annotations

from collections.abc import Iterator

import captioning.quiet  # noqa: F401

# isort: split
import numpy as np
import tensorflow as tf

from benchmarks import made
from benchmarks.timing import Line
from benchmarks.training import SIZES
from benchmarks.training import TINY as TINY_TRAINING
from benchmarks.usual.attention_tutorial import Tutorial
from captioning import models
from captioning.decoding import beam_search, greedy
from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.models.bilstm import BiLSTMConfig, BiLSTMDecoder
from captioning.tokenizer import END, PAD, START, UNK

BILSTM = {"vocabulary": 5000, "regions": 49, "channels": 2048}
TINY = {
    "sizes": TINY_TRAINING["sizes"], "pictures": 4, "singles": 2, "words": 3, "few": 2,
    "bilstm": {"vocabulary": 40, "regions": 4, "channels": 6, "embedding": 5, "units": 7, "attention": 3},
}  # fmt: skip


def lines(
    sizes: dict = SIZES, pictures: int = 256, singles: int = 8, words: int = 12, few: int = 64, bilstm: dict = BILSTM
) -> Iterator[Line]:
    """Yield greedy, beam 3 against greedy, and the beam of BiLSTM against that of Bahdanau's decoder.

    Args:
        sizes: of Bahdanau's decoder.
        pictures: captioned together.
        singles: of them captioned one at a time.
        words: of each caption.
        few: pictures of the last line.
        bilstm: sizes of the BiLSTM.
    """
    config = BahdanauConfig(**sizes)
    model = endless(models.build(BahdanauDecoder, config))
    rows = made.features(pictures, config.regions, config.channels)
    rows += (0.1 * np.arange(pictures) / pictures).astype(np.float16)[:, None, None]  # no picture twice
    features = tf.constant(rows)
    of_tutorial = [tf.cast(row, tf.float32) for row in features[:singles]]
    tutorial = Tutorial(config)
    tutorial.take_weights(model)
    initial_state, step = model.compile_step()
    with model.computing_in("bfloat16"):
        initial_half, half_step = model.compile_step()
        greedy(half_step, initial_half(features), words)  # a step keeps the precision that it first ran in

    def together():
        return greedy(step, initial_state(features), words)

    def in_half():
        return greedy(half_step, initial_half(features), words)

    def one_at_a_time():
        return [tutorial.caption(row, START, END, words) for row in of_tutorial]

    def beam():
        return beam_search(step, initial_state(features), 3, words)

    def same_words():
        found = [caption.tokens for caption in together()]
        assert found[:singles] == one_at_a_time() and len(found[0]) == words

    def almost_the_likeliest_words():
        captions = np.array([caption.tokens for caption in in_half()[:singles]])
        tokens = np.insert(captions, 0, START, axis=1)[:, None]
        logits = np.array(model({"features": features[:singles], "tokens": tokens[..., :-1]}))[:, 0]
        chosen = np.take_along_axis(logits, captions[..., None], axis=-1)[..., 0]
        assert captions.shape[1] == words and (logits.max(axis=-1) - chosen < 0.02).all()  # in float32

    def beam_of_one_is_greedy():
        alone = beam_search(step, initial_state(features), 1, words, length_penalty=0)
        assert [caption.tokens for caption in alone] == [caption.tokens for caption in together()]
        beam()

    yield Line(
        f"greedy, {pictures} pictures", "captions", together, one_at_a_time, same_words, pictures, singles, 150,
        "one at a time, a call per word",
    )  # fmt: skip
    yield Line(
        f"greedy, {pictures} pictures, bfloat16", "captions", in_half, one_at_a_time, almost_the_likeliest_words,
        pictures, singles, 150, "one at a time, a call per word",
    )  # fmt: skip
    yield Line(
        f"beam 3, {pictures} pictures", "captions", beam, together, beam_of_one_is_greedy, pictures, aim=0.5,
        against="greedy",
    )  # fmt: skip
    yield _bilstm(BiLSTMConfig(**bilstm), step, initial_state(features[:few]), few, words)


def _bilstm(config: BiLSTMConfig, other_step, other_state, few: int, words: int) -> Line:
    model = endless(models.build(BiLSTMDecoder, config))
    features = tf.constant(made.features(few, config.regions, config.channels))
    initial_state, step = model.compile_step()

    def ours():
        return beam_search(step, initial_state(features), 3, words)

    def bahdanau():
        return beam_search(other_step, other_state, 3, words)

    def check():
        caption = ours()[0]
        assert len(caption.tokens) == words
        tokens = np.array([[[START, *caption.tokens]]], np.int32)  # its probability by the definition
        logits = np.array(model({"features": features[:1], "tokens": tokens}), np.float64)[0, 0, :words]
        logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        expected = logits[np.arange(words), caption.tokens].sum()
        np.testing.assert_allclose(caption.log_probability, expected, rtol=1e-4)
        bahdanau()

    return Line(f"BiLSTM, beam 3, {few} pictures", "captions", ours, bahdanau, check, few, against="Bahdanau, beam 3")


def endless(model):
    """Return the model, which now never says END, nor what is no word."""
    bias = np.array(model.logits.bias)
    bias[[PAD, UNK, START, END]] = -1e9
    model.logits.bias.assign(bias)
    return model
