"""The layers of a recurrent captioner in NumPy, each with a hand-written backward pass.

A forward pass returns its result and a cache; the backward pass takes the gradient of the loss with respect to that
result and the cache, and returns those with respect to the arguments of the forward pass, in their order. Weights
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
    """Return the gradients with respect to inputs, kernel and bias (dX = dY Wᵀ, dW = Xᵀ dY, db = sum of dY)."""
    inputs, kernel = cache
    rows = gradient.reshape(-1, gradient.shape[-1])
    by_kernel = inputs.reshape(-1, inputs.shape[-1]).T @ rows
    return (rows @ kernel.T).reshape(inputs.shape), by_kernel, rows.sum(axis=0)


def embedding_forward(tokens: np.ndarray, table: np.ndarray) -> tuple:
    """Return a row (channels) of the table for each token, and the cache. As `keras.layers.Embedding`."""
    return table[tokens], (tokens, table.shape)


def embedding_backward(gradient: np.ndarray, cache: tuple) -> np.ndarray:
    """Return the gradient with respect to the table: row v is the sum over the places where token v was.

    Equal to `np.add.at(zeros, tokens, gradient)`, but rows are sorted by token and each run is summed at once.
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
    """Return the gradient with respect to the inputs of `dropout_forward`: the same mask and scale once more."""
    return gradient if cache is None else gradient * cache


def temporal_softmax_loss(logits: np.ndarray, targets: np.ndarray, mask: np.ndarray) -> tuple:
    """Average -log softmax(logits)[target] over the real words (Vinyals et al. 2015, equation 13, per word).

    Args:
        logits: (..., vocabulary), any leading axes, for example (batch, steps).
        targets: integers (...).
        mask: booleans (...); False where the target is padding.

    Returns:
        The loss (a float, in nats per word) and its gradient with respect to the logits, (softmax - one-hot) / words.

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
