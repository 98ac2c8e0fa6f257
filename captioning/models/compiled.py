"""A decoder's step compiled for decoding: what a search asks is answered inside, by a few numbers per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from captioning.decoding.steps import NOT_FINITE, Next, Step, last_words, said_once
from captioning.tokenizer import END

GROUP = 64  # words


class CompiledStep:
    """A step function of `captioning.decoding`; NumPy in, tensors out, logits in float32."""

    def __init__(self, model):
        """Take a `Decoder`; nothing is compiled before it is used."""
        self._model = model
        self._step = tf.function(self._take, reduce_retracing=True)
        self._best: Any = None

    def __call__(self, tokens: np.ndarray, state: Any) -> Step:
        """Predict the word after `tokens` (rows,)."""
        return Step(*self._step(tf.constant(tokens, tf.int32), tf.nest.map_structure(tf.convert_to_tensor, state)))

    def begin(self, state: Any, width: int, once: np.ndarray | None) -> Reader:
        """Return what answers a search, see `decoding.steps.PlainReader`, which it equals; it takes the same."""
        state = tf.nest.map_structure(tf.convert_to_tensor, state)
        if self._best is None:
            rows, pairs = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, 2), tf.int32)
            of_state = tf.nest.map_structure(lambda array: tf.TensorSpec([None, *array.shape[1:]], array.dtype), state)
            signature = (rows, of_state, pairs, tf.TensorSpec((), tf.int32))
            self._best = tf.function(self._take_best, input_signature=signature)
        return Reader(self._best, self._model, state, width, once)

    def _take(self, tokens, state):
        logits, state, attention = self._model.step(tokens, state)
        return ops.cast(logits, "float32"), state, None if attention is None else ops.cast(attention, "float32")

    def _take_best(self, tokens, state, banned, width):
        logits, state, attention = self._take(tokens, state)
        total = tf.reduce_logsumexp(logits, axis=1, keepdims=True)
        total = tf.where(tf.math.is_finite(total), total, np.nan)
        scores, words = _best_words(logits, banned, width)
        return state, logits[:, END] - total[:, 0], words, scores - total, attention


def _best_words(logits, banned, count):
    """Return the `count` largest logits of words that are not banned, and the words (ties: the lower id).

    The words are looked at in groups: the best ones are in the groups with the largest maxima, and a maximum is found
    several times faster than an order.
    """
    rows, vocabulary = tf.shape(logits)[0], logits.shape[1]
    allowed = np.zeros(vocabulary, np.float32)
    allowed[: END + 1] = -np.inf  # PAD, UNK, START and END are no words
    logits = tf.tensor_scatter_nd_update(logits + allowed, banned, tf.fill(tf.shape(banned)[:1], -np.inf))
    logits = tf.pad(logits, [(0, 0), (0, -vocabulary % GROUP)], constant_values=-np.inf)  # fills the last group
    logits = tf.reshape(logits, (rows, -(-vocabulary // GROUP), GROUP))
    groups = tf.math.top_k(tf.reduce_max(logits, axis=2), tf.minimum(count, logits.shape[1])).indices
    groups = tf.sort(groups, axis=1)
    words = tf.reshape(groups[..., None] * GROUP + tf.range(GROUP), (rows, -1))
    among = tf.reshape(tf.gather(logits, groups, batch_dims=1), (rows, -1))
    scores, places = tf.math.top_k(among, tf.minimum(count, vocabulary - END - 1))
    return scores, tf.gather(words, places, batch_dims=1)


class Reader:
    """One search through a compiled step. What a step never changes is kept once per picture, and is not reordered."""

    def __init__(self, best, model, state: Any, width: int, once: np.ndarray | None):
        """See `CompiledStep.begin`."""
        self._best, self._state, self._width, self._once = best, state, width, once
        self._of_picture, self._vocabulary = of_picture(model, state), model.config.vocabulary
        self._beams = 1  # rows of the state per picture

    def best(self, prefixes: np.ndarray, rows: np.ndarray, beams: int) -> Next:
        """See `decoding.steps.PlainReader.best`."""
        pictures, self._beams = rows[::beams] // self._beams, beams
        state = tf.nest.map_structure(
            lambda array, of_picture: _take(array, pictures if of_picture else rows), self._state, self._of_picture
        )
        banned = said_once(prefixes, self._once, self._vocabulary)
        self._state, *found = self._best(last_words(prefixes), state, banned.astype(np.int32), self._width)
        end, words, scores, attention = (None if array is None else array.numpy() for array in found)
        if np.isnan(end).any():
            raise ValueError(NOT_FINITE)
        return Next(end, words, scores, attention)


def _take(array, rows: np.ndarray):
    """Return some rows of a tensor; the tensor itself where that is all of them."""
    same = len(rows) == array.shape[0] and np.array_equal(rows, np.arange(len(rows)))
    return array if same else tf.gather(array, rows)


def of_picture(model, state: Any) -> Any:
    """Return which arrays of a state are the picture's; none where a subclass changes `step` and does not say."""
    owner = next(base for base in type(model).__mro__ if "step" in vars(base))
    return model.of_picture(state) if "of_picture" in vars(owner) else tf.nest.map_structure(lambda _: False, state)
