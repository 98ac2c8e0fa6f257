"""Small step functions whose every probability is known, and captions read again token by token."""

import itertools
import math

import numpy as np
import pytest

from captioning.decoding import Step
from captioning.tokenizer import END, START

VOCABULARY = 7
WORDS = range(END + 1, VOCABULARY)


def hashed_step(vocabulary=VOCABULARY, end_bonus=0.0, spread=2.0):
    """A step whose logits and attention depend on a hash of image and prefix that only the state carries."""
    memory = np.zeros((1000, 2))  # the same memory every time, as a step in NumPy may do

    def step(tokens, state):
        prefix, (words,) = state
        assert tokens.dtype == np.int32 and tokens.shape == words.shape == (len(prefix),)
        assert ((words == 0) == (tokens == START)).all()
        prefix = (prefix * 1_000_003 + tokens[:, None] + 1) % (2**31 - 1)
        seeds = prefix[:, 0].tolist()
        logits = np.stack([np.random.default_rng(seed).normal(scale=spread, size=vocabulary) for seed in seeds])
        logits[:, END] += end_bonus
        attention = memory[: len(prefix)]
        attention[:, 0] = prefix[:, 0] / 2**31
        attention[:, 1] = 1 - attention[:, 0]
        return Step(logits.astype(np.float32), (prefix, (words + 1,)), attention)

    return step


def images(count, first=0):
    """Initial states of `hashed_step`: nested, arrays of different rank."""
    return np.arange(first + 1, first + count + 1)[:, None] * 7919, (np.zeros(count, np.int64),)


def scripted_step(rows):
    """A step that gives the probabilities rows[position][token] whatever was read; a missing token gets 0."""

    def step(tokens, state):
        probabilities = np.zeros((len(tokens), VOCABULARY))
        for row, position in enumerate(state):
            for token, probability in rows[min(position, len(rows) - 1)].items():
                probabilities[row, token] = probability
        with np.errstate(divide="ignore"):
            return Step(np.log(probabilities), state + 1, None)

    return step


def mask(tokens, vocabulary=VOCABULARY):
    """The bool array of the vocabulary that is True for the tokens."""
    return np.isin(np.arange(vocabulary), list(tokens))


def log_softmax(logits):
    """Plain Python, one row."""
    logits = [float(value) for value in logits]
    total = math.log(math.fsum(math.exp(value - max(logits)) for value in logits)) + max(logits)
    return [value - total for value in logits]


def replay(step, state, words, finished):
    """Return log-probability and attention of one caption by reading it token by token."""
    total, attention = 0.0, []
    for read, written in itertools.pairwise([START, *words, *([END] if finished else [])]):
        logits, state, weights = step(np.array([read], np.int32), state)
        total += log_softmax(logits[0])[written]
        attention.append(weights[0].copy())
    return total, np.reshape(attention[: len(words)], (len(words), 2))


def assert_caption(step, state, caption, alpha):
    """Check every field of a caption against reading it again."""
    total, attention = replay(step, state, caption.tokens, caption.finished)
    assert caption.log_probability == pytest.approx(total, abs=1e-9)
    assert caption.score == pytest.approx(total / (len(caption.tokens) + caption.finished) ** alpha, abs=1e-9)
    np.testing.assert_array_equal(caption.attention, attention)
    assert caption.attention.shape == (len(caption.tokens), 2)
    assert all(type(token) is int and token in WORDS for token in caption.tokens)


def assert_same(one, other):
    """Check that two captions agree bit for bit."""
    assert one[:4] == other[:4]
    np.testing.assert_array_equal(one.attention, other.attention)
