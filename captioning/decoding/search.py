"""Greedy decoding, sampling and batched beam search around any step function; NumPy only.

A step function, `step(tokens, state) -> Step(logits, state, attention)`, reads one token per row and says
what may come next. `tokens` are int32 (rows,); a state is a nested tuple of arrays, batch axis first, of fixed
shapes; `logits` are (rows, vocabulary), `attention` (rows, regions) or None: NumPy arrays or Keras tensors.

A step with a method `begin(state, width, once)` answers a search itself: what that returns has a method `best` with the
arguments and results of `steps.PlainReader`, the definition, which asks any other step.

Log-probabilities are taken over the full softmax, here in float64; PAD, UNK and START are banned only afterwards,
so that a log-probability is the one that the model itself gives to the caption.

All decoders take a `step`, the initial `state` with a row per caption or image, and `max_length`, the largest number of
words: END may still follow the last of them. A bad argument, or a step that breaks its contract, is a ValueError.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from captioning.decoding.beams import Beams
from captioning.decoding.steps import (
    NOTHING_ALLOWED,
    Caption,
    PlainReader,
    StepFunction,
    advance,
    batch_size,
    draw,
    nucleus,
    require_whole,
    survivors,
    take,
    trace,
)
from captioning.tokenizer import END, START

MAX_LENGTH = 30  # words, where nobody says otherwise


def greedy(step: StepFunction, state: Any, max_length: int = MAX_LENGTH) -> list[Caption]:
    """Take the likeliest token at every position (ties: the lower id).

    Returns:
        One caption per row of the state; the score is the log-probability.
    """
    return beam_search(step, state, 1, max_length, 0)


def sample(
    step: StepFunction,
    state: Any,
    max_length: int = MAX_LENGTH,
    temperature: float = 1.0,
    seed: int = 0,
    top_p: float | None = None,
) -> list[Caption]:
    """Draw every token at random from the decoder's distribution over the allowed tokens.

    Args:
        temperature: the logits are divided by it: below 1 safer, above 1 more varied.
        seed: the same seed gives the same captions; a row's draws do not depend on the rows after it.
        top_p: draw among the nucleus only: as few of the likeliest tokens as together have this probability, above 0
            and up to 1, after the temperature; None means all. Holtzman et al. 2020, "The Curious Case of Neural Text
            Degeneration" (arXiv 1904.09751), section 3.1.

    Returns:
        One caption per row of the state; the score is the log-probability, without temperature and top_p.
    """
    require_whole("max_length", max_length, 1)
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be above 0, not {temperature!r}; `greedy` is its limit at 0.")
    if top_p is not None and not (isinstance(top_p, Real) and 0 < top_p <= 1):
        raise ValueError(f"top_p must be above 0 and at most 1, or None for all tokens, not {top_p!r}.")
    chances = np.random.default_rng(seed).random((batch_size(state), max_length + 1))
    rows = np.arange(batch_size(state))  # the caption that each row of the batch extends
    tokens = np.full((len(rows), max_length + 1), END, np.int32)
    sources = np.zeros_like(tokens)  # the row of the batch in which each token was chosen
    sums, is_open, attention = np.zeros(len(rows)), np.ones(len(rows), bool), []
    for position in range(max_length + 1):
        if not is_open.any():
            break
        last = tokens[rows, position - 1] if position else np.full(len(rows), START, np.int32)
        scores, state, weights = advance(step, last, state)
        attention.append(weights)
        tempered = scores / temperature
        drawn = draw(nucleus(tempered, top_p) if top_p is not None and top_p < 1 else tempered, chances[rows, position])
        chosen = np.where(is_open[rows], drawn, END)
        counts = is_open[rows] & ((chosen == END) | (position < max_length))
        gains = np.where(counts, scores[np.arange(len(rows)), chosen], 0.0)
        if np.isneginf(gains).any():
            raise ValueError(NOTHING_ALLOWED.format(position=position))
        sums[rows] += gains
        tokens[rows, position], sources[rows, position] = chosen, np.arange(len(rows))
        is_open[rows] &= chosen != END
        kept = survivors(is_open[rows])
        state, rows = take(state, kept), rows[kept]
    captions = []
    for row, total in enumerate(sums.tolist()):
        words = tokens[row, :max_length][tokens[row, :max_length] != END].tolist()
        seen = trace(attention, sources[row, : len(words)])
        captions.append(Caption(words, total, total, not is_open[row], seen))
    return captions


def beam_search(
    step: StepFunction,
    state: Any,
    beam_width: int = 3,
    max_length: int = MAX_LENGTH,
    length_penalty: float | Sequence[float] = 0.7,
    once: np.ndarray | None = None,
    return_all: bool = False,
) -> list:
    """Search the captions of the highest score, with one call of `step` per position for all images and beams.

    At every position the `beam_width` likeliest prefixes are extended; a caption is finished when END is among the
    `beam_width` likeliest continuations of all prefixes of its image. Ties go to END, then to the likelier
    prefix, then to the lower id. An image is searched until no live prefix can beat what is finished.

    The score is log_probability / length ** length_penalty, where the length is the number of terms in the
    sum, so that END counts: Wu et al. 2016, "Google's Neural Machine Translation System" (arXiv 1609.08144),
    section 7, the form length ** alpha. Finished captions rank before cut-off ones.

    Args:
        beam_width: number of prefixes kept per image; 1 with length_penalty 0 is `greedy`.
        length_penalty: the exponent alpha; 0 ranks by the sum, 1 by the mean per token. Several of them share one
            search, which takes as long as the longest of them: prefixes are compared at equal length.
        once: the words that a caption may hold once at most, bool (vocabulary,), see `once_mask`; None: it may hold
            all of them as often as it likes.
        return_all: return up to beam_width captions per image, the best first, instead of the best one; the same
            `max_length` words may be among them twice, finished and cut off.

    Returns:
        One caption per row of the state; with `return_all` a list of captions per row. For a sequence of penalties a
        list of such results, each equal to that of its own search.
    """
    require_whole("beam_width", beam_width, 1)
    require_whole("max_length", max_length, 1)
    several = isinstance(length_penalty, Sequence | np.ndarray) and not isinstance(length_penalty, str)
    penalties = list(length_penalty) if several else [length_penalty]
    if not penalties or not all(isinstance(alpha, Real) and 0 <= alpha < np.inf for alpha in penalties):
        raise ValueError(f"length_penalty must be 0 (no normalization) or more, not {length_penalty!r}.")
    images = batch_size(state)
    beams = Beams(images, beam_width, max_length, penalties, beam_width if return_all else 1)
    rows = np.arange(images)
    reader = getattr(step, "begin", functools.partial(PlainReader, step))(state, beam_width, once)
    while beams.open.any():
        rows = beams.extend(reader.best(beams.words, rows, beams.sums.shape[1]))
    results = beams.captions()
    if not return_all:
        results = [[captions[0] for captions in result] for result in results]
    return results if several else results[0]
