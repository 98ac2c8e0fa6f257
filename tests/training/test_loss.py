"""Sums over real words: equal to the plain definition, which predicts at every position, in value and gradients."""

import numpy as np
import pytest

from captioning.quiet import tensorflow as tf
from captioning.tokenizer import END, PAD
from captioning.training.loss import predict_places, word_places, word_sums
from captioning.training.self_critical import policy_loss, samples_loss
from tests.small_models import BY_KIND, CONFIGS, build, features, tokens

CONFIG = CONFIGS[0]


def batch(steps=7):
    """Return captions of several lengths, one of them cut without END and one that there is not."""
    rows = tokens(steps=steps + 1)
    rows[0, 0, 4:] = [END, *[PAD] * (steps - 4)]
    rows[1, 1, :] = PAD
    rows[2, 0, 6:] = [END, PAD]
    return {"features": features(), "tokens": rows[..., :-1]}, rows[..., 1:]


def plainly(model, inputs, targets, smoothing, mask_padding):
    """Return the sums by definition: a log softmax at every position, of which PAD is left out."""
    log_p = tf.nn.log_softmax(tf.cast(model(inputs), tf.float32))
    nats = -tf.gather(log_p, targets, batch_dims=3)
    there = tf.cast(targets != PAD, tf.float32)
    counted = there if mask_padding else tf.ones_like(there)
    trained = (1 - smoothing) * nats - smoothing * tf.reduce_mean(log_p, axis=-1)
    right = tf.cast(tf.argmax(log_p, axis=-1) == targets, tf.float32)
    return [tf.reduce_sum(array) for array in (trained * counted, counted, nats * there, right * there, there)]


@pytest.mark.parametrize(
    ("config", "smoothing", "mask_padding"),
    [*((config, 0.1, True) for config in CONFIGS), (CONFIG, 0.0, True), (CONFIG, 0.1, False)],
)
def test_sums_and_gradients_equal_the_definition(config, smoothing, mask_padding):
    model, (inputs, targets) = build(config, seed=3), batch()
    with tf.GradientTape() as tape:
        expected = plainly(model, inputs, targets, smoothing, mask_padding)
    gradients = tape.gradient(expected[0], model.trainable_variables)
    with tf.GradientTape() as tape:
        sums = word_sums(model, inputs, targets, False, smoothing, mask_padding)
    others = tape.gradient(sums.trained, model.trainable_variables)
    np.testing.assert_allclose(sums, expected, rtol=1e-6)
    for variable, one, other in zip(model.trainable_variables, gradients, others, strict=True):
        one, other = (tf.convert_to_tensor(array) for array in (one, other))
        np.testing.assert_allclose(other, one, atol=1e-6 * float(expected[1]), err_msg=variable.path)


@pytest.mark.parametrize("config", CONFIGS[1:4:2], ids=["bahdanau", "bilstm"])
def test_xla_compiles_the_decoders_with_loops_of_their_own(config):
    model, (inputs, targets) = build(config, seed=3), batch()
    expected = word_sums(model, inputs, targets, False, 0.1)
    model.jit = True
    shapes = [
        tf.TensorSpec((None, 4, 6)),
        tf.TensorSpec((None, 2, None), tf.int32),
        tf.TensorSpec((None, 2, None), tf.int32),
    ]

    @tf.function(jit_compile=True, input_signature=shapes)
    def compiled(features, tokens, targets):
        with tf.GradientTape() as tape:
            sums = word_sums(model, {"features": features, "tokens": tokens}, targets, False, 0.1)
        return sums, tape.gradient(sums.trained, model.embedding.trainable_variables)

    sums, (of_words,) = compiled(inputs["features"], inputs["tokens"], targets)
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
    assert np.abs(tf.convert_to_tensor(of_words)).max() > 0


def test_a_word_without_any_probability_costs_what_its_logit_says():
    """Its share is 0 in float32, whose logarithm would be infinite."""
    model, (inputs, targets) = build(CONFIG, seed=3), batch()
    model.logits.bias.assign(np.where(np.arange(11) == targets[0, 0, 0], -300, 0))
    expected = plainly(model, inputs, targets, 0.1, True)
    assert expected[0] > 200
    np.testing.assert_allclose(word_sums(model, inputs, targets, False, 0.1), expected, rtol=1e-6)


def test_a_batch_without_words_adds_nothing():
    model, (inputs, targets) = build(CONFIG, seed=3), batch()
    np.testing.assert_array_equal(word_sums(model, inputs, np.zeros_like(targets), False), np.zeros(5))


@BY_KIND
def test_the_logits_of_places_are_those_of_the_call(config):
    """In the order of the words, and for real: what is not asked for is not computed."""
    model, (inputs, targets) = build(config, seed=3), batch()
    seen = []
    predict = model.predict_words
    model.predict_words = lambda hidden, training: seen.append(hidden.shape[0]) or predict(hidden, training)
    places = word_places(targets)
    chosen = predict_places(model, inputs, places, False)
    assert seen == [(targets != PAD).sum()] == [len(places)]
    model.predict_words = predict
    np.testing.assert_allclose(chosen, np.asarray(model(inputs))[targets != PAD], atol=1e-6)


@BY_KIND
def test_half_precision_sums_in_float32(config):
    model, (inputs, targets) = build(config, seed=3), batch()
    plain = word_sums(model, inputs, targets, False, 0.1)
    for precision in ("bfloat16", "float16"):
        with model.computing_in(precision):
            sums = word_sums(model, inputs, targets, False, 0.1)
        assert {array.dtype for array in sums} == {tf.float32}
        np.testing.assert_allclose(sums.trained, plain.trained, rtol=0.01)
        np.testing.assert_allclose(sums.words, plain.words)


@BY_KIND
def test_the_policy_loss_of_the_words_alone_is_that_of_all_positions(config):
    model, (inputs, samples) = build(config), batch()
    advantage = np.random.default_rng(0).normal(size=samples.shape[:2]).astype(np.float32)

    def at_all_positions():
        return policy_loss(model(inputs), samples, advantage)

    def at_words():
        return samples_loss(model, inputs["features"], samples, advantage, training=False)

    (loss, gradients), (expected, all_gradients) = map(differentiated, (at_words, at_all_positions), [model] * 2)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    for found, right in zip(gradients, all_gradients, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)


def differentiated(function, model):
    """Return the value of a loss, and its gradients as arrays."""
    with tf.GradientTape() as tape:
        value = function()
    return value, list(map(np.array, map(tf.convert_to_tensor, tape.gradient(value, model.trainable_variables))))
