"""Check backward passes written by hand: compare them with the slope of the forward pass; NumPy only."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np


def numeric_gradient(function: Callable[[], float], array: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Return a function's gradient with respect to an array that it reads, in its shape, from values alone.

    Each number w is moved in turn: (8 (f(w + h) - f(w - h)) - (f(w + 2 h) - f(w - 2 h))) / (12 h), whose error
    falls with h⁴ (the five-point stencil; Abramowitz & Stegun 1964, table 25.2).

    Args:
        function: without arguments; reads the array and returns one number.
        array: float64; moved in place and put back.
        step: h.

    Raises:
        ValueError: the array is not float64: in float32 rounding drowns the differences.
    """
    if array.dtype != np.float64:
        raise ValueError(f"The array is {array.dtype}: check gradients in float64.")
    slopes = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept, values = array[place], {}
        for moves in (-2, -1, 1, 2):
            array[place] = kept + moves * step
            values[moves] = function()
        array[place] = kept
        slopes[place] = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * step)
    return slopes


def relative_error(analytic: np.ndarray, numeric: np.ndarray) -> float:
    """Return max|a - n| / (max|a| + max|n|) of two gradients of one function; 0 is equal, 1 has nothing in common.

    Raises:
        ValueError: other shapes, or both gradients are zero: then the check tests nothing.
    """
    analytic, numeric = np.asarray(analytic), np.asarray(numeric)
    if analytic.shape != numeric.shape:
        raise ValueError(f"Gradients of shapes {analytic.shape} and {numeric.shape}.")
    size = np.abs(analytic).max(initial=0) + np.abs(numeric).max(initial=0)
    if size == 0:
        raise ValueError("Both gradients are zero everywhere: the check tests nothing, choose other numbers.")
    return float(np.abs(analytic - numeric).max() / size)


def gradient_errors(forward: Callable, backward: Callable, *arguments: np.ndarray) -> dict[str, float]:
    """Compare a backward pass with the slope of its forward pass: argument -> `relative_error` of its gradient.

    The results are weighted with random numbers and summed, so that one number depends on all of them.

    Args:
        forward: from the arguments to its results, then a cache.
        backward: from one gradient per result, then the cache, to one gradient per argument.
        arguments: of `forward`; integers, such as tokens, have no gradient and are skipped.
    """
    rng = np.random.default_rng(0)
    *results, cache = forward(*arguments)
    weights = [rng.normal(size=result.shape) for result in results]
    gradients = backward(*weights, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)

    def total() -> float:
        return sum((weight * result).sum() for weight, result in zip(weights, forward(*arguments), strict=False))

    named = dict(zip(inspect.signature(forward).parameters, arguments, strict=False))
    moved = [(name, values) for name, values in named.items() if values.dtype.kind == "f"]
    return {
        name: relative_error(gradient, numeric_gradient(total, values))
        for (name, values), gradient in zip(moved, gradients, strict=True)
    }


def parameter_errors(
    model: Any, features: np.ndarray, tokens: np.ndarray, dropout_seed: int | None = None
) -> dict[str, float]:
    """Compare all gradients of a captioner with the slope of its `loss`: weight -> `relative_error` of its gradient.

    The model has dtype float64 and is tiny, as the loss is computed four times per weight; with a dropout seed, the
    dropout is the same each time.
    """

    def loss() -> tuple[float, dict[str, np.ndarray]]:
        rng = None if dropout_seed is None else np.random.default_rng(dropout_seed)
        return model.loss(features, tokens, rng)

    gradients = loss()[1]
    return {
        name: relative_error(gradients[name], numeric_gradient(lambda: loss()[0], values))
        for name, values in model.parameters.items()
    }
