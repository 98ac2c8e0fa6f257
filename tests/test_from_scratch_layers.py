"""Every forward and backward pass against its slope, its definition, and Keras's own layers."""

import numpy as np
import pytest

from captioning.from_scratch import cells, layers
from captioning.from_scratch.checks import gradient_errors, numeric_gradient, relative_error
from tests.numpy_cases import CELLS, draw, recurrent_arguments


@pytest.mark.parametrize("name", ["affine", *(f"{cell}_step" for cell in CELLS)])
def test_backward_passes_are_the_numerical_gradients(name):
    """Those of whole sequences are checked in test_from_scratch_checks."""
    module = layers if name == "affine" else cells
    passes = getattr(module, f"{name}_forward"), getattr(module, f"{name}_backward")
    affine = [draw(3, 4, 5), draw(5, 2), draw(2)]
    arguments = affine if name == "affine" else recurrent_arguments(name.removesuffix("_step"), steps=None)
    errors = gradient_errors(*passes, *arguments)
    assert len(errors) == len(arguments) and max(errors.values()) < 1e-7


def test_softmax_loss_and_its_gradient():
    logits, targets = draw(3, 4, 6), np.random.default_rng(1).integers(0, 6, (3, 4))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], bool)
    loss, gradient = layers.temporal_softmax_loss(logits, targets, mask)
    terms = [
        -np.log(np.exp(logits[b, t, targets[b, t]]) / np.exp(logits[b, t]).sum())
        for b in range(3)
        for t in range(4)
        if mask[b, t]
    ]
    assert loss == pytest.approx(sum(terms) / 7, rel=1e-12)
    slope = numeric_gradient(lambda: layers.temporal_softmax_loss(logits, targets, mask)[0], logits)
    assert relative_error(gradient, slope) < 1e-7
    assert (gradient[~mask] == 0).all()


def test_softmax_loss_of_huge_logits_is_finite_and_no_word_is_an_error():
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], np.float32)
    loss, gradient = layers.temporal_softmax_loss(logits, np.array([0, 0]), np.ones(2, bool))
    assert loss == pytest.approx(5e3)
    np.testing.assert_allclose(gradient, [[0, 0], [-0.5, 0.5]])
    with pytest.raises(ValueError, match="No target"):
        layers.temporal_softmax_loss(logits, np.array([0, 0]), np.zeros(2, bool))


def test_dropout_keeps_the_mean_and_its_backward_pass_uses_the_same_mask():
    inputs = np.ones((200, 200))
    result, cache = layers.dropout_forward(inputs, 0.3, np.random.default_rng(0))
    assert np.unique(result) == pytest.approx([0, 1 / 0.7], rel=1e-6)
    assert (result == 0).mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(layers.dropout_backward(inputs, cache), result)
    assert layers.dropout_forward(inputs, 0.3, None)[0] is inputs


@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_equals_its_steps_in_a_row(cell):
    inputs, *rest = recurrent_arguments(cell)
    state, weights = rest[:-3], rest[-3:]
    states, _ = getattr(cells, f"{cell}_forward")(inputs, *state, *weights)
    for step in range(inputs.shape[1]):
        *state, _ = getattr(cells, f"{cell}_step_forward")(inputs[:, step], *state, *weights)
        np.testing.assert_allclose(states[:, step], state[0], rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_saturated_gates_do_not_overflow():
    arguments = [a.astype(np.float32) * 1e4 for a in recurrent_arguments("lstm")]
    states, cache = cells.lstm_forward(*arguments)
    assert np.isfinite(states).all()
    assert all(np.isfinite(g).all() for g in cells.lstm_backward(np.ones_like(states), cache))


@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gradients_equal_keras(cell):
    keras, tf = pytest.importorskip("keras"), pytest.importorskip("tensorflow")
    arguments = [a.astype(np.float32) for a in recurrent_arguments(cell, steps=7, batch=4)]
    states, cache = getattr(cells, f"{cell}_forward")(*arguments)
    weight = draw(*states.shape, seed=3).astype(np.float32)
    gradients = getattr(cells, f"{cell}_backward")(weight, cache)

    kind = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}[cell]
    layer = kind(2, return_sequences=True)
    inputs, *state = map(tf.constant, arguments[:-3])
    layer.build(inputs.shape)
    layer.set_weights(arguments[-3:])
    with tf.GradientTape() as tape:
        tape.watch([inputs, *state])
        expected = layer(inputs, initial_state=state)
        total = tf.reduce_sum(expected * weight)
    sources = [inputs, *state, *(w.value for w in layer.trainable_weights)]
    np.testing.assert_allclose(states, expected, atol=1e-5)
    for gradient, reference in zip(gradients, tape.gradient(total, sources), strict=True):
        assert relative_error(gradient, reference.numpy()) < 1e-5
