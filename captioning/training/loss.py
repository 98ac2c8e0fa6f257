"""Cross-entropy and accuracy as sums and counts over the words that are there: padding never counts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from captioning.models.decoder import Decoder
from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import PAD

ops = keras.ops


class WordSums(NamedTuple):
    """Sums over the words of a batch, float32 scalars, so that parts of it add up to the whole."""

    trained: Any  # what is differentiated, with label smoothing
    words_trained: Any  # the words in it
    nats: Any  # plain cross-entropy of the words that are there
    correct: Any  # of them guessed right
    words: Any  # that are there


def word_sums(
    model: Decoder, inputs: dict, targets, training: bool, label_smoothing: float = 0.0, mask_padding: bool = True
) -> WordSums:
    """Run the model with teacher forcing and add up what it makes of each word.

    Args:
        model: the decoder.
        inputs: "features" and "tokens", as `Decoder.call` takes them.
        targets: the next word at each position, (batch, captions, steps); PAD is no word.
        training: whether dropout is on.
        label_smoothing: share e of the target that is spread over all words: (1 - e) times the cross-entropy of the
            true word plus e times the mean over the vocabulary (Szegedy et al. 2016, section 7).
        mask_padding: whether PAD is left out of `trained` and `words_trained`; False is a mistake.
    """
    return _sums(targets, model(inputs, training=training), label_smoothing, mask_padding)


def masked_crossentropy(label_smoothing: float = 0.0, mask_padding: bool = True) -> Callable:
    """Return the loss: a function of targets (..., steps) and logits (..., steps, vocabulary) that gives nats per word.

    Args:
        label_smoothing, mask_padding: see `word_sums`.
    """

    def loss(targets, logits):
        sums = _sums(targets, logits, label_smoothing, mask_padding)
        return sums.trained / ops.maximum(sums.words_trained, 1.0)

    return loss


def count_words(targets, mask_padding: bool = True):
    """Return how many words are trained on, `WordSums.words_trained`."""
    return ops.cast(ops.size(targets) if not mask_padding else ops.sum(ops.not_equal(targets, PAD)), "float32")


def _sums(targets, logits, label_smoothing: float, mask_padding: bool) -> WordSums:
    logits = ops.cast(logits, "float32")  # float16 would lose the small ones
    there = ops.cast(ops.not_equal(targets, PAD), "float32")
    nats = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    right = ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int64")), "float32")
    trained = nats
    if label_smoothing:
        spread = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
        trained = (1 - label_smoothing) * nats + label_smoothing * spread
    counted = there if mask_padding else ops.ones_like(there)
    sums = (trained * counted, counted, nats * there, right * there, there)
    return WordSums(*map(tf.reduce_sum, sums))
