"""Bahdanau (additive) attention over image regions, and a GRU that looks at a new mixture of them per word."""

from __future__ import annotations

from dataclasses import dataclass

from keras import layers, ops

from captioning.decoding import Step
from captioning.models.decoder import Decoder, DecoderConfig


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
        super().__init__(**kwargs)
        self.query_projection = layers.Dense(units, name="query_projection")
        self.key_projection = layers.Dense(units, use_bias=False, name="key_projection")
        self.score = layers.Dense(1, use_bias=False, name="score")

    def project_keys(self, regions):
        """Return U region: (batch, regions, units); once per picture, not once per word."""
        return self.key_projection(regions)

    def call(self, query, keys, values):
        """Mix the regions.

        Args:
            query: (batch, units of the GRU).
            keys: (batch, regions, units), from `project_keys`.
            values: (batch, regions, channels).

        Returns:
            The context (batch, channels) and the weights (batch, regions), which sum to 1.
        """
        hidden = ops.tanh(ops.expand_dims(self.query_projection(query), 1) + keys)
        weights = ops.softmax(ops.squeeze(self.score(hidden), -1), axis=-1)
        context = ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), values), 1)
        return context, weights


class BahdanauDecoder(Decoder):
    """Looks at other parts of the picture for every word.

    After Xu et al., "Show, Attend and Tell" (2015): soft attention, the state started from the mean region, and an
    output layer that sees the word, the state and the context. State: (hidden, keys, values).
    """

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

    def step(self, tokens, state) -> Step:
        """Predict the word after `tokens` (batch,)."""
        words = self.embedding(tokens)
        hidden, context, weights = self._advance(words, state)
        logits = self._logits(words, ops.concatenate([hidden, context], axis=-1))
        return Step(logits, (hidden, *state[1:]), weights)

    def unroll(self, tokens, state, training: bool = False):
        """Take all steps of the captions; the products with the vocabulary wait until the end and become one."""
        words = self.word_dropout(self.embedding(tokens), training=training)  # (batch, steps, embedding)

        # ops.scan wants what it carries and what it collects in one shape: hidden and context side by side.
        def body(seen, words_now):
            hidden, context, _ = self._advance(words_now, (seen[:, : self.config.units], *state[1:]))
            seen = ops.concatenate([hidden, context], axis=-1)
            return seen, seen

        start = ops.concatenate([state[0], ops.zeros_like(state[0])], axis=-1)
        _, seen = ops.scan(body, start, ops.transpose(words, (1, 0, 2)))
        return self._logits(words, ops.transpose(seen, (1, 0, 2)), training=training)

    def _advance(self, words, state):
        hidden, keys, values = state
        context, weights = self.attention(hidden, keys, values)
        before = ops.zeros_like(hidden) if self.config.restart else hidden
        hidden, _ = self.cell(ops.concatenate([words, context], axis=-1), [before])
        return hidden, context, weights

    def _logits(self, words, seen, training: bool = False):
        mixed = ops.tanh(self.mixture(ops.concatenate([words, seen], axis=-1)))
        return self.logits(self.output_dropout(mixed, training=training))
