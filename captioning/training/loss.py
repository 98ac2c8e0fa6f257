"""Cross-entropy and accuracy as sums and counts over the words that are there: padding never counts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from captioning.models.decoder import Decoder
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
    places = word_places(targets) if mask_padding else None
    logits = predict_places(model, inputs, places, training)
    targets = tf.reshape(targets, [-1]) if places is None else tf.gather(tf.reshape(targets, [-1]), places)
    trained, nats, correct = _of_each(logits, targets, label_smoothing)
    there = tf.cast(targets != PAD, tf.float32)
    sums = (trained, tf.ones_like(there), nats * there, correct * there, there)
    return WordSums(*map(tf.reduce_sum, sums))


def word_places(targets):
    """Return where the words of (batch, captions, steps) are, counted through all positions; where PAD is, is none."""
    return tf.where(tf.reshape(targets, [-1]) != PAD)[:, 0]


def predict_places(model: Decoder, inputs: dict, places, training: bool):
    """Return the logits of `call` at some places, float32 (places, vocabulary), without computing the others.

    Of COCO's batches about 55 % of the positions are words, and most of a step's work is at the output layer.

    Args:
        model: the decoder.
        inputs: "features" and "tokens", as `Decoder.call` takes them.
        places: as `word_places` counts them; None: all.
        training: whether dropout is on.
    """
    state = model.initial_state(inputs["features"], training=training)
    hidden = model.unroll(inputs["tokens"], state, training=training)
    hidden = tf.reshape(hidden, [-1, hidden.shape[-1]])
    if places is not None:
        hidden = _gather(hidden, places)
    return tf.cast(model.predict_words(hidden, training=training), tf.float32)  # float16 would lose the small ones


@tf.custom_gradient
def _gather(rows, places):
    """Return some rows, none of them twice; the gradient of `tf.gather`, made for any, is slower."""

    def gradient(of_chosen):
        return tf.scatter_nd(places[:, None], of_chosen, tf.shape(rows, tf.int64)), None

    return tf.gather(rows, places), gradient


def _of_each(logits, targets, smoothing: float):
    """Return for each word the loss that is trained on, the plain cross-entropy, and 1 for a right guess.

    The gradient is written out (softmax minus target), and everything comes from one softmax: TensorFlow's own
    cross-entropy takes four times as long on a CPU.

    Args:
        logits: (words, vocabulary), float32.
        targets: (words,).
        smoothing: see `word_sums`.
    """

    @tf.custom_gradient
    def losses(logits):
        share = tf.nn.softmax(logits)
        guess = tf.argmax(logits, axis=-1, output_type=targets.dtype)
        # log sum exp = logit - log share, of the likeliest word: its share is never 0.
        total = _pick(logits, guess) - tf.math.log(_pick(share, guess))
        chosen = _pick(logits, targets)
        trained = total - (1 - smoothing) * chosen - smoothing * tf.reduce_mean(logits, axis=-1)

        def gradient(of_trained, *_):  # the other two are told, not trained on
            of_all = (share - smoothing / logits.shape[-1]) * of_trained[:, None]
            return tf.tensor_scatter_nd_sub(of_all, _rows(targets), (1 - smoothing) * of_trained)

        return (trained, total - chosen, tf.cast(guess == targets, tf.float32)), gradient

    return losses(logits)


def _rows(columns):
    return tf.stack([tf.range(tf.size(columns), dtype=columns.dtype), columns], axis=1)


def _pick(rows, columns):
    """Return of each row the value in one column."""
    return tf.gather_nd(rows, _rows(columns))
