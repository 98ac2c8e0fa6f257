"""Several decoders as one step function: the mean of their probabilities; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from captioning.decoding.steps import Step, StepFunction, log_softmax


def ensemble(steps: Sequence[StepFunction]) -> StepFunction:
    """Return the step whose probabilities are the mean of those of `steps`, which share one vocabulary.

    Its state is a tuple of theirs, in their order. Its attention is the mean of theirs where those that have one look
    at equally many regions; otherwise None.

    Raises:
        ValueError: there is no step; when called: not as many states, or other vocabularies.
    """
    steps = tuple(steps)
    if not steps:
        raise ValueError("An ensemble needs at least one step function.")

    def step(tokens: np.ndarray, states: tuple[Any, ...]) -> Step:
        if len(states) != len(steps):
            raise ValueError(f"An ensemble of {len(steps)} steps has as many states, not {len(states)}.")
        logits, after, maps = zip(*(one(tokens, state) for one, state in zip(steps, states, strict=True)), strict=True)
        logits = [np.array(each, np.float64) for each in logits]
        if len({each.shape for each in logits}) != 1:
            raise ValueError(f"Decoders of one ensemble need one vocabulary; logits: {[x.shape for x in logits]}.")
        mean = np.logaddexp.reduce([log_softmax(each) for each in logits], axis=0) - np.log(len(logits))
        maps = [np.asarray(each) for each in maps if each is not None]
        attention = np.mean(maps, axis=0) if len({each.shape for each in maps}) == 1 else None
        return Step(mean, tuple(after), attention)

    return step
