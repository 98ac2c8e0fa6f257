"""The merge model: an LSTM reads the words, the image vector joins only after it."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers, ops

from captioning.decoding import Step
from captioning.models.decoder import Decoder, DecoderConfig, for_each_caption


@dataclass(frozen=True)
class MergeConfig(DecoderConfig):
    """Sizes of the merge model."""

    embedding: int = 256  # numbers per word
    units: int = 256  # of the LSTM and of the mapped image vector
    dropout: float = 0.5  # on the image vector and on the embedded words


class MergeDecoder(Decoder):
    """Image vector -> dense; words so far -> LSTM; the two added -> dense -> softmax.

    After Tanti, Gatt and Camilleri, "Where to put the image in an image caption generator" (2018): the merge
    architecture. The LSTM never sees the picture: its state belongs to the words. State: (image, hidden, cell).
    """

    kind = "merge"
    config_class = MergeConfig
    averaged = True

    def __init__(self, config: MergeConfig):
        super().__init__(config)
        self.map_vector = layers.Dense(config.units, activation="relu", name="map_vector")
        self.embedding = layers.Embedding(config.vocabulary, config.embedding, name="embedding")
        self.lstm = layers.LSTM(config.units, return_sequences=True, name="lstm")
        self.joint = layers.Dense(config.units, activation="relu", name="joint")
        self.logits = layers.Dense(config.vocabulary, name="logits")
        self.feature_dropout = layers.Dropout(config.dropout, name="feature_dropout")
        self.word_dropout = layers.Dropout(config.dropout, name="word_dropout")

    def initial_state(self, features, training: bool = False):
        """Map the vectors (batch, 1, channels), or the mean of several regions; the LSTM starts from zeros."""
        vectors = ops.mean(self.standardize(features), axis=1)
        image = self.map_vector(self.feature_dropout(vectors, training=training))
        zeros = ops.zeros_like(image)
        return image, zeros, zeros

    def step(self, tokens, state) -> Step:
        """Predict the word after `tokens` (batch,)."""
        image, hidden, cell = state
        hidden, (_, cell) = self.lstm.cell(self.embedding(tokens), [hidden, cell])
        return Step(self.predict_words(self._merge(image, hidden)), (image, hidden, cell), None)

    def unroll(self, tokens, state, training: bool = False):
        """Take all steps in one run: what the LSTM has read after t words serves the prefix of t words."""
        tokens, state = for_each_caption(tokens, state)
        return self.read(tokens, state, training=training)

    def read(self, tokens, state, training: bool = False):
        """Take whole captions (rows, steps), each with the state of its picture: for `unroll` and `functional`.

        Returns:
            Words and picture in one (rows, steps, units).
        """
        image, hidden, cell = state
        words = self.word_dropout(self.embedding(tokens), training=training)
        return self._merge(ops.expand_dims(image, 1), self.lstm(words, initial_state=[hidden, cell]))

    def predict_words(self, hidden, training: bool = False):
        """Return the logits that follow from words and picture in one (..., units)."""
        return self.logits(hidden)

    def functional(self) -> keras.Model:
        """Return the same graph, weights shared, as a functional model.

        It holds nothing but Keras's own layers and operations, so its `.keras` file loads in safe mode without this
        package.

        Returns:
            A model of "features" (batch, regions, channels) and "tokens" (batch, steps) that gives logits
            (batch, steps, vocabulary).
        """
        features = keras.Input((self.config.regions, self.config.channels), name="features")
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        logits = self.predict_words(self.read(tokens, self.initial_state(features)))
        return keras.Model({"features": features, "tokens": tokens}, logits, name="merge")

    def _merge(self, image, hidden):
        return self.joint(image + hidden)
