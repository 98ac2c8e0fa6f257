"""Bahdanau (additive) attention over image regions, and a GRU that looks at a new mixture of them per word."""

from __future__ import annotations

from dataclasses import dataclass

from keras import layers, ops

from captioning.decoding import Step
from captioning.models.decoder import Decoder, DecoderConfig, side_by_side


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
            query: (batch, captions, units of the GRU).
            keys: (batch, regions, units), from `project_keys`; the captions of a picture share them.
            values: (batch, regions, channels).

        Returns:
            The context (batch, captions, channels) and the weights (batch, captions, regions), which sum to 1.
        """
        hidden = ops.tanh(ops.expand_dims(self.query_projection(query), 2) + ops.expand_dims(keys, 1))
        weights = ops.softmax(ops.squeeze(self.score(hidden), -1), axis=-1)
        return ops.matmul(weights, values), weights


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
        words, hidden = (side_by_side(array, keys) for array in (self.embedding(tokens), hidden))
        hidden, context, weights = self._advance(words, hidden, keys, values)
        logits = self._logits(words, ops.concatenate([hidden, context], axis=-1))
        logits, hidden, weights = (ops.reshape(array, (-1, array.shape[-1])) for array in (logits, hidden, weights))
        return Step(logits, (hidden, keys, values), weights)

    def unroll(self, tokens, state, training: bool = False):
        """Take all steps of the captions (batch, captions, steps).

        The captions of a picture stand side by side and share its regions; the products with the vocabulary wait
        until the end and become one.
        """
        hidden, keys, values = state
        words = self.word_dropout(self.embedding(tokens), training=training)  # (batch, captions, steps, embedding)
        hidden = ops.repeat(ops.expand_dims(hidden, 1), ops.shape(tokens)[1], axis=1)

        # ops.scan wants what it carries and what it collects in one shape: hidden and context side by side.
        def body(seen, words_now):
            hidden, context, _ = self._advance(words_now, seen[..., : self.config.units], keys, values)
            seen = ops.concatenate([hidden, context], axis=-1)
            return seen, seen

        start = ops.concatenate([hidden, ops.zeros_like(hidden)], axis=-1)
        _, seen = ops.scan(body, start, ops.transpose(words, (2, 0, 1, 3)))
        return self._logits(words, ops.transpose(seen, (1, 2, 0, 3)), training=training)

    def _advance(self, words, hidden, keys, values):
        """Take one step of all captions: words and hidden are (batch, captions, ...)."""
        context, weights = self.attention(hidden, keys, values)
        before = ops.zeros_like(hidden) if self.config.restart else hidden
        inputs = ops.concatenate([words, context], axis=-1)
        inputs, before = (ops.reshape(array, (-1, array.shape[-1])) for array in (inputs, before))
        after, _ = self.cell(inputs, [before])
        return ops.reshape(after, ops.shape(hidden)), context, weights

    def _logits(self, words, seen, training: bool = False):
        mixed = ops.tanh(self.mixture(ops.concatenate([words, seen], axis=-1)))
        return self.logits(self.output_dropout(mixed, training=training))
