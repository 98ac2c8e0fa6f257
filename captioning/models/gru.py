"""Embedding + three GRU layers + softmax, started from one vector per picture."""

from __future__ import annotations

from dataclasses import dataclass

from keras import layers, ops

from captioning.decoding import Step
from captioning.models.decoder import Decoder, DecoderConfig, for_each_caption

LAYERS = 3


@dataclass(frozen=True)
class GRUConfig(DecoderConfig):
    """Sizes of the three-layer decoder."""

    embedding: int = 128  # numbers per word
    units: int = 512  # of each GRU layer
    dropout: float = 0.5  # on the image vector, between the layers and before the softmax


class GRUDecoder(Decoder):
    """The image vector, mapped to the units of the GRU, is the initial state of all three layers.

    After Tutorial #22 of the Hvass Laboratories TensorFlow tutorials. State: one hidden array per layer.
    """

    kind = "gru"
    config_class = GRUConfig
    averaged = True

    def __init__(self, config: GRUConfig):
        super().__init__(config)
        self.map_vector = layers.Dense(config.units, activation="tanh", name="map_vector")
        self.embedding = layers.Embedding(config.vocabulary, config.embedding, name="embedding")
        self.grus = [layers.GRU(config.units, return_sequences=True, name=f"gru_{k + 1}") for k in range(LAYERS)]
        self.logits = layers.Dense(config.vocabulary, name="logits")
        self.feature_dropout = layers.Dropout(config.dropout)
        self.layer_dropouts = [layers.Dropout(config.dropout) for _ in range(LAYERS + 1)]

    def initial_state(self, features, training: bool = False):
        """Map the vectors (batch, 1, channels), or the mean of several regions, to three states (batch, units)."""
        vectors = ops.mean(self.standardize(features), axis=1)
        hidden = self.map_vector(self.feature_dropout(vectors, training=training))
        return (hidden,) * LAYERS

    def step(self, tokens, state) -> Step:
        """Predict the word after `tokens` (batch,)."""
        below, after = self.embedding(tokens), []
        for gru, hidden in zip(self.grus, state, strict=True):
            below, _ = gru.cell(below, [hidden])
            after.append(below)
        return Step(self.predict_words(below), tuple(after), None)

    def unroll(self, tokens, state, training: bool = False):
        """Take all steps of the captions (batch, captions, steps), layer by layer."""
        tokens, state = for_each_caption(tokens, state)
        below = self.layer_dropouts[0](self.embedding(tokens), training=training)
        for gru, hidden, dropout in zip(self.grus, state, self.layer_dropouts[1:], strict=True):
            below = dropout(gru(below, initial_state=hidden), training=training)
        return below

    def predict_words(self, hidden, training: bool = False):
        """Return the logits that follow from what the last layer says (..., units)."""
        return self.logits(hidden)
