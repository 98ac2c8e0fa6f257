"""Cross-entropy and accuracy as sums and counts over the words that are there: padding never counts."""

from collections.abc import Callable

from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import PAD

ops = keras.ops


def masked_crossentropy(label_smoothing: float = 0.0, mask_padding: bool = True) -> Callable:
    """Return the loss: sparse categorical cross-entropy, averaged over the words that are there.

    On several devices (tf.distribute) each of them divides its sum by the words of all: the sum over the devices, which
    is what their gradients are added up to, is the mean over the whole batch.

    Args:
        label_smoothing: share e of the target that is spread over all words: (1 - e) times the cross-entropy of the
            true word plus e times the mean over the vocabulary (Szegedy et al. 2016, section 7).
        mask_padding: whether PAD is left out, from the sum and from the count.

    Returns:
        A function of targets (..., steps) and logits (..., steps, vocabulary) that gives nats per word.
    """

    def loss(targets, logits):
        logits = ops.cast(logits, "float32")  # float16 would lose the small ones
        nats = _nats(targets, logits)
        if label_smoothing:
            spread = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
            nats = (1 - label_smoothing) * nats + label_smoothing * spread
        mask = _counted(targets, mask_padding)
        return ops.sum(nats * mask) / ops.maximum(_over_devices(ops.sum(mask)), 1.0)

    return loss


class WordLoss(keras.metrics.Mean):
    """The loss that is reported: nats per word that is there, without smoothing, whatever is trained on."""

    def __init__(self):
        super().__init__(name="loss")

    def update_state(self, targets, logits, sample_weight=None):
        """Add the words of one batch."""
        super().update_state(*_flat(_nats(targets, ops.cast(logits, "float32")), targets))


class MaskedAccuracy(keras.metrics.Mean):
    """Share of the next words guessed right; PAD never counts, END does."""

    def __init__(self):
        super().__init__(name="accuracy")

    def update_state(self, targets, logits, sample_weight=None):
        """Add the words of one batch."""
        super().update_state(*_flat(ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int64")), targets))


def _flat(values, targets):
    """Return values and whether they count, one axis: of more axes, Keras takes the mean over each caption first."""
    return ops.reshape(values, (-1,)), ops.reshape(_counted(targets, mask_padding=True), (-1,))


def _nats(targets, logits):
    return keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)


def _counted(targets, mask_padding: bool):
    """Return 1 for each position that counts, 0 for the others."""
    return ops.cast(ops.logical_or(ops.not_equal(targets, PAD), not mask_padding), "float32")


def _over_devices(count):
    """Return the sum of a count over all devices that train together."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return count
    return context.all_reduce(tf.distribute.ReduceOp.SUM, count)
