"""Greedy decoding, sampling and batched beam search around any step function; NumPy only.

A step function, `step(tokens, state) -> Step(logits, state, attention)`, reads one token per row and says
what may come next. `tokens` are int32 (rows,); a state is a nested tuple of arrays, batch axis first, of fixed
shapes; `logits` are (rows, vocabulary), `attention` (rows, regions) or None: NumPy arrays or Keras tensors.

Log-probabilities are taken over the full softmax, in float64; PAD, UNK and START are banned only afterwards,
so that a log-probability is the one that the model itself gives to the caption.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from captioning.decoding.steps import (
    Step,
    StepFunction,
    advance,
    ban_repeats,
    batch_size,
    draw,
    keep_largest,
    largest,
    survivors,
    take,
    trace,
)
from captioning.tokenizer import END, START

__all__ = ["Caption", "Step", "StepFunction", "beam_search", "greedy", "sample"]

MAX_LENGTH = 30  # words, where nobody says otherwise

_NOTHING_ALLOWED = (
    "At position {position} the step gives probability 0 to END and to every word that may follow: "
    "its logits are -inf for them. Does its vocabulary belong to this tokenizer?"
)


class Caption(NamedTuple):
    """One decoded caption."""

    tokens: list[int]  # word ids, without START and END
    log_probability: float  # sum over the words, and over END if finished
    score: float  # what it was ranked by: higher is better
    finished: bool  # ended by END rather than cut off at max_length
    attention: np.ndarray | None  # (words, regions): where the decoder looked as it chose each word


def greedy(step: StepFunction, state: Any, max_length: int = MAX_LENGTH) -> list[Caption]:
    """Take the likeliest token at every position (ties: the lower id).

    Args:
        step: the decoder, see the top of this module.
        state: the initial state, one row per caption.
        max_length: largest number of words; END may still follow the last of them.

    Returns:
        One caption per row of the state; the score is the log-probability.

    Raises:
        ValueError: a bad argument, or a step that breaks its contract.
    """
    return _follow(step, state, max_length, lambda scores, rows, position: scores.argmax(axis=1))


def sample(
    step: StepFunction,
    state: Any,
    max_length: int = MAX_LENGTH,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> list[Caption]:
    """Draw every token at random from the decoder's distribution over the allowed tokens.

    Args:
        step: the decoder, see the top of this module.
        state: the initial state, one row per caption.
        max_length: largest number of words; END may still follow the last of them.
        temperature: the logits are divided by it: below 1 safer, above 1 more varied.
        top_k: draw among the k likeliest allowed tokens only; None means all.
        seed: the same seed gives the same captions; a row's draws do not depend on the rows after it.

    Returns:
        One caption per row of the state; the score is the log-probability without temperature and top_k.

    Raises:
        ValueError: a bad argument, or a step that breaks its contract.
    """
    _require_whole("max_length", max_length, 1)
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be above 0, not {temperature!r}; `greedy` is its limit at 0.")
    if top_k is not None:
        _require_whole("top_k", top_k, 1)
    chances = np.random.default_rng(seed).random((batch_size(state), max_length + 1))

    def choose(scores: np.ndarray, rows: np.ndarray, position: int) -> np.ndarray:
        if top_k is not None and top_k < scores.shape[1]:
            scores = keep_largest(scores, top_k)
        return draw(scores / temperature, chances[rows, position])

    return _follow(step, state, max_length, choose)


def beam_search(
    step: StepFunction,
    state: Any,
    beam_width: int = 3,
    max_length: int = MAX_LENGTH,
    length_penalty: float = 0.7,
    no_repeat_ngram: int = 0,
    return_all: bool = False,
) -> list[Caption] | list[list[Caption]]:
    """Search the captions of the highest score, with one call of `step` per position for all images and beams.

    At every position the `beam_width` likeliest prefixes are extended; a caption is finished when END is among the
    `beam_width` likeliest continuations of all prefixes of its image. Ties go to END, then to the likelier
    prefix, then to the lower id. An image is searched until no live prefix can beat what is finished.

    The score is log_probability / length ** length_penalty, where the length is the number of terms in the
    sum, so that END counts: Wu et al. 2016, "Google's Neural Machine Translation System" (arXiv 1609.08144),
    section 7, the form length ** alpha. Finished captions rank before cut-off ones.

    Args:
        step: the decoder, see the top of this module.
        state: the initial state, one row per image.
        beam_width: number of prefixes kept per image; 1 with length_penalty 0 is `greedy`.
        max_length: largest number of words; END may still follow the last of them.
        length_penalty: the exponent alpha; 0 ranks by the sum, 1 by the mean per token.
        no_repeat_ngram: forbid a caption to hold the same run of that many words twice; 0 allows it.
        return_all: return up to beam_width captions per image, the best first, instead of the best one; the same
            `max_length` words may be among them twice, finished and cut off.

    Returns:
        One caption per row of the state; with `return_all` a list of captions per row.

    Raises:
        ValueError: a bad argument, or a step that breaks its contract.
    """
    _require_whole("beam_width", beam_width, 1)
    _require_whole("max_length", max_length, 1)
    _require_whole("no_repeat_ngram", no_repeat_ngram, 0)
    if not 0 <= length_penalty < np.inf:
        raise ValueError(f"length_penalty must be 0 (no normalization) or more, not {length_penalty!r}.")
    images, wanted = batch_size(state), beam_width if return_all else 1
    beams = _Beams(images, beam_width, max_length, length_penalty, wanted)
    rows = np.repeat(np.arange(images), beam_width)
    while beams.open.any():
        scores, state, attention = advance(step, beams.last_tokens(), take(state, rows))
        beams.attention.append(attention)
        if no_repeat_ngram:
            ban_repeats(scores, beams.prefixes(), no_repeat_ngram)
        rows = beams.extend(scores)
    ranked = beams.ranked()
    return ranked if return_all else [captions[0] for captions in ranked]


class _Beams:
    """The live prefixes and the finished captions of a batch of images.

    A slot is an image that is still in the batch; row `slot * width + beam` is one of its prefixes.
    """

    def __init__(self, images: int, width: int, max_length: int, alpha: float, wanted: int):
        self.width, self.max_length, self.alpha, self.wanted = width, max_length, alpha, wanted
        self.position = 0  # words in every live prefix
        self.image = np.arange(images)  # (slots,)
        self.open = np.ones(images, bool)  # (slots,): still searched
        self.sums = np.full((images, width), -np.inf)  # log-probability of each prefix; -inf: there is none
        self.sums[:, 0] = 0.0  # one empty prefix per image, not `width` equal ones
        self.tokens = np.full((images, width, max_length), END, np.int32)
        self.rows = np.zeros_like(self.tokens)  # the row of the batch in which each word was chosen
        self.attention: list[np.ndarray | None] = []  # one per position, (rows, regions)
        self.finished: list[list[Caption]] = [[] for _ in range(images)]  # the best first

    def prefixes(self) -> np.ndarray:
        """Return the words of every row: (rows, position)."""
        return self.tokens[:, :, : self.position].reshape(self.sums.size, self.position)

    def last_tokens(self) -> np.ndarray:
        """Return what the step reads next: int32 (rows,)."""
        if self.position == 0:
            return np.full(self.sums.size, START, np.int32)
        return self.tokens[:, :, self.position - 1].ravel()

    def extend(self, scores: np.ndarray) -> np.ndarray:
        """Move on by one token and return the rows of the old batch that the new rows continue.

        Args:
            scores: log-probabilities (rows, vocabulary) with -inf for what is banned; overwritten.
        """
        vocabulary = scores.shape[1]
        scores += self.sums.reshape(-1, 1)
        ends = scores[:, END].copy().reshape(self.sums.shape)
        scores[:, END] = -np.inf
        scores = scores.reshape(len(self.sums), -1)  # (slots, width * vocabulary)
        best = largest(scores, self.width)
        sums = np.take_along_axis(scores, best, axis=1)
        self._finish(ends, sums)
        if self.position == self.max_length:
            self.open[:] = False
            return np.arange(self.sums.size)
        return self._move(best // vocabulary, best % vocabulary, sums)

    def ranked(self) -> list[list[Caption]]:
        """Return the captions of each image: finished ones, then cut-off ones where too few are finished."""
        for slot, image in enumerate(self.image):
            live = np.flatnonzero(self.sums[slot] > -np.inf)
            cut_off = [self._caption(slot, beam, self.sums[slot, beam], False) for beam in live]
            self.finished[image] += cut_off[: max(0, self.wanted - len(self.finished[image]))]
        return self.finished

    def _finish(self, ends: np.ndarray, sums: np.ndarray) -> None:
        """Keep each END (slots, width) that is among the `width` best of all continuations of its image."""
        order = np.argsort(-np.concatenate([ends, sums], axis=1), axis=1, kind="stable")[:, : self.width]
        for slot, rank in zip(*np.nonzero(order < self.width), strict=True):
            beam = order[slot, rank]
            if self.open[slot] and ends[slot, beam] > -np.inf:
                captions = self.finished[self.image[slot]]
                insort(captions, self._caption(slot, beam, ends[slot, beam], True), key=lambda c: -c.score)
                del captions[self.width :]

    def _move(self, parents: np.ndarray, words: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Make the `width` best continuations by a word the live prefixes; all arguments (slots, width)."""
        slots = np.arange(len(sums))[:, None]
        rows = slots * self.width + parents
        tokens, sources = self.tokens[slots, parents], self.rows[slots, parents]
        tokens[:, :, self.position] = np.where(sums > -np.inf, words, END)
        sources[:, :, self.position] = rows
        self.position += 1
        self._close(sums)
        kept = survivors(self.open)
        self.image, self.open, self.sums = self.image[kept], self.open[kept], sums[kept]
        self.tokens, self.rows = tokens[kept], sources[kept]
        return rows[kept].ravel()

    def _close(self, sums: np.ndarray) -> None:
        """End the search of every image whose live prefixes can no longer change the result.

        A prefix of log-probability L <= 0 ends at best with L, and L / length ** alpha is largest at the
        greatest length: max_length words and END. A smaller bound would not be safe, since all the tokens to
        come may be certain.
        """
        bounds = sums[:, 0] / (self.max_length + 1) ** self.alpha
        for slot in np.flatnonzero(self.open):
            captions = self.finished[self.image[slot]]
            alive = sums[slot, 0] > -np.inf
            if not alive and not captions:
                raise ValueError(_NOTHING_ALLOWED.format(position=self.position - 1))
            enough = len(captions) >= self.wanted and captions[self.wanted - 1].score >= bounds[slot]
            self.open[slot] = alive and not enough

    def _caption(self, slot: int, beam: int, log_probability: float, finished: bool) -> Caption:
        """Return a prefix as a caption, with or without an END after it."""
        words = self.tokens[slot, beam, : self.position].tolist()
        score = float(log_probability) / (len(words) + finished) ** self.alpha
        attention = trace(self.attention, self.rows[slot, beam, : self.position])
        return Caption(words, float(log_probability), score, finished, attention)


def _follow(step: StepFunction, state: Any, max_length: int, choose: Callable) -> list[Caption]:
    """Extend one caption per row by `choose(scores, rows, position) -> tokens` until END or max_length."""
    _require_whole("max_length", max_length, 1)
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
        chosen = np.where(is_open[rows], choose(scores, rows, position), END)
        counts = is_open[rows] & ((chosen == END) | (position < max_length))
        gains = np.where(counts, scores[np.arange(len(rows)), chosen], 0.0)
        if np.isneginf(gains).any():
            raise ValueError(_NOTHING_ALLOWED.format(position=position))
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


def _require_whole(name: str, value: Any, least: int) -> None:
    """Raise a ValueError unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}.")
