"""What gradient checks, clipping and memorized captions show: notebook 08."""

from collections.abc import Mapping, Sequence

import numpy as np

from captioning.findings.finding import Finding, claim
from captioning.findings.wording import counted, listed, span

LEARNED = 0.1  # nats per word: a few captions count as memorized below it
TO_NAME = 8  # names in a sentence; more are only counted


def gradients_agree(errors: Mapping[str, float], limit: float, expected: str = "the slope of the loss") -> Finding:
    """Tell which arrays agree with what was expected, and how large the relative errors are.

    Args:
        errors: name of an array -> relative error, see `from_scratch.checks`.
        limit: of the error of an array that agrees.
        expected: what the arrays were compared with.
    """
    parts = []
    for agree, verb, bound in ((True, "agreed with", "below"), (False, "differed from", "not below")):
        if found := {name: error for name, error in errors.items() if (error < limit) == agree}:
            names = listed(found) if len(found) <= TO_NAME else f"{len(found)} arrays"
            sizes = span(list(found.values()), ".2g")
            parts.append(f"{names} {verb} {expected}: relative error {sizes}, {bound} {limit:g}.")
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
    told = {
        name: f"the loss went from {values[0]:.2f} to {values[-1]:.3f} nats per word in "
        f"{counted(len(values), 'update')}{_since(values)}; captions reproduced word for word: {repeated[name]} of "
        f"{captions}."
        for name, values in losses.items()
    }
    holds = all(values[-1] < LEARNED and repeated[name] == captions for name, values in losses.items())
    return claim(holds, of_each(told), "Look for pictures with equal features or for a wrong gradient.")


def forgotten(right: Sequence[float], wrong: Sequence[float]) -> Finding:
    """Claim that captions are memorized later without the gradient from the next step; nats per word at each update."""
    with_it, without = _learned(right), _learned(wrong)
    later = with_it is not None and (without is None or without > with_it)
    ratio = f", after {without / with_it:.1f} times as many updates" if later and with_it and without else ""
    return claim(
        later,
        f"with the gradient from the next step, the loss {_reached(right)}; without it, the loss "
        f"{_reached(wrong)}{ratio}.",
        "So this run does not show what the mistake costs; the gradient check shows it.",
    )


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
    tail = max(1, updates // 10)
    mean = f" (mean of {tail} updates)" if tail > 1 else ""
    parts, ends = [], {}
    for name, lengths in norms.items():
        if not len(lengths):
            parts.append(f"The run {name}: the first loss or gradient was not a finite number.")
            continue
        end = "then the loss or the gradient was not a finite number, and the run ended"
        if len(lengths) == updates:
            ends[name] = f"{np.mean(losses[name][-tail:]):.2f}"
            end = f"the loss ended at {ends[name]} nats per word{mean}"
        above = np.count_nonzero(np.asarray(lengths) > limit)
        parts.append(
            f"The run {name}: {above} of {counted(len(lengths), 'update')} had a gradient longer than {limit:g}, the "
            f"longest {max(lengths):.1f}; {end}."
        )
    if len(ends) > 1:
        best = min(ends, key=lambda name: float(ends[name]))
        alike = len(set(ends.values())) == 1
        parts.append(
            "Their losses end at the same value." if alike else f"The lowest loss at the end is that of the run {best}."
        )
    return Finding(" ".join(parts))


def _learned(losses: Sequence[float]) -> int | None:
    """Return the first update whose loss is below `LEARNED`, from 1."""
    return next((number for number, loss in enumerate(losses, start=1) if loss < LEARNED), None)


def _since(losses: Sequence[float]) -> str:
    number = _learned(losses)
    return f", below {LEARNED:g} from update {number} on" if number and max(losses[number - 1 :]) < LEARNED else ""


def _reached(losses: Sequence[float]) -> str:
    if number := _learned(losses):
        return f"fell below {LEARNED:g} nats per word at update {number}"
    return f"did not fall below {LEARNED:g} nats per word in {counted(len(losses), 'update')}"
