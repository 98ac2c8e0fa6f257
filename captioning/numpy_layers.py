"""The layers of a recurrent captioner in NumPy, each with a hand-written backward pass.

A forward pass returns its result and a cache; the backward pass takes the gradient of the loss by that
result and the cache, and returns the gradients by the arguments of the forward pass, in their order. Weights
have the names, shapes and gate order of Keras, to be copied into `keras.layers.SimpleRNN` and `LSTM` as is.
"""

from __future__ import annotations

import numpy as np


def affine_forward(inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> tuple:
    """Multiply the last axis by a matrix, all other axes in one matrix product.

    Args:
        inputs: (..., channels).
        kernel: (channels, units).
        bias: (units,).

    Returns:
        inputs @ kernel + bias, (..., units), and the cache. As `keras.layers.Dense` without activation.
    """
    rows = inputs.reshape(-1, inputs.shape[-1]) @ kernel
    rows += bias
    return rows.reshape(*inputs.shape[:-1], kernel.shape[1]), (inputs, kernel)


def affine_backward(gradient: np.ndarray, cache: tuple) -> tuple:
    """Return the gradients by inputs, kernel and bias (chain rule: dX = dY Wᵀ, dW = Xᵀ dY, db = sum of dY).

    Args:
        gradient: by the result, (..., units).
        cache: from `affine_forward`.
    """
    inputs, kernel = cache
    rows = gradient.reshape(-1, gradient.shape[-1])
    by_kernel = inputs.reshape(-1, inputs.shape[-1]).T @ rows
    return (rows @ kernel.T).reshape(inputs.shape), by_kernel, rows.sum(axis=0)


def embedding_forward(tokens: np.ndarray, table: np.ndarray) -> tuple:
    """Look up one row per token.

    Args:
        tokens: integers (...).
        table: (vocabulary, channels).

    Returns:
        table[tokens], (..., channels), and the cache. As `keras.layers.Embedding`.
    """
    return table[tokens], (tokens, table.shape)


def embedding_backward(gradient: np.ndarray, cache: tuple) -> np.ndarray:
    """Return the gradient by the table: row v is the sum over the places where token v stood.

    Equal to `np.add.at(zeros, tokens, gradient)`, but rows are sorted by token and each run is summed at once.

    Args:
        gradient: by the result, (..., channels).
        cache: from `embedding_forward`.
    """
    tokens, shape = cache
    by_table = np.zeros(shape, gradient.dtype)
    if not tokens.size:
        return by_table
    order = np.argsort(tokens, axis=None, kind="stable")
    ordered = tokens.reshape(-1)[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    by_table[ordered[starts]] = np.add.reduceat(gradient.reshape(-1, shape[1])[order], starts, axis=0)
    return by_table


def dropout_forward(inputs: np.ndarray, rate: float, rng: np.random.Generator | None) -> tuple:
    """Zero a share of the numbers, divide the rest by 1 - rate: inverted dropout (Srivastava et al. 2014).

    Args:
        inputs: any shape.
        rate: the share to zero, in [0, 1).
        rng: draws the mask; None means inference, the inputs pass unchanged.

    Returns:
        The result and the cache.
    """
    if rng is None or not rate:
        return inputs, None
    keep = (rng.random(inputs.shape, np.float32) >= rate) * inputs.dtype.type(1 / (1 - rate))
    return inputs * keep, keep


def dropout_backward(gradient: np.ndarray, cache: np.ndarray | None) -> np.ndarray:
    """Return the gradient by the inputs of `dropout_forward`: the same mask and scale once more."""
    return gradient if cache is None else gradient * cache


def temporal_softmax_loss(logits: np.ndarray, targets: np.ndarray, mask: np.ndarray) -> tuple:
    """Average -log softmax(logits)[target] over the real words (Vinyals et al. 2015, equation 13, per word).

    Args:
        logits: (..., vocabulary), any leading axes, for example (batch, steps).
        targets: integers (...).
        mask: booleans (...); False where the target is padding.

    Returns:
        The loss (a float, in nats per word) and its gradient by the logits, (softmax - one-hot) / words.

    Raises:
        ValueError: the mask leaves no word.
    """
    mask = np.asarray(mask, bool).reshape(-1)
    words = int(np.count_nonzero(mask))
    if not words:
        raise ValueError("No target is left after the mask: every caption in the batch is empty or padding.")
    rows = logits.reshape(-1, logits.shape[-1])
    at_target = (np.arange(len(rows)), targets.reshape(-1))
    shifted = rows - rows.max(axis=1, keepdims=True)
    scores = shifted[at_target]
    softmax = np.exp(shifted, out=shifted)
    totals = softmax.sum(axis=1, keepdims=True)
    losses = np.log(totals[:, 0], dtype=np.float64) - scores
    softmax *= (mask / words).astype(rows.dtype)[:, None] / totals
    softmax[at_target] -= (mask / words).astype(rows.dtype)
    return float(losses[mask].sum() / words), softmax.reshape(logits.shape)


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
    """Return the gradients by inputs, hidden, kernel, recurrent_kernel and bias (tanh' = 1 - tanh²).

    Args:
        gradient: by the new hidden state, (batch, units).
        cache: from `rnn_step_forward`.
    """
    inputs, hidden, kernel, recurrent_kernel, following = cache
    by_sum = gradient * (1 - following**2)
    by_hidden = by_sum @ recurrent_kernel.T
    return by_sum @ kernel.T, by_hidden, inputs.T @ by_sum, hidden.T @ by_sum, by_sum.sum(axis=0)


def rnn_forward(
    inputs: np.ndarray, hidden: np.ndarray, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray
) -> tuple:
    """Run `rnn_step_forward` over all steps; x W + b is one matrix product for all of them.

    Args:
        inputs: (batch, steps, channels).
        hidden: the state before the first step, (batch, units).
        kernel, recurrent_kernel, bias: as in `rnn_step_forward`.

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
    """Return the gradients by the arguments of `rnn_forward`: backpropagation through time (Werbos 1990).

    Args:
        gradient: by all hidden states, (batch, steps, units).
        cache: from `rnn_forward`.
        through_time: False is a usual bug: the gradient that comes from the next step is forgotten.
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
    quarters stand in the order i, f, g, o, as in `keras.layers.LSTM`.

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
    """Return the gradients by inputs, hidden, cell, kernel, recurrent_kernel and bias.

    Args:
        by_hidden: the gradient by the new hidden state, (batch, units).
        by_cell: the gradient by the new cell, (batch, units).
        cache: from `lstm_step_forward`.
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
    """Run `lstm_step_forward` over all steps; x W + b is one matrix product for all of them.

    Args:
        inputs: (batch, steps, channels).
        hidden, cell: the state before the first step, (batch, units) each.
        kernel, recurrent_kernel, bias: as in `lstm_step_forward`.

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
    """Return the gradients by the arguments of `lstm_forward`: backpropagation through time (Werbos 1990).

    Args:
        gradient: by all hidden states, (batch, steps, units).
        cache: from `lstm_forward`.
        through_time: False is a usual bug: the gradients that come from the next step are forgotten.
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
    """Write the gradient by the sums before the gates into `by_sums`; return the gradient by the old cell."""
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
    """Turn the gradients by the sums of all steps into those by inputs, first state and weights."""
    by_inputs, by_kernel, by_bias = affine_backward(by_sums, affine_cache)
    flat = by_sums.reshape(-1, by_sums.shape[-1])
    by_recurrent = before.reshape(-1, before.shape[-1]).T @ flat
    return by_inputs.swapaxes(0, 1), by_hidden, by_kernel, by_recurrent, by_bias
