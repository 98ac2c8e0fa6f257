"""A GRU that is fed its own looks: the loop over the steps of whole captions, and its gradient."""

from collections.abc import Callable

import tensorflow as tf


def gru_step(projected, recurrent, hidden):
    """Return the state after one step of a GRU.

    Definition: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (2014), with the reset gate
    after the product, as Keras has it.

    Args:
        projected: W input + b: update gate, reset gate and candidate side by side, (rows, 3 units).
        recurrent: U hidden + c, the same.
        hidden: (rows, units).
    """
    update, reset, candidate = tf.split(projected, 3, axis=-1)
    update_before, reset_before, candidate_before = tf.split(recurrent, 3, axis=-1)
    update, reset = tf.sigmoid(update + update_before), tf.sigmoid(reset + reset_before)
    candidate = tf.tanh(candidate + reset * candidate_before)
    return candidate + update * (hidden - candidate)


def run(look: Callable, projected, hidden, kernel, recurrent, bias, restart: bool = False):
    """Run a GRU whose input is a word and what it looks at, over all steps.

    The gradients of its kernels are one product for all steps, after the loop back. In the loop, as TensorFlow makes it
    of the plain steps, they would be one per step, each as large as the kernels and added to the sum of the others.

    Args:
        look: hidden -> what is looked at, (rows, width).
        projected: the words' part of W input + b, (steps, rows, 3 units).
        hidden: the first state, (rows, units).
        kernel: the part of W for what is looked at, (width, 3 units).
        recurrent: U, (units, 3 units).
        bias: c, (3 units,).
        restart: forget the state at every word.

    Returns:
        The state after each step (steps, rows, units), and what was looked at for it (steps, rows, width).
    """

    made = []  # by the loop: what the gradient below needs, and what is not there yet when it is defined

    @tf.custom_gradient
    def given(projected, kernel, recurrent, bias):
        def gradient(of_projected, of_biases):
            states, looks = made
            before = tf.concat([hidden[None], states[:-1]], axis=0)
            of_recurrent = tf.zeros_like(recurrent) if restart else _sum_of_products(before, of_biases)
            return (
                of_projected,
                _sum_of_products(looks, of_projected),
                of_recurrent,
                tf.reduce_sum(of_biases, axis=(0, 1)),
            )

        # One bias for every step and row: their gradients are those of U hidden + c.
        return (projected, tf.broadcast_to(bias, tf.shape(projected))), gradient

    projected, biases = given(projected, kernel, recurrent, bias)
    turned, recurrent_turned = tf.transpose(kernel), tf.transpose(recurrent)  # once, for the loop back

    def step(hidden, projected, bias):
        looked = look(hidden)
        before = tf.zeros_like(hidden) if restart else hidden
        projected = projected + _product(looked, kernel, turned)
        return gru_step(projected, _product(before, recurrent, recurrent_turned) + bias, before), looked

    made += _scan(step, hidden, (projected, biases), kernel.shape[0])
    return made


def _scan(step: Callable, hidden, inputs: tuple, width: int):
    """Return states and looks of all steps; how many there are at most is told to XLA, which needs it."""
    steps = tf.shape(inputs[0])[0]
    given = [tf.TensorArray(array.dtype, steps, element_shape=array.shape[1:]).unstack(array) for array in inputs]
    kept = [
        tf.TensorArray(hidden.dtype, steps, element_shape=(*hidden.shape[:-1], size))
        for size in (hidden.shape[-1], width)
    ]

    def body(place, hidden, states, looks):
        hidden, looked = step(hidden, *(array.read(place) for array in given))
        return place + 1, hidden, states.write(place, hidden), looks.write(place, looked)

    _, _, states, looks = tf.while_loop(
        lambda place, *_: place < steps, body, (0, hidden, *kept), maximum_iterations=steps
    )
    return states.stack(), looks.stack()


@tf.custom_gradient
def _product(rows, kernel, turned):
    """Return rows x kernel, whose gradient is asked for the rows alone."""
    return tf.matmul(rows, kernel), lambda of_product: (tf.matmul(of_product, turned), None, None)


def _sum_of_products(inputs, of_products):
    """Return the gradient of a kernel: inputs (steps, rows, n) times gradients (steps, rows, m), (n, m)."""
    inputs, of_products = (tf.reshape(array, (-1, array.shape[-1])) for array in (inputs, of_products))
    return tf.matmul(inputs, of_products, transpose_a=True)
