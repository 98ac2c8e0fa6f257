"""Bahdanau (additive) attention over image regions, and a GRU that looks at a new mixture of them per word."""

from __future__ import annotations

from dataclasses import dataclass

from keras import layers, ops

from captioning.decoding import Step
from captioning.models import recurrence
from captioning.models.decoder import Decoder, DecoderConfig, product, side_by_side


@dataclass(frozen=True)
class BahdanauConfig(DecoderConfig):
    """Sizes of the attention decoder."""

    embedding: int = 256  # numbers per word
    units: int = 512  # of the GRU and of a projected region
    attention: int = 256  # width of the additive score
    dropout: float = 0.5  # on regions, embedded words and the output
    restart: bool = False  # the usual bug: the GRU forgets its state at every word


class AdditiveAttention(layers.Layer):
    """score = v . tanh(W query + U region); weights = softmax over the regions.

    Definition: Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate"
    (2015), section 3.1 and appendix A.1.2.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.query_projection = layers.Dense(units, name="query_projection")
        self.key_projection = layers.Dense(units, use_bias=False, name="key_projection")
        self.score = layers.Dense(1, use_bias=False, name="score")

    def project_keys(self, regions):
        """Return U region: (batch, regions, units), float32; once per picture, not once per word."""
        return ops.cast(self.key_projection(regions), "float32")

    def call(self, query, keys, values):
        """Mix the regions.

        Args:
            query: (batch, captions, units of the GRU).
            keys: (batch, regions, units), from `project_keys`; the captions of a picture share them.
            values: (batch, regions, channels).

        Returns:
            The context (batch, captions, channels) and the weights (batch, captions, regions), which sum to 1. What is
            not a product of matrices is in float32, which is no slower: the tanh of bfloat16 takes a CPU twice as long.
        """
        queries = self.query_projection(ops.reshape(query, (-1, query.shape[-1])))  # as one product, see `product`
        queries = ops.reshape(queries, (*ops.shape(query)[:-1], queries.shape[-1]))
        hidden = ops.tanh(ops.expand_dims(ops.cast(queries, "float32"), 2) + ops.expand_dims(keys, 1))
        if not self.score.built:
            self.score.build(hidden.shape)
        scores = product(hidden, ops.cast(self.score.kernel, "float32"))
        weights = ops.softmax(ops.squeeze(scores, -1), axis=-1)
        return ops.matmul(ops.cast(weights, values.dtype), values), weights


class BahdanauDecoder(Decoder):
    """Looks at other parts of the picture for every word.

    After Xu et al., "Show, Attend and Tell" (2015): soft attention, the state started from the mean region, and an
    output layer that sees the word, the state and the context. State: (hidden, keys, values).
    """

    kind = "bahdanau"
    config_class = BahdanauConfig

    def __init__(self, config: BahdanauConfig):
        super().__init__(config)
        self.region_projection = layers.Dense(config.units, activation="relu", name="region_projection")
        self.start = layers.Dense(config.units, activation="tanh", name="start")
        self.attention = AdditiveAttention(config.attention, name="attention")
        self.embedding = layers.Embedding(config.vocabulary, config.embedding, name="embedding")
        self.cell = layers.GRUCell(config.units, name="gru")
        self.mixture = layers.Dense(config.embedding, name="mixture")
        self.logits = layers.Dense(config.vocabulary, name="logits")
        self.feature_dropout = layers.Dropout(config.dropout)
        self.word_dropout = layers.Dropout(config.dropout)
        self.output_dropout = layers.Dropout(config.dropout)

    def initial_state(self, features, training: bool = False):
        """Project the regions once.

        Args:
            features: (batch, regions, channels), raw.

        Returns:
            hidden (batch, units), keys (batch, regions, attention), values (batch, regions, units).
        """
        regions = self.feature_dropout(self.standardize(features), training=training)
        values = self.region_projection(regions)
        hidden = self.start(ops.mean(values, axis=1))
        return hidden, self.attention.project_keys(values), values

    def of_picture(self, state):
        """Keys and values belong to the picture."""
        return False, True, True

    def step(self, tokens, state) -> Step:
        """Predict the word after `tokens` (rows,)."""
        hidden, keys, values = state
        words = self.embedding(tokens)
        of_words, of_context, recurrent, (bias, recurrent_bias) = self._gru_weights()
        context, weights = self.attention(side_by_side(hidden, keys), keys, values)
        context, weights = (ops.reshape(array, (-1, array.shape[-1])) for array in (context, weights))
        before = ops.zeros_like(hidden) if self.config.restart else hidden
        projected = ops.matmul(words, of_words) + bias + ops.matmul(context, of_context)
        hidden = recurrence.gru_step(projected, ops.matmul(before, recurrent) + recurrent_bias, before)
        logits = self.predict_words(ops.concatenate([words, hidden, context], axis=-1))
        return Step(logits, (hidden, keys, values), weights)

    def unroll(self, tokens, state, training: bool = False):
        """Take all steps of the captions (batch, captions, steps).

        The captions of a picture are side by side and share its regions. What does not wait for the step before is
        one product for all steps: the words' part of the GRU's input.
        """
        hidden, keys, values = state
        batch, captions, steps = ops.shape(tokens)
        words = self.word_dropout(self.embedding(tokens), training=training)  # (batch, captions, steps, embedding)
        of_words, of_context, recurrent, (bias, recurrent_bias) = self._gru_weights()
        rows = ops.reshape(ops.transpose(words, (2, 0, 1, 3)), (-1, self.config.embedding))
        projected = ops.reshape(ops.matmul(rows, of_words) + bias, (steps, -1, bias.shape[0]))

        def look(hidden):
            context, _ = self.attention(side_by_side(hidden, keys), keys, values)
            return ops.reshape(context, (-1, context.shape[-1]))

        hidden = ops.repeat(hidden, captions, axis=0)
        seen = recurrence.run(look, projected, hidden, of_context, recurrent, recurrent_bias, self.config.restart)
        seen = ops.reshape(ops.concatenate(seen, axis=-1), (steps, batch, captions, 2 * self.config.units))
        return ops.concatenate([words, ops.transpose(seen, (1, 2, 0, 3))], axis=-1)

    def _gru_weights(self):
        """Return the kernels for words, context and state, and the two biases, in the precision that is computed in."""
        sizes = [self.config.embedding, self.config.units]
        if not self.cell.built:
            self.cell.build((None, sum(sizes)))
        weights = self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias
        kernel, recurrent, biases = (ops.cast(array, self.compute_dtype) for array in weights)
        return *ops.split(kernel, sizes[:1], axis=0), recurrent, ops.unstack(biases)

    def predict_words(self, hidden, training: bool = False):
        """Return the logits that follow from the word read, the state after it and the context, side by side."""
        return self.logits(self.output_dropout(ops.tanh(self.mixture(hidden)), training=training))
