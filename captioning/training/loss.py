"""Cross-entropy and accuracy over the words that are there: padding never counts."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

from captioning.tokenizer import PAD


def masked_crossentropy(label_smoothing: float = 0.0, mask_padding: bool = True) -> Callable:
    """Return the loss: sparse categorical cross-entropy, averaged over the words that are there.

    Args:
        label_smoothing: share e of the target that is spread over all words: (1 - e) times the cross-entropy of the
            true word plus e times the mean over the vocabulary (Szegedy et al. 2016, section 7).
        mask_padding: whether PAD is left out, from the sum and from the count.

    Returns:
        A function of targets (..., steps) and logits (..., steps, vocabulary) that gives nats per word.
    """

    def loss(targets, logits):
        nats = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        if label_smoothing:
            spread = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
            nats = (1 - label_smoothing) * nats + label_smoothing * spread
        mask = ops.cast(targets != PAD, "float32") if mask_padding else ops.ones_like(nats)
        return ops.sum(nats * mask) / ops.maximum(ops.sum(mask), 1.0)

    return loss


class MaskedAccuracy(keras.metrics.Metric):
    """Share of the next words guessed right; PAD never counts, END does."""

    def __init__(self, name: str = "accuracy"):
        super().__init__(name=name)
        self.right = self.add_weight(name="right", initializer="zeros")
        self.words = self.add_weight(name="words", initializer="zeros")

    def update_state(self, targets, logits, sample_weight=None):
        """Count the words of one batch."""
        mask = ops.cast(targets, "int32") != PAD
        hits = ops.logical_and(mask, ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int64")))
        self.right.assign_add(ops.sum(ops.cast(hits, "float32")))
        self.words.assign_add(ops.sum(ops.cast(mask, "float32")))

    def result(self):
        """Return right / words."""
        return self.right / ops.maximum(self.words, 1.0)
