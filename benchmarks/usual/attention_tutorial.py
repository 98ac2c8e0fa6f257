"""Attention trained as the public tutorials do: word by word over 50 padded places, the picture copied per caption.

Written from the procedure of TensorFlow's tutorial on captioning with visual attention (2020 to 2022), for the same
network as `captioning.models.bahdanau`, so that both give the same loss. The tutorial's own network projects regions to
256 numbers and forgets the GRU's state at every word; here the regions are as wide as ours and the state is passed on.
"""

import captioning.quiet  # noqa: F401

# isort: split
import keras
import numpy as np
import tensorflow as tf

from captioning.tokenizer import PAD

PLACES = 50  # to which every caption is padded


class Attention(keras.Model):
    """Additive attention over the regions of each caption's own copy of the picture."""

    def __init__(self, units: int):
        super().__init__()
        self.of_regions = keras.layers.Dense(units, use_bias=False)
        self.of_state = keras.layers.Dense(units)
        self.score = keras.layers.Dense(1, use_bias=False)

    def call(self, regions, hidden):
        """Return the mixture (batch, width) of regions (batch, regions, width), and the weights."""
        seen = tf.nn.tanh(self.of_regions(regions) + self.of_state(tf.expand_dims(hidden, 1)))
        weights = tf.nn.softmax(self.score(seen), axis=1)
        return tf.reduce_sum(weights * regions, axis=1), weights


class Picture(keras.Model):
    """A layer over the regions, and the state that the decoder starts from."""

    def __init__(self, units: int):
        super().__init__()
        self.project = keras.layers.Dense(units, activation="relu")
        self.start = keras.layers.Dense(units, activation="tanh")

    def call(self, features):
        """Return regions (batch, regions, units) and a state (batch, units)."""
        regions = self.project(features)
        return regions, self.start(tf.reduce_mean(regions, axis=1))


class Words(keras.Model):
    """One word in, the next one's logits out."""

    def __init__(self, vocabulary: int, embedding: int, units: int, attention: int):
        super().__init__()
        self.attention = Attention(attention)
        self.embedding = keras.layers.Embedding(vocabulary, embedding)
        self.gru = keras.layers.GRU(units, return_sequences=True, return_state=True)
        self.mixture = keras.layers.Dense(embedding, activation="tanh")
        self.logits = keras.layers.Dense(vocabulary)

    def call(self, word, regions, hidden):
        """Read a word (batch, 1); return logits (batch, vocabulary), the next state and the attention's weights."""
        context, weights = self.attention(regions, hidden)
        embedded = self.embedding(word)
        inputs = tf.concat([embedded, tf.expand_dims(context, 1)], axis=-1)
        _, hidden = self.gru(inputs, initial_state=hidden)
        mixed = self.mixture(tf.concat([embedded[:, 0], hidden, context], axis=-1))
        return self.logits(mixed), hidden, weights


class Tutorial:
    """Both models, the optimizer and the training step."""

    def __init__(self, config):
        """Take the sizes of a `BahdanauConfig`."""
        self.picture = Picture(config.units)
        self.words = Words(config.vocabulary, config.embedding, config.units, config.attention)
        self.optimizer = keras.optimizers.Adam()
        self.nats = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
        regions, hidden = self.picture(tf.zeros((1, config.regions, config.channels)))
        self.words(tf.zeros((1, 1), tf.int32), regions, hidden)  # builds all weights
        self.train_step = tf.function(self._train_step)

    def take_weights(self, model) -> None:
        """Copy the weights of a `BahdanauDecoder`."""
        words = self.words
        for layer, source in (
            (self.picture.project, model.region_projection),
            (self.picture.start, model.start),
            (words.attention.of_regions, model.attention.key_projection),
            (words.attention.of_state, model.attention.query_projection),
            (words.attention.score, model.attention.score),
            (words.embedding, model.embedding),
            (words.gru, model.cell),
            (words.mixture, model.mixture),
            (words.logits, model.logits),
        ):
            layer.set_weights(source.get_weights())

    def loss(self, features, captions):
        """Return nats per word of captions (batch, places), START first, each with its picture's features."""
        regions, hidden = self.picture(features)
        total = 0.0
        for place in range(1, captions.shape[1]):
            logits, hidden, _ = self.words(captions[:, place - 1 : place], regions, hidden)
            there = tf.cast(captions[:, place] != PAD, tf.float32)
            total += tf.reduce_sum(self.nats(captions[:, place], logits) * there)
        return total / tf.reduce_sum(tf.cast(captions[:, 1:] != PAD, tf.float32))

    def _train_step(self, features, captions):
        with tf.GradientTape() as tape:
            loss = self.loss(features, captions)
        weights = self.picture.trainable_variables + self.words.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    def caption(self, features, start: int, end: int, most: int) -> list[int]:
        """Caption one picture (regions, channels), one word per call, always the likeliest: as the tutorials do."""
        regions, hidden = self.picture(features[None])
        word, said = start, []
        for _ in range(most):
            logits, hidden, _ = self.words(np.array([[word]], np.int32), regions, hidden)
            word = int(tf.argmax(logits[0]))
            if word == end:
                break
            said.append(word)
        return said


def copied(features, tokens, targets, places: int = PLACES) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch of ours as the tutorials have it: a copy of the features per caption, captions padded to `places`.

    Args:
        features: (batch, regions, channels).
        tokens: (batch, captions, steps), START first.
        targets: the same one word later.
    """
    batch, captions, steps = tokens.shape
    whole = np.concatenate([tokens, targets[..., -1:]], axis=-1).reshape(batch * captions, steps + 1)
    padded = np.full((len(whole), max(places, steps + 1)), PAD, np.int32)
    padded[:, : steps + 1] = whole
    return np.repeat(np.asarray(features, np.float32), captions, axis=0), padded
