"""What gradient checks, clipping and memorized captions show: notebook 08."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from captioning.findings.finding import Finding, claim
from captioning.findings.wording import counted, listed

LEARNED = 0.1  # nats per word: a few captions count as memorized below it
TO_NAME = 8  # names in a sentence; more are only counted


def gradients_agree(errors: Mapping[str, float], limit: float, expected: str = "the slope of the loss") -> Finding:
    """Tell which arrays agree with what was expected, and how large the relative errors are.

    Args:
        errors: name of an array -> relative error, see `from_scratch.checks`.
        limit: of the error of an array that agrees.
        expected: what the arrays were compared with.
    """
    agree = {name: error for name, error in errors.items() if error < limit}
    differ = {name: error for name, error in errors.items() if name not in agree}
    parts = []
    if agree:
        parts.append(f"{_names(agree)} agreed with {expected}: {_size(agree)}, below the limit of {limit:.0e}.")
    if differ:
        parts.append(f"{_names(differ)} differed from {expected}: {_size(differ)}, limit {limit:.0e}.")
    return Finding(" ".join(parts))


def of_each(sentences: Mapping[str, str]) -> Finding:
    """Put the sentences about several models one behind the other, each with the name of its model."""
    return Finding(" ".join(f"{name}: {sentence}" for name, sentence in sentences.items()))


def memorized(losses: Mapping[str, Sequence[float]], repeated: Mapping[str, int], captions: int) -> Finding:
    """Claim that every run has memorized its captions, and tell how fast.

    Args:
        losses: name of a run -> nats per word at each update.
        repeated: name of a run -> how many captions it gives back word for word.
        captions: how many there are.
    """
    numbers = of_each(
        {
            name: f"the loss went from {values[0]:.2f} to {values[-1]:.3f} nats per word in "
            f"{counted(len(values), 'update')}{_since(values)}; {repeated[name]} of {counted(captions, 'caption')} "
            f"{'comes' if repeated[name] == 1 else 'come'} back word for word."
            for name, values in losses.items()
        }
    )
    holds = all(values[-1] < LEARNED and repeated[name] == captions for name, values in losses.items())
    return claim(holds, numbers, "Look for pictures with equal features or a wrong gradient before training on more.")


def forgotten(right: Sequence[float], wrong: Sequence[float]) -> Finding:
    """Claim that the captions are memorized later where the gradient from the next step is forgotten.

    Args:
        right: nats per word at each update, with the whole gradient.
        wrong: the same without the gradient from the next step.
    """
    with_it, without = _learned(right), _learned(wrong)
    ratio = (
        f", after {without / with_it:.1f} times as many updates" if with_it and without and without > with_it else ""
    )
    numbers = (
        f"with the gradient from the next step, the loss {_reached(with_it, right)}; "
        f"without it, the loss {_reached(without, wrong)}{ratio}."
    )
    holds = with_it is not None and (without is None or without > with_it)
    return claim(holds, numbers, "So this run does not show what the mistake costs; the gradient check shows it.")


def clipping(
    norms: Mapping[str, Sequence[float]], losses: Mapping[str, Sequence[float]], limit: float, updates: int
) -> Finding:
    """Tell how often each run was above the limit, its longest gradient, and where its loss ended.

    Args:
        norms: name of a run -> length of the gradient before clipping, at each update that it lasted.
        losses: name of a run -> nats per word at each of them.
        limit: of the length.
        updates: how many were planned.
    """
    last = {name: float(np.mean(values[-_tail(updates) :])) for name, values in losses.items() if len(values)}
    parts = [_steps(name, norms[name], limit, updates, last.get(name)) for name in norms]
    whole = {name: f"{last[name]:.2f}" for name in last if len(losses[name]) == updates}
    if len(whole) > 1:
        best = min(whole, key=lambda name: float(whole[name]))
        same = len(set(whole.values())) == 1
        parts.append("Their losses end alike." if same else f"The lowest loss at the end is that of the run {best}.")
    return Finding(" ".join(parts))


def _steps(name: str, norms: Sequence[float], limit: float, updates: int, last: float | None) -> str:
    """Tell about one run of `clipping`."""
    if last is None:
        return f"The run {name}: the first loss or gradient was no finite number."
    above = int(np.sum(np.asarray(norms) > limit))
    text = (
        f"The run {name}: {above} of {counted(len(norms), 'update')} had a gradient longer than {limit:g}, the longest "
        f"{max(norms):.1f}; "
    )
    if len(norms) < updates:
        return f"{text}then the loss or the gradient was no finite number, and the run ended."
    tail = _tail(updates)
    return f"{text}the loss ended at {last:.2f} nats per word{f' (mean of {tail} updates)' if tail > 1 else ''}."


def _tail(updates: int) -> int:
    """Return how many of the last updates tell where a loss ended."""
    return max(1, updates // 10)


def _learned(losses: Sequence[float]) -> int | None:
    """Return the first update whose loss is below `LEARNED`, from 1."""
    return next((number for number, loss in enumerate(losses, start=1) if loss < LEARNED), None)


def _since(losses: Sequence[float]) -> str:
    number = _learned(losses)
    return f", below {LEARNED:g} from update {number} on" if number and max(losses[number - 1 :]) < LEARNED else ""


def _reached(number: int | None, losses: Sequence[float]) -> str:
    if number is None:
        return f"did not fall below {LEARNED:g} nats per word in {counted(len(losses), 'update')}"
    return f"fell below {LEARNED:g} nats per word at update {number}"


def _names(errors: Mapping[str, float]) -> str:
    return listed(errors) if len(errors) <= TO_NAME else f"{len(errors)} arrays"


def _size(errors: Mapping[str, float]) -> str:
    """Return the errors, from the smallest to the largest."""
    low, high = (f"{size(errors.values()):{'.0e' if max(errors.values()) < 0.01 else '.2g'}}" for size in (min, max))
    return f"relative error {low}" if low == high else f"relative errors {low} to {high}"
