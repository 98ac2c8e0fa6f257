"""A bidirectional LSTM over the words so far, and dot-product attention from them over the image regions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf
from keras import layers, ops

from captioning.decoding import Step
from captioning.models.decoder import Decoder, DecoderConfig, product
from captioning.tokenizer import PAD


@dataclass(frozen=True)
class BiLSTMConfig(DecoderConfig):
    """Sizes of the bidirectional decoder."""

    embedding: int = 192  # numbers per word
    units: int = 128  # of the LSTM of each direction
    attention: int = 256  # width of queries, keys and values
    dropout: float = 0.5  # on regions, embedded words and before the softmax
    longest: int = 31  # words that the state can hold, START included; one more is an error
    blind: bool = False  # the usual bug: a sum over the softmax's own axis leaves the text, not the picture


class BiLSTMDecoder(Decoder):
    """For every prefix: text states in both directions, each attends over the regions, the contexts are averaged.

    A bidirectional LSTM that read the whole caption would see the word it has to predict, so the right-to-left LSTM
    starts again at the end of *each* prefix. All prefixes of a caption are rows of one run: in its k-th step every
    prefix reads its k-th word from the end. Attention: Vaswani et al., "Attention Is All You Need" (2017), equation 1.
    State: (words so far, their number, hidden and cell of the left-to-right LSTM, the left-to-right part of each word's
    scores, keys, their product with the queries' matrix, values).
    """

    kind = "bilstm"
    config_class = BiLSTMConfig

    def __init__(self, config: BiLSTMConfig):
        super().__init__(config)
        self.embedding = layers.Embedding(config.vocabulary, config.embedding, name="embedding")
        self.forward = layers.LSTM(config.units, return_sequences=True, name="forward")
        self.backward = layers.LSTMCell(config.units, name="backward")
        self.query_projection = layers.Dense(config.attention, name="query_projection")
        self.key_projection = layers.Dense(config.attention, use_bias=False, name="key_projection")
        self.value_projection = layers.Dense(config.attention, activation="relu", name="value_projection")
        self.joint = layers.Dense(config.attention, activation="relu", name="joint")
        self.logits = layers.Dense(config.vocabulary, name="logits")
        self.feature_dropout = layers.Dropout(config.dropout)
        self.word_dropout = layers.Dropout(config.dropout)
        self.output_dropout = layers.Dropout(config.dropout)

    def initial_state(self, features, training: bool = False):
        """Project the regions (batch, regions, channels) once; no word has been said."""
        regions = self.feature_dropout(self.standardize(features), training=training)
        keys, values = self.key_projection(regions), self.value_projection(regions)
        batch, longest = ops.shape(features)[0], self.config.longest
        words, count = ops.full((batch, longest), PAD, dtype="int32"), ops.zeros((batch,), dtype="int32")
        hidden = ops.zeros((batch, self.config.units), keys.dtype)
        scores = ops.zeros((batch, longest, self.config.regions), keys.dtype)
        return words, count, hidden, hidden, scores, keys, self._back_keys(keys), values

    def of_picture(self, state):
        """What is made of the regions belongs to the picture."""
        return False, False, False, False, False, True, True, True

    def step(self, tokens, state) -> Step:
        """Predict the word after the words so far and `tokens` (rows,).

        The left-to-right LSTM continues where it was. The other one reads all words again, from the new one on.

        Raises:
            tf.errors.InvalidArgumentError: more words than `config.longest`.
        """
        words, count, hidden, cell, scores, keys, back_keys, values = state
        longest = self.config.longest
        tf.debugging.assert_less(
            count, longest, f"The model has room for {longest - 1} words: decode shorter captions, or build it longer."
        )
        here = ops.expand_dims(ops.arange(longest), 0) == ops.expand_dims(count, 1)
        words = ops.where(here, ops.expand_dims(ops.cast(tokens, "int32"), 1), words)
        hidden, (_, cell) = self.forward.cell(self.embedding(tokens), [hidden, cell])
        ahead = ops.expand_dims(hidden, 1)
        scores = ops.where(ops.expand_dims(here, -1), self._scores_ahead(ahead, keys), scores)
        # Never beyond the end: TensorFlow may gather before it checks the above, with an error that says less.
        count = ops.minimum(count + 1, longest)
        most = ops.max(count)
        # Column k holds the k-th word from the end; what lies before the first one is masked by the count.
        place = ops.maximum(ops.expand_dims(count, 1) - 1 - ops.arange(most), 0)
        inputs = self._project_words(self.embedding(ops.transpose(ops.take_along_axis(words, place, axis=1))))
        turned = ops.take_along_axis(scores, ops.expand_dims(place, -1), axis=1)
        back, weights = self._read_backwards(
            lambda k: ops.expand_dims(ops.take(inputs, k, axis=0), 1),
            lambda k: ops.expand_dims(ops.take(turned, k, axis=1), 1),
            ops.expand_dims(count, 1),
            most,
            back_keys,
        )
        logits = self.predict_words(self._together(ahead, back, weights, values))
        return Step(logits[:, 0], (words, count, hidden, cell, scores, keys, back_keys, values), weights[:, 0])

    def unroll(self, tokens, state, training: bool = False):
        """Predict after every prefix of the captions (batch, captions, steps); all prefixes are read in one run."""
        *_, keys, back_keys, values = state
        steps = ops.shape(tokens)[2]
        tokens = ops.reshape(tokens, (-1, steps))  # the captions of a picture one below the other
        embedded = self.word_dropout(self.embedding(tokens), training=training)
        ahead = self.forward(embedded)
        # Prefix t reads word t - k in the run's k-th step: the words, moved right by k.
        inputs, scores = (
            ops.concatenate([ops.zeros_like(array), array], axis=1)
            for array in (self._project_words(embedded), self._scores_ahead(ahead, keys))
        )
        places = steps + ops.arange(steps)
        back, weights = self._read_backwards(
            lambda k: ops.take(inputs, places - k, axis=1),
            lambda k: ops.take(scores, places - k, axis=1),
            ops.expand_dims(ops.arange(1, steps + 1), 0),
            steps,
            back_keys,
        )
        return self._together(ahead, back, weights, values)

    def predict_words(self, hidden, training: bool = False):
        """Return the logits that follow from both text states and the context of prefixes, side by side."""
        return self.logits(self.output_dropout(self.joint(hidden), training=training))

    def _project_words(self, embedded):
        if not self.backward.built:
            self.backward.build((None, self.config.embedding))
        return ops.matmul(embedded, self._cast(self.backward.kernel)) + self._cast(self.backward.bias)

    def _read_backwards(self, inputs_at, scores_at, count, steps, back_keys):
        """Read every prefix from its end and let each text state attend over the regions.

        A query is W [ahead, back] + b, its score q . key / sqrt(depth). The part of `ahead` is the same in all
        prefixes: it comes from outside. For the part of `back`, W and the keys are multiplied first, before the loop.

        Args:
            inputs_at: k -> the projected k-th words from the end, (captions, prefixes, 4 units).
            scores_at: k -> the left-to-right part of their scores, (captions, prefixes, regions).
            count: words per prefix, (captions or 1, prefixes); what a run reads beyond them counts nowhere.
            steps: of the longest prefix.
            back_keys: (batch, units, regions), see `_back_keys`; captions / batch of them in a row share the same.

        Returns:
            The state at each prefix's first word (captions, prefixes, units), and the attention weights, averaged over
            the prefix's words (captions, prefixes, regions).
        """
        units = self.config.units
        total = ops.zeros_like(scores_at(0))
        first = ops.zeros_like(inputs_at(0)[..., :units])

        def body(k, carried):
            hidden, cell, at_start, total = carried
            hidden, cell = self._lstm_step(inputs_at(k), hidden, cell)
            weights = ops.softmax(scores_at(k) + _per_picture(hidden, back_keys), axis=-1)
            inside = ops.expand_dims(self._cast(k < count), -1)
            at_start = ops.where(ops.expand_dims(ops.equal(k, count - 1), -1), hidden, at_start)
            return hidden, cell, at_start, total + inside * weights

        # Not ops.fori_loop: XLA needs to know how many steps there are at most.
        _, _, _, at_start, total = tf.while_loop(
            lambda k, *_: k < steps,
            lambda k, *carried: (k + 1, *body(k, carried)),
            (0, first, first, first, total),
            maximum_iterations=steps,
        )
        return at_start, total / ops.expand_dims(self._cast(count), -1)

    def _lstm_step(self, projected, hidden, cell):
        gates = projected + product(hidden, self._cast(self.backward.recurrent_kernel))
        keep_in, forget, candidate, out = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(keep_in) * ops.tanh(candidate)
        return ops.sigmoid(out) * ops.tanh(cell), cell

    def _back_keys(self, keys):
        """Return the product of W's part of `back` and the keys: (batch, units, regions)."""
        if not self.query_projection.built:
            self.query_projection.build((None, 2 * self.config.units))
        return ops.matmul(self._cast(self.query_projection.kernel)[self.config.units :], self._scaled(keys))

    def _scores_ahead(self, ahead, keys):
        kernel, bias = self._cast(self.query_projection.kernel), self._cast(self.query_projection.bias)
        return _per_picture(ops.matmul(ahead, kernel[: self.config.units]) + bias, self._scaled(keys))

    def _cast(self, array):
        """Return what is computed with by hand in the precision that the layers compute in."""
        return ops.cast(array, self.compute_dtype)

    def _scaled(self, keys):
        return ops.transpose(keys, (0, 2, 1)) / math.sqrt(self.config.attention)

    def _together(self, ahead, back, weights, values):
        if self.config.blind:
            context = self.query_projection(ops.concatenate([ahead, back], axis=-1))
        else:
            context = _per_picture(weights, values)
        return ops.concatenate([ahead, back, context], axis=-1)


def _per_picture(rows, matrices):
    """Multiply (captions, prefixes, n) by (batch, n, m): all captions of a picture by its one matrix at once."""
    batch, n, m = ops.shape(matrices)
    product = ops.matmul(ops.reshape(rows, (batch, -1, n)), matrices)
    return ops.reshape(product, (-1, ops.shape(rows)[1], m))
