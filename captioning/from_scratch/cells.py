"""The recurrent layers in NumPy, a vanilla RNN and an LSTM: one step and whole captions, forward and backward.

Passes, caches and weights are those of `layers`.
"""

from __future__ import annotations

import numpy as np

from captioning.from_scratch.layers import affine_backward, affine_forward


def rnn_step_forward(
    inputs: np.ndarray, hidden: np.ndarray, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray
) -> tuple:
    """Advance a vanilla RNN by one word: h' = tanh(x W + h U + b) (Elman 1990; `keras.layers.SimpleRNN`).

    Args:
        inputs: x, (batch, channels).
        hidden: h, (batch, units).
        kernel: W, (channels, units).
        recurrent_kernel: U, (units, units).
        bias: b, (units,).

    Returns:
        The new hidden state (batch, units) and the cache.
    """
    following = np.tanh(inputs @ kernel + hidden @ recurrent_kernel + bias)
    return following, (inputs, hidden, kernel, recurrent_kernel, following)


def rnn_step_backward(gradient: np.ndarray, cache: tuple) -> tuple:
    """Return the gradients with respect to inputs, hidden, kernel, recurrent_kernel and bias (tanh' = 1 - tanh²)."""
    inputs, hidden, kernel, recurrent_kernel, following = cache
    by_sum = gradient * (1 - following**2)
    by_hidden = by_sum @ recurrent_kernel.T
    return by_sum @ kernel.T, by_hidden, inputs.T @ by_sum, hidden.T @ by_sum, by_sum.sum(axis=0)


def rnn_forward(
    inputs: np.ndarray, hidden: np.ndarray, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray
) -> tuple:
    """Run `rnn_step_forward` over all steps of inputs (batch, steps, channels); x W + b is one product for all of them.

    Returns:
        The hidden states (batch, steps, units) and the cache.
    """
    sums, affine_cache = affine_forward(_steps_first(inputs), kernel, bias)
    states = np.empty((len(sums) + 1, *hidden.shape), sums.dtype)  # (1 + steps, batch, units)
    states[0] = hidden
    for step, step_sum in enumerate(sums):
        np.tanh(step_sum + states[step] @ recurrent_kernel, out=states[step + 1])
    return states[1:].swapaxes(0, 1), (states, recurrent_kernel, affine_cache)


def rnn_backward(gradient: np.ndarray, cache: tuple, through_time: bool = True) -> tuple:
    """Return the gradients with respect to the arguments of `rnn_forward`: backpropagation through time (Werbos 1990).

    `through_time=False` is a mistake: the gradient that comes from the next step is ignored.
    """
    states, recurrent_kernel, affine_cache = cache
    by_sums = np.empty_like(states[1:])
    by_hidden = np.zeros_like(states[0])
    for step in reversed(range(len(by_sums))):
        # A state acts on the loss through its own word and through the next state.
        by_next = by_hidden if through_time else 0
        by_sums[step] = (gradient[:, step] + by_next) * (1 - states[step + 1] ** 2)
        by_hidden = by_sums[step] @ recurrent_kernel.T
    return _sequence_gradients(by_sums, by_hidden, states[:-1], affine_cache)


def lstm_step_forward(
    inputs: np.ndarray,
    hidden: np.ndarray,
    cell: np.ndarray,
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray,
) -> tuple:
    """Advance an LSTM by one word (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    i, f, o = sigmoid, g = tanh of their quarter of x W + h U + b; c' = f c + i g; h' = o tanh(c'). The
    quarters are in the order i, f, g, o, as in `keras.layers.LSTM`.

    Args:
        inputs: x, (batch, channels).
        hidden, cell: h and c, (batch, units).
        kernel: W, (channels, 4 units).
        recurrent_kernel: U, (units, 4 units).
        bias: b, (4 units,).

    Returns:
        The new hidden state and the new cell, (batch, units) each, and the cache.
    """
    sums = inputs @ kernel + hidden @ recurrent_kernel + bias
    gates, new_cell, new_hidden = np.empty_like(sums), np.empty_like(cell), np.empty_like(hidden)
    _lstm_cell(sums, cell, gates, new_cell, new_hidden)
    return new_hidden, new_cell, (inputs, hidden, cell, kernel, recurrent_kernel, gates, new_cell)


def lstm_step_backward(by_hidden: np.ndarray, by_cell: np.ndarray, cache: tuple) -> tuple:
    """Return the gradients with respect to inputs, hidden, cell, kernel, recurrent_kernel and bias.

    Given are those with respect to the new hidden state and to the new cell, (batch, units) each.
    """
    inputs, hidden, cell, kernel, recurrent_kernel, gates, new_cell = cache
    by_sums = np.empty_like(gates)
    by_cell = _lstm_cell_backward(by_hidden, by_cell, cell, gates, new_cell, by_sums)
    by_weights = inputs.T @ by_sums, hidden.T @ by_sums, by_sums.sum(axis=0)
    return by_sums @ kernel.T, by_sums @ recurrent_kernel.T, by_cell, *by_weights


def lstm_forward(
    inputs: np.ndarray,
    hidden: np.ndarray,
    cell: np.ndarray,
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray,
) -> tuple:
    """Run `lstm_step_forward` over all steps of inputs (batch, steps, channels); x W + b is one product for all.

    Returns:
        The hidden states (batch, steps, units) and the cache.
    """
    sums, affine_cache = affine_forward(_steps_first(inputs), kernel, bias)
    gates = np.empty_like(sums)  # (steps, batch, 4 units)
    hiddens = np.empty((len(sums) + 1, *hidden.shape), sums.dtype)  # (1 + steps, batch, units)
    cells = np.empty_like(hiddens)
    hiddens[0], cells[0] = hidden, cell
    for step in range(len(sums)):
        sums[step] += hiddens[step] @ recurrent_kernel
        _lstm_cell(sums[step], cells[step], gates[step], cells[step + 1], hiddens[step + 1])
    return hiddens[1:].swapaxes(0, 1), (gates, hiddens, cells, recurrent_kernel, affine_cache)


def lstm_backward(gradient: np.ndarray, cache: tuple, through_time: bool = True) -> tuple:
    """Return the gradients with respect to the arguments of `lstm_forward`: backpropagation through time (Werbos 1990).

    `through_time=False` is a mistake: the gradients that come from the next step are ignored.
    """
    gates, hiddens, cells, recurrent_kernel, affine_cache = cache
    by_sums = np.empty_like(gates)
    by_hidden, by_cell = np.zeros_like(hiddens[0]), np.zeros_like(cells[0])
    for step in reversed(range(len(gates))):
        if not through_time:
            by_hidden, by_cell = np.zeros_like(by_hidden), np.zeros_like(by_cell)
        by_hidden += gradient[:, step]
        by_cell = _lstm_cell_backward(by_hidden, by_cell, cells[step], gates[step], cells[step + 1], by_sums[step])
        by_hidden = by_sums[step] @ recurrent_kernel.T
    by_inputs, by_hidden, *by_weights = _sequence_gradients(by_sums, by_hidden, hiddens[:-1], affine_cache)
    return by_inputs, by_hidden, by_cell, *by_weights


def _lstm_cell(sums, cell, gates, new_cell, new_hidden) -> None:
    """Write the activated gates, the new cell and the new hidden state into the last three arrays."""
    # sigmoid(x) = (1 + tanh(x / 2)) / 2 cannot overflow, and one tanh serves all four gates.
    units = cell.shape[-1]
    scale = np.full(4 * units, 0.5, sums.dtype)
    scale[2 * units : 3 * units] = 1
    np.tanh(sums * scale, out=gates)
    gates *= scale
    gates += 1 - scale
    i, f, g, o = np.split(gates, 4, axis=-1)
    np.add(f * cell, i * g, out=new_cell)
    np.multiply(o, np.tanh(new_cell), out=new_hidden)


def _lstm_cell_backward(by_hidden, by_cell, cell, gates, new_cell, by_sums) -> np.ndarray:
    """Write the gradient with respect to the sums before the gates into `by_sums`; return the old cell's."""
    i, f, g, o = np.split(gates, 4, axis=-1)
    by_i, by_f, by_g, by_o = np.split(by_sums, 4, axis=-1)
    tanh_cell = np.tanh(new_cell)
    by_cell = by_cell + by_hidden * o * (1 - tanh_cell**2)
    by_i[...] = by_cell * g * i * (1 - i)
    by_f[...] = by_cell * cell * f * (1 - f)
    by_g[...] = by_cell * i * (1 - g**2)
    by_o[...] = by_hidden * tanh_cell * o * (1 - o)
    return by_cell * f


def _steps_first(inputs: np.ndarray) -> np.ndarray:
    """Copy (batch, steps, channels) to (steps, batch, channels): each step then lies together in memory."""
    return np.ascontiguousarray(inputs.swapaxes(0, 1))


def _sequence_gradients(by_sums, by_hidden, before, affine_cache) -> tuple:
    """Turn the gradients with respect to the sums of all steps into those by inputs, first state and weights."""
    by_inputs, by_kernel, by_bias = affine_backward(by_sums, affine_cache)
    flat = by_sums.reshape(-1, by_sums.shape[-1])
    by_recurrent = before.reshape(-1, before.shape[-1]).T @ flat
    return by_inputs.swapaxes(0, 1), by_hidden, by_kernel, by_recurrent, by_bias
