"""Several decoders as one step function: the mean of their probabilities; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from captioning.decoding.steps import NOT_FINITE, Step, StepFunction
from captioning.tokenizer import END


def ensemble(steps: Sequence[StepFunction]) -> StepFunction:
    """Return the step whose probabilities are the mean of those of `steps`, which share one vocabulary.

    Its state is a tuple of theirs, in their order. Its attention is the mean of theirs where those that have one look
    at equally many regions; otherwise None. A single step keeps its own logits.

    Raises:
        ValueError: there is no step; when called: not as many states, other vocabularies, or logits that are no finite
            numbers, with the number of the step.
    """
    steps = tuple(steps)
    if not steps:
        raise ValueError("An ensemble needs at least one step function.")

    def step(tokens: np.ndarray, states: tuple[Any, ...]) -> Step:
        if not isinstance(states, tuple) or len(states) != len(steps):
            given = len(states) if isinstance(states, tuple) else type(states).__name__
            raise ValueError(f"An ensemble of {len(steps)} steps has a tuple of as many states, not {given}.")
        total, after, maps = None, [], []
        for number, (one, state) in enumerate(zip(steps, states, strict=True), start=1):
            logits, state, attention = one(tokens, state)
            after.append(state)
            if len(steps) == 1:
                return Step(logits, tuple(after), attention)
            logits = np.asarray(logits)
            if logits.ndim != 2 or (total is not None and logits.shape != total.shape):
                others = "" if total is None else f", the others {total.shape}"
                raise ValueError(
                    f"Decoder {number} of {len(steps)} in the ensemble gives logits {logits.shape}{others}: all of "
                    "them need (rows, vocabulary) of one vocabulary."
                )
            probabilities = _softmax(logits)
            if np.isnan(probabilities[:, END]).any():
                raise ValueError(f"Decoder {number} of {len(steps)} in the ensemble: {NOT_FINITE}")
            total = probabilities if total is None else np.add(total, probabilities, out=total)
            if attention is not None:
                maps.append(np.array(attention))  # a copy: the step may use the same memory again
        with np.errstate(divide="ignore"):
            logits = np.log(total, out=total)  # the sum serves as well as the mean: a softmax follows
        attention = np.mean(maps, axis=0) if len({each.shape for each in maps}) == 1 else None
        return Step(logits, tuple(after), attention)

    return step


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities (rows, vocabulary) in float64; NaN in a row that has no finite sum."""
    with np.errstate(invalid="ignore"):
        weights = np.subtract(logits, logits.max(axis=1, keepdims=True), dtype=np.float64)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
    return weights
