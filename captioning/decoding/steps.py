"""One step of decoding: call a step function, bring its log-probabilities and its state into shape; NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from captioning.tokenizer import END, PAD, START, UNK


class Step(NamedTuple):
    """What a decoder returns after reading one token per row."""

    logits: Any  # (rows, vocabulary), before the softmax
    state: Any  # nested tuple of arrays, batch axis first, the same shapes as the state that went in
    attention: Any = None  # (rows, regions), or None where there is none


StepFunction = Callable[[np.ndarray, Any], Step]


class Next(NamedTuple):
    """What may follow each prefix of a search: log-probabilities over the full softmax."""

    end: np.ndarray  # of END, (rows,)
    words: np.ndarray  # ids of the likeliest words, (rows, width or the vocabulary), the best first, ties: the lower id
    scores: np.ndarray  # of these, -inf where there are no more
    attention: np.ndarray | None  # (rows, regions)


class Caption(NamedTuple):
    """One decoded caption."""

    tokens: list[int]  # word ids, without START and END
    log_probability: float  # sum over the words, and over END if finished
    score: float  # what it was ranked by: higher is better
    finished: bool  # ended by END rather than cut off at max_length
    attention: np.ndarray | None  # (words, regions): where the decoder looked as it chose each word

    @property
    def per_word(self) -> float:
        """The mean log-probability of its words, and of END where it is finished."""
        return self.log_probability / max(1, len(self.tokens) + self.finished)


NOT_FINITE = (
    "step returned logits with NaN or infinity: weights or features are not finite. Has training "
    "diverged (see the loss in its history; lower the learning rate)?"
)
NOTHING_ALLOWED = (
    "At position {position} the step gives probability 0 to END and to every word that may follow: "
    "its logits are -inf for them. Does its vocabulary belong to this tokenizer?"
)


def advance(step: StepFunction, tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any, np.ndarray | None]:
    """Call the step once and turn its logits into log-probabilities.

    Args:
        tokens: the token that each row reads, int32 (rows,).
        state: nested tuple of arrays, batch axis first.

    Returns:
        Log-probabilities, float64 (rows, vocabulary), over the full softmax, then -inf for PAD, UNK and START;
        the new state as the step gave it; the attention (rows, regions) or None.

    Raises:
        ValueError: the step breaks its contract, or its logits are not numbers.
    """
    logits, state, attention = step(tokens, state)
    scores = np.array(logits, np.float64)
    rows = len(tokens)
    if scores.ndim != 2 or len(scores) != rows or scores.shape[1] <= END:
        raise ValueError(f"step returned logits {scores.shape}; expected ({rows}, vocabulary of at least 4).")
    if batch_size(state) != rows:
        raise ValueError(f"step returned a state of {batch_size(state)} rows for {rows} tokens.")
    if attention is not None:
        attention = np.array(attention)  # a copy: the step may use the same memory again
        if attention.ndim != 2 or len(attention) != rows:
            raise ValueError(f"step returned attention {attention.shape}; expected ({rows}, regions).")
    scores = log_softmax(scores)
    if np.isnan(scores[:, END]).any():
        raise ValueError(NOT_FINITE)
    scores[:, [PAD, UNK, START]] = -np.inf
    return scores, state, attention


class PlainReader:
    """What a search asks about any step function; a step with a method `begin` answers itself, see there."""

    def __init__(self, step: StepFunction, state: Any, width: int, once: np.ndarray | None):
        """Take the initial state, a row per image, and how many of the likeliest words are asked for.

        `once` tells which words no prefix may hold twice, bool (vocabulary,); None: none.
        """
        self._step, self._state, self._width, self._once = step, state, width, once

    def best(self, prefixes: np.ndarray, rows: np.ndarray, beams: int) -> Next:
        """Read the last word of every prefix.

        Args:
            prefixes: the words so far, int32 (rows, position), those of an image side by side.
            rows: the row of the batch before that each continues; at first, of the initial state.
            beams: prefixes of each image.
        """
        scores, self._state, attention = advance(self._step, last_words(prefixes), take(self._state, rows))
        scores[tuple(said_once(prefixes, self._once, scores.shape[1]).T)] = -np.inf
        end = scores[:, END].copy()
        scores[:, END] = -np.inf
        words = largest(scores, min(self._width, scores.shape[1]))
        return Next(end, words, np.take_along_axis(scores, words, axis=1), attention)


def last_words(prefixes: np.ndarray) -> np.ndarray:
    """Return the word of each prefix (rows, position) that is read next: int32 (rows,); START where there is none."""
    return prefixes[:, -1] if prefixes.shape[1] else np.full(len(prefixes), START, np.int32)


def said_once(prefixes: np.ndarray, once: np.ndarray | None, vocabulary: int) -> np.ndarray:
    """Return what may not follow, since it was said and may be said only once: pairs of row and word, (pairs, 2).

    Raises:
        ValueError: `once` does not tell it of every word.
    """
    if once is None:
        return np.zeros((0, 2), np.int64)
    if not isinstance(once, np.ndarray) or once.dtype != bool or once.shape != (vocabulary,):
        given = f"{once.dtype} {once.shape}" if isinstance(once, np.ndarray) else type(once).__name__
        raise ValueError(f"once must be a bool array of the {vocabulary} words of the vocabulary, not {given}.")
    rows, positions = np.nonzero(once[prefixes])
    return np.column_stack([rows, prefixes[rows, positions]])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return logits (rows, columns) in float64 as log-probabilities, in place; NaN in a row that has no finite sum."""
    with np.errstate(invalid="ignore"):
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the columns of the `count` largest scores of each row, best first (ties: the lower column).

    Args:
        scores: (rows, columns), -inf allowed.
        count: at most the number of columns.
    """
    groups = min(scores.shape[1], 16 * count)
    size = scores.shape[1] // groups
    best = scores[:, : groups * size].reshape(len(scores), size, groups).max(axis=1)
    # `count` groups reach this level, so `count` scores do: a safe threshold, and far cheaper than a partition
    # of the whole vocabulary. Slightly more than `count` scores pass it; the sort below leaves the best.
    least = np.partition(best, -count, axis=1)[:, -count, None]
    rows, columns = np.divmod(np.flatnonzero(scores >= least), scores.shape[1])
    order = np.lexsort((columns, -scores[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(len(scores)))
    return columns[order[first[:, None] + np.arange(count)]]


def nucleus(scores: np.ndarray, probability: float) -> np.ndarray:
    """Return the scores with -inf for all but the likeliest columns of each row that together reach a probability.

    Args:
        scores: logarithms of what the probabilities are proportional to, (rows, columns), -inf allowed.
        probability: above 0, below 1. As few columns as possible (ties: the lower column).
    """
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    ordered = -np.sort(-weights, axis=1)
    sums = ordered.cumsum(axis=1)
    last = (sums < probability * sums[:, -1:]).sum(axis=1, keepdims=True)
    least = np.take_along_axis(ordered, last, axis=1)
    tied = weights == least
    fit = last + 1 - (weights > least).sum(axis=1, keepdims=True)  # so many of the tied ones
    return np.where((weights > least) | (tied & (tied.cumsum(axis=1) <= fit)), scores, -np.inf)


def draw(scores: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Draw a column of each row with a probability proportional to exp(score).

    Args:
        scores: (rows, columns), -inf allowed; a row of nothing but -inf gives column 0.
        chances: uniform random numbers in [0, 1), (rows,).
    """
    with np.errstate(invalid="ignore"):
        cumulative = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
    # Strictly above: a column of weight 0 never raises the sum, so it is never the first one above.
    return (cumulative > chances[:, None] * cumulative[:, -1:]).argmax(axis=1)


def batch_size(state: Any) -> int:
    """Return the number of rows of a state.

    Raises:
        ValueError: it is not a nested tuple of arrays with one batch axis.
    """
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in _leaves(state)]
    if len({shape[:1] for shape in shapes}) != 1 or not shapes[0]:
        raise ValueError(f"A state must be a nested tuple of arrays, batch axis first; shapes here: {shapes}.")
    return int(shapes[0][0])


def take(state: Any, rows: np.ndarray) -> Any:
    """Return the given rows, some of them perhaps several times, of every array or tensor of a state.

    Where that is all of them in their order, it is the arrays themselves.
    """
    if isinstance(state, tuple):
        return getattr(state, "_make", tuple)([take(part, rows) for part in state])
    same = len(rows) == state.shape[0] and np.array_equal(rows, np.arange(len(rows)))
    return state if same else np.asarray(state)[rows]


def survivors(is_open: np.ndarray) -> np.ndarray:
    """Return the indices of what stays in the batch: half of it, as often as everything open fits.

    A smaller batch costs a copy of the state, and a GPU chooses its kernels again for each new size; by halving, a
    batch meets only a few sizes, while most of what is finished is still dropped.

    Args:
        is_open: what is still to be decoded, bool (batch,).
    """
    size = len(is_open)
    while size > 1 and np.count_nonzero(is_open) <= (size + 1) // 2:
        size = (size + 1) // 2
    return np.sort(np.argsort(~is_open, kind="stable")[:size])


def trace(attention: list[np.ndarray | None], rows: np.ndarray) -> np.ndarray | None:
    """Collect the attention (words, regions) of one caption.

    Args:
        attention: what the step gave at each position, (rows, regions), or None throughout.
        rows: the row of the batch that the caption stood in as each word was chosen, (words,).
    """
    if attention[0] is None:
        return None
    current = (attention[position][row : row + 1] for position, row in enumerate(rows))
    return np.concatenate([attention[0][:0], *current])  # no words: (0, regions)


def _leaves(state: Any) -> Iterator[Any]:
    """Yield the arrays of a nested tuple."""
    if isinstance(state, tuple):
        for part in state:
            yield from _leaves(part)
    else:
        yield state


def require_whole(name: str, value: Any, least: int) -> None:
    """Raise a ValueError unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}.")
