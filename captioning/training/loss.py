"""Cross-entropy and accuracy as sums and counts over the words that are there: padding never counts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from captioning.models.decoder import Decoder
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import PAD


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
        inputs: "features" and "tokens", as `Decoder.call` takes them.
        targets: the next word at each position, (batch, captions, steps); PAD is no word.
        training: whether dropout is on.
        label_smoothing: share e of the target that is spread over all words: (1 - e) times the cross-entropy of the
            true word plus e times the mean over the vocabulary (Szegedy et al. 2016, section 7).
        mask_padding: whether PAD is left out of `trained` and `words_trained`; False is a mistake.
    """
    # XLA needs to know how many there are.
    places = word_places(targets) if mask_padding and not model.jit else None
    targets = tf.reshape(targets, [-1])
    logits = predict_places(model, inputs, places, training)
    return _sums(targets if places is None else tf.gather(targets, places), logits, label_smoothing, mask_padding)


def word_places(targets):
    """Return where the words of (batch, captions, steps) are, counted through all positions; PAD is no word."""
    return tf.where(tf.reshape(targets, [-1]) != PAD)[:, 0]


def predict_places(model: Decoder, inputs: dict, places, training: bool):
    """Return the logits of `call` at some positions, float32 (places, vocabulary); nothing is computed for the others.

    The places are different ones, as `word_places` counts them; None: all. For the other arguments see `word_sums`.
    """
    state = model.initial_state(inputs["features"], training=training)
    hidden = model.unroll(inputs["tokens"], state, training=training)
    hidden = tf.reshape(hidden, [-1, hidden.shape[-1]])
    if places is not None:
        hidden = _gather(hidden, places)
    return tf.cast(model.predict_words(hidden, training=training), tf.float32)  # float16 would lose the small ones


def masked_crossentropy(label_smoothing: float = 0.0, mask_padding: bool = True) -> Callable:
    """Return the loss: a function of targets (..., steps) and logits (..., steps, vocabulary) that gives nats per word.

    For the arguments see `word_sums`.
    """

    def loss(targets, logits):
        logits = tf.reshape(tf.cast(logits, tf.float32), [-1, logits.shape[-1]])
        sums = _sums(tf.reshape(targets, [-1]), logits, label_smoothing, mask_padding)
        return sums.trained / tf.maximum(sums.words_trained, 1.0)

    return loss


def count_words(targets, mask_padding: bool = True):
    """Return how many words are trained on, `WordSums.words_trained`."""
    counted = tf.not_equal(targets, PAD) if mask_padding else tf.ones_like(targets)
    return tf.reduce_sum(tf.cast(counted, tf.float32))


def _sums(targets, logits, label_smoothing: float, mask_padding: bool) -> WordSums:
    """Add up targets (places,) and logits (places, vocabulary)."""
    trained, nats, correct = _of_each(logits, targets, label_smoothing)
    there = tf.cast(tf.not_equal(targets, PAD), tf.float32)
    counted = there if mask_padding else tf.ones_like(there)
    sums = (trained * counted, counted, nats * there, correct * there, there)
    return WordSums(*map(tf.reduce_sum, sums))


@tf.custom_gradient
def _gather(rows, places):
    """Return some rows, none of them twice; the gradient of `tf.gather`, made for any, is slower."""

    def gradient(of_chosen):
        return tf.scatter_nd(places[:, None], of_chosen, tf.shape(rows, tf.int64)), None

    return tf.gather(rows, places), gradient


def _of_each(logits, targets, smoothing: float):
    """Return for each word the loss that is trained on, the plain cross-entropy, and 1 for a right guess.

    The gradient is written out (softmax minus target), and everything comes from one softmax: TensorFlow's own
    cross-entropy takes four times as long on a CPU. Logits are (words, vocabulary), float32, targets (words,).
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
