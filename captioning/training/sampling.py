"""Captions drawn from a model's own probabilities, many at a time in one compiled loop."""

from collections.abc import Callable

import numpy as np

from captioning.models.compiled import of_picture
from captioning.models.decoder import Decoder
from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import END, PAD, START, UNK

NEVER = -1e9  # a logit that leaves no probability


def log_policy(logits, only_words: bool = True):
    """Return log-probabilities (..., vocabulary) over the ids that a caption consists of: words and END.

    Args:
        logits: (..., vocabulary), in any precision.
        only_words: False leaves PAD, UNK and START in.
    """
    logits = keras.ops.cast(logits, "float32")
    if only_words:
        banned = np.isin(np.arange(logits.shape[-1]), (PAD, UNK, START))
        logits = keras.ops.where(banned, NEVER, logits)
    return keras.ops.log_softmax(logits, axis=-1)


def compile_sampler(model: Decoder, samples: int, max_words: int) -> Callable:
    """Return a function that draws captions as the model now is, without dropout.

    Args:
        samples: captions per picture.
        max_words: a caption that has not ended after so many words and one more is cut, without END.

    Returns:
        A function of features (pictures, regions, channels) and a seed, two whole numbers, that gives the words and END
        of each caption, then PAD: int32 (pictures, samples, steps). The same seed and weights give the same captions.
    """

    pictures = tf.TensorSpec((None, model.config.regions, model.config.channels), tf.float32)

    @tf.function(input_signature=[pictures, tf.TensorSpec((2,), tf.int32)])
    def sample(features, seed):
        state = model.initial_state(features)
        state = tf.nest.map_structure(
            lambda array, once: array if once else tf.repeat(array, samples, axis=0), state, of_picture(model, state)
        )
        rows = samples * tf.shape(features)[0]

        def body(place, tokens, ended, state, written):
            logits, state, _ = model.step(tokens, state)
            of_place = tf.random.fold_in(seed, place)
            drawn = tf.random.stateless_categorical(log_policy(logits), 1, of_place, tf.int32)[:, 0]
            tokens = tf.where(ended, PAD, drawn)
            return place + 1, tokens, ended | (tokens == END), state, written.write(place, tokens)

        written = tf.TensorArray(tf.int32, max_words + 1, element_shape=(None,))
        start = (0, tf.fill([rows], START), tf.fill([rows], False), state, written)
        any_size = tf.nest.map_structure(lambda array: tf.TensorShape([None, *array.shape[1:]]), state)
        shapes = (tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None]), any_size, tf.TensorShape(None))
        unfinished = lambda place, tokens, ended, *_: ~tf.reduce_all(ended)  # noqa: E731
        steps, *_, written = tf.while_loop(unfinished, body, start, shapes, maximum_iterations=max_words + 1)
        tokens = written.gather(tf.range(steps))
        return tf.reshape(tf.transpose(tokens), [-1, samples, steps])

    return lambda features, seed: sample(tf.cast(features, tf.float32), tf.constant(seed, tf.int32)).numpy()
