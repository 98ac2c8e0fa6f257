"""A Transformer decoder: causal self-attention over the words, cross-attention over the regions, keys kept per word."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from keras import layers, ops

from captioning.decoding import Step
from captioning.models.decoder import Decoder, DecoderConfig
from captioning.tokenizer import PAD, START

MASKED = -1e4  # a score that leaves no weight, also in float16


@dataclass(frozen=True)
class TransformerConfig(DecoderConfig):
    """Sizes of the Transformer decoder."""

    units: int = 256  # width of words, regions and everything between the blocks
    heads: int = 4  # per attention; `units` is a multiple of it
    blocks: int = 2
    dropout: float = 0.3  # on regions, embedded words and what each sublayer adds
    longest: int = 51  # words that the state can hold, START included; one more is an error
    causal: bool = True  # False is a mistake: in training every word sees the ones that it has to predict

    def __post_init__(self):
        """Refuse sizes that make no model."""
        if self.heads < 1 or self.blocks < 1 or self.units % self.heads:
            raise ValueError(
                f"UNITS = {self.units}, HEADS = {self.heads}, BLOCKS = {self.blocks}: there must be a head and a block "
                "at least, and the units must be a multiple of the heads, each of which gets an equal part of them."
            )


def _build(parts: Iterable[layers.Layer], units: int) -> None:
    """Create the weights of parts that take (batch, places, units) and have none yet."""
    for part in parts:
        if not part.built:
            part.build((None, None, units))


class Attention(layers.Layer):
    """Scaled dot-product attention with several heads, written out: no mask is lost, and the weights can be drawn.

    Definition: Vaswani et al., "Attention Is All You Need" (2017), sections 3.2.1 and 3.2.2.
    """

    def __init__(self, units: int, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.query = layers.Dense(units, name="query")
        # A bias of the keys would add the same to all scores of a query, which the softmax does not see.
        self.key = layers.Dense(units, use_bias=False, name="key")
        self.value, self.mix = layers.Dense(units, name="value"), layers.Dense(units, name="output")
        self.units = units

    def build(self, _=None):
        """Create the weights under the name of this layer, whichever of its parts is used first."""
        _build((self.query, self.key, self.value, self.mix), self.units)

    def project(self, inputs):
        """Return the keys and values of inputs (batch, places, units): each (batch, heads, places, units of a head).

        The heads come first once and for all: a step would otherwise move all that is kept.
        """
        return self._split(self.key(inputs)), self._split(self.value(inputs))

    def call(self, inputs, keys, values, mask=None):
        """Mix the values of all places for each position.

        Args:
            inputs: (batch, positions, units).
            keys, values: from `project`.
            mask: whether a position may look at a place, bool, broadcast to (batch, heads, positions, places).

        Returns:
            (batch, positions, units), and the weights (batch, heads, positions, places), which sum to 1 over places.
        """
        queries = self._split(self.query(inputs))
        scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2)) / math.sqrt(queries.shape[-1])
        if mask is not None:
            scores = ops.where(mask, scores, ops.cast(MASKED, scores.dtype))
        # The softmax, written out: that of Keras warns of a single place, as the first word and a vector have.
        weights = ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
        mixed = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
        return self.mix(ops.reshape(mixed, ops.shape(inputs))), weights

    def _split(self, array):
        batch, places, units = ops.shape(array)
        parts = ops.reshape(array, (batch, places, self.heads, units // self.heads))
        return ops.transpose(parts, (0, 2, 1, 3))


class Block(layers.Layer):
    """Self-attention, cross-attention and a feed-forward layer; each reads what is normalized, and adds to its input.

    Pre-norm: Xiong et al., "On Layer Normalization in the Transformer Architecture" (2020), figure 1 (b).
    """

    def __init__(self, units: int, heads: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.self_attention = Attention(units, heads, name="self_attention")
        self.cross_attention = Attention(units, heads, name="cross_attention")
        self.widen = layers.Dense(4 * units, activation="gelu", name="widen")
        self.narrow = layers.Dense(units, name="narrow")
        self.norms = [layers.LayerNormalization(epsilon=1e-5, name=f"norm_{k + 1}") for k in range(3)]
        self.dropouts = [layers.Dropout(dropout) for _ in range(3)]

    def build(self, _=None):
        """Create the weights under the name of this layer."""
        _build((self.self_attention, self.cross_attention, self.widen, *self.norms), self.units)
        _build([self.narrow], 4 * self.units)

    def words(self, states):
        """Return the keys and values of self-attention of states (rows, positions, units)."""
        return self.self_attention.project(self.norms[0](states))

    def call(self, states, words, regions, mask, training: bool = False):
        """Move the states of all positions on by one block.

        Args:
            states: (rows, positions, units).
            words: keys and values of the words of each row.
            regions: keys and values of the regions of each picture; rows of a picture are adjacent.
            mask: which words a position sees, bool, broadcast to (rows, heads, positions, places).
            training: whether dropout is on.

        Returns:
            (rows, positions, units), and the weights over the regions (pictures, heads, positions of all rows of a
            picture, regions).
        """
        seen, _ = self.self_attention(self.norms[0](states), *words, mask)
        states = states + self.dropouts[0](seen, training=training)
        pictures, units = ops.shape(regions[0])[0], states.shape[-1]
        asked = ops.reshape(self.norms[1](states), (pictures, -1, units))  # all captions of a picture share its regions
        seen, weights = self.cross_attention(asked, *regions)
        states = states + self.dropouts[1](ops.reshape(seen, ops.shape(states)), training=training)
        added = self.narrow(self.widen(self.norms[2](states)))
        return states + self.dropouts[2](added, training=training), weights


class TransformerDecoder(Decoder):
    """Blocks of self-attention over the words so far and cross-attention over the regions, as in Vaswani et al. (2017).

    Positions are learned, those of the regions, too; the output layer shares the embedding's weights (Press and Wolf,
    "Using the Output Embedding to Improve Language Models", 2017). A step computes the new word alone: the keys and
    values of earlier words are kept in the state. State: (number of words, for each block: keys and values of the words
    (batch, heads, longest, units of a head), keys and values of the regions (batch, heads, regions, units of a head)).
    """

    kind = "transformer"
    config_class = TransformerConfig

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        units = config.units
        self.region_projection = layers.Dense(units, name="region_projection")
        self.region_norm = layers.LayerNormalization(epsilon=1e-5, name="region_norm")
        self.region_positions = layers.Embedding(config.regions, units, name="region_positions")
        self.embedding = layers.Embedding(config.vocabulary, units, name="embedding")
        self.positions = layers.Embedding(config.longest, units, name="positions")
        self.blocks = [Block(units, config.heads, config.dropout, name=f"block_{k + 1}") for k in range(config.blocks)]
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.feature_dropout = layers.Dropout(config.dropout)
        self.word_dropout = layers.Dropout(config.dropout)

    def build(self, _=None) -> None:
        """Create all weights, those of the blocks first: they are asked for keys before they are called."""
        if not self.built:
            for block in self.blocks:
                block.build()
        super().build()

    def initial_state(self, features, training: bool = False):
        """Project the regions (batch, regions, channels) once, for every block; no word has been said."""
        regions = self.region_projection(self.feature_dropout(self.standardize(features), training=training))
        regions = self.region_norm(regions + self.region_positions(ops.arange(self.config.regions)))
        sizes = self.config.heads, self.config.longest, self.config.units // self.config.heads
        empty = ops.zeros((ops.shape(features)[0], *sizes), regions.dtype)
        count = ops.zeros((ops.shape(features)[0],), dtype="int32")
        return count, *((empty, empty, *block.cross_attention.project(regions)) for block in self.blocks)

    def of_picture(self, state):
        """Keys and values of the regions belong to the picture."""
        return False, *((False, False, True, True) for _ in self.blocks)

    def step(self, tokens, state) -> Step:
        """Predict the word after the words so far and `tokens` (rows,); the attention is the mean of the last heads.

        Raises:
            tf.errors.InvalidArgumentError: more words than `config.longest`.
        """
        count, *caches = state
        places, last = ops.arange(self.config.longest), ops.expand_dims(count, 1)
        here, seen = (places == last)[:, None, :, None], (places <= last)[:, None, None]
        states, after = ops.expand_dims(self._embed(tokens, count), 1), []
        for block, (*kept, keys, values) in zip(self.blocks, caches, strict=True):
            new = block.words(states)
            words = [ops.where(here, one, others) for one, others in zip(new, kept, strict=True)]
            states, weights = block(states, words, (keys, values), seen)
            after.append((*words, keys, values))
        weights = ops.reshape(ops.mean(weights, axis=1), (-1, self.config.regions))
        return Step(self.predict_words(states)[:, 0], (count + 1, *after), weights)

    def unroll(self, tokens, state, training: bool = False):
        """Take all steps of the captions (batch, captions, steps) at once; the mask hides the later words."""
        return self._read(tokens, state, training)[0]

    def look(self, features, captions: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Return where each head looks as the words of a caption are chosen.

        Args:
            features: of the pictures, (pictures, regions, channels), raw.
            captions: the words of one caption for each, without START and END.

        Returns:
            The weights of each caption, (words, blocks, heads, regions), which sum to 1 over the regions.
        """
        longest = max(1, *map(len, captions))
        tokens = np.array([[START, *words, *[PAD] * longest][:longest] for words in captions])
        _, maps = self._read(tokens[:, None], self.initial_state(features))
        maps = np.stack([np.asarray(weights, np.float32) for weights in maps]).transpose(1, 3, 0, 2, 4)
        return [weights[: len(words)] for weights, words in zip(maps, captions, strict=True)]

    def predict_words(self, hidden, training: bool = False):
        """Return the logits that follow from the states of words (..., units)."""
        table = ops.cast(self.embedding.embeddings, hidden.dtype)
        return ops.matmul(self.norm(hidden), ops.transpose(table))

    def _read(self, tokens, state, training: bool = False):
        """Return the states of all words of captions (batch, captions, steps), and the weights of each block."""
        steps = ops.shape(tokens)[2]
        tokens, places = ops.reshape(tokens, (-1, steps)), ops.arange(steps)
        mask = places[None] <= places[:, None] if self.config.causal else None
        states, maps = self.word_dropout(self._embed(tokens, places), training=training), []
        for block, (_, _, *regions) in zip(self.blocks, state[1:], strict=True):
            states, weights = block(states, block.words(states), regions, mask, training=training)
            maps.append(weights)
        return states, maps

    def _embed(self, tokens, places):
        """Return words at their places, and refuse a place that there is not."""
        longest = self.config.longest
        tf.debugging.assert_less(
            places, longest, f"The model has room for {longest - 1} words: decode shorter captions, or build it longer."
        )
        # Never beyond the end: TensorFlow may gather before it checks the above, with an error that says less.
        positions = self.positions(ops.minimum(places, longest - 1))
        return self.embedding(tokens) * math.sqrt(self.config.units) + positions
