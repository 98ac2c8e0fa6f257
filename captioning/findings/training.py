"""What training curves show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from captioning.findings.finding import Finding, claim
from captioning.training.history import History, best_epoch, cider_is_silent

FLAT = 0.01  # nats per word: a validation loss that rises by less shows nothing


def curves(histories: Mapping[str, History]) -> Finding:
    """Tell of each run which epoch was kept, whether it overfits, and whether CIDEr rose meanwhile; then compare them.

    Args:
        histories: name of a run -> its rows, see `training.history`; losses in nats per word, of real words.
    """
    runs = [f"{name}: {_of_one(history)}" for name, history in histories.items()]
    remark = "Training is measured during the epoch and with dropout, if there is any; validation after it and without."
    return Finding(" ".join([*runs, *_compared(histories), remark]))


def padding_in_one_loss(nats: np.ndarray, padding: np.ndarray) -> Finding:
    """Tell the loss of one model over words alone, and over words and padding.

    Args:
        nats: (positions,), of all captions.
        padding: (positions,), whether a position is padding.
    """
    words, both = nats[~padding].mean(), nats.mean()
    return claim(
        bool(both < words),
        f"the loss of this one model is {words:.3f} nats per word over words, and {both:.3f} over words and padding; "
        f"{padding.mean():.0%} of all positions are padding.",
        "Here padding does not make the loss look better.",
    )


def padding_in_training(masked: Mapping[str, float], unmasked: Mapping[str, float]) -> Finding:
    """Tell which of two training runs predicts more words right: with padding masked, or with padding in the loss.

    Args:
        masked: a row of its history, see `training.history`.
        unmasked: that of the other one after equally many epochs.
    """
    epochs, (right, wrong) = masked["epoch"] + 1, (row["val_accuracy"] for row in (masked, unmasked))
    return claim(
        wrong < right,
        f"after {epochs} epoch{'s' * (epochs > 1)} the model that was trained with padding in its loss predicts "
        f"{wrong:.1%} of the next words right, the one with padding masked {right:.1%}; CIDEr is "
        f"{unmasked['val_CIDEr']:.3f} and {masked['val_CIDEr']:.3f}.",
        "Here padding in the loss did not slow the learning of words.",
    )


def split_by_caption(by_caption: Sequence[float], by_picture: Sequence[float], held_out: bool) -> Finding:
    """Tell whether a split by caption flatters a model, and whether it does so more at the end than halfway.

    Args:
        by_caption: accuracy after each epoch on other captions of the pictures trained on.
        by_picture: the same on pictures never seen.
        held_out: whether there are such captions; else the first is on captions trained on.
    """
    shown = np.round(100 * np.array([by_caption, by_picture], float), 1)
    (seen, half_seen), (unseen, half_unseen) = shown[:, [-1, (shown.shape[1] - 1) // 2]]
    gap, half = seen - unseen, half_seen - half_unseen
    pictures = "on captions held out of pictures trained on" if held_out else "on captions trained on"
    epochs = shown.shape[1]
    why = "" if held_out else " Too few pictures have a second caption to hold out."
    return claim(
        bool(gap > max(half, 0)),
        f"after {epochs} epoch{'s' * (epochs > 1)} accuracy is {seen:.1f}% {pictures} and {unseen:.1f}% on pictures "
        f"never seen. The difference is {gap:.1f} points; after epoch {(epochs + 1) // 2} it was {half:.1f}.{why}",
        "Here the split by caption does not flatter more with more epochs; it still tests no new picture.",
    )


def _of_one(history: History) -> str:
    losses = [row["val_loss"] for row in history]
    if not any(map(math.isfinite, losses)):
        return "the validation loss is no finite number after any epoch: the training run diverged."
    broken = [str(row["epoch"] + 1) for row in history if not math.isfinite(row["val_loss"])]
    lost = f"The validation loss is no finite number after {_epochs(broken)}." if broken else ""
    return " ".join(filter(None, (_kept(history), lost, _course(history), _gap(history))))


def _kept(history: History) -> str:
    """Tell which epoch was kept, and by what."""
    kept = best_epoch(history)
    row, which = history[kept], f"epoch {kept + 1} of {len(history)} was kept"
    if cider_is_silent(history):
        return f"{which}, by its validation loss ({row['val_loss']:.3f}), because CIDEr was never above 0."
    loss = f" and validation loss {row['val_loss']:.3f}" if math.isfinite(row["val_loss"]) else ""
    return f"{which}, with CIDEr {row['val_CIDEr']:.3f}{loss}."


def _course(history: History) -> str:
    """Tell whether the validation loss rose again, with or without the training loss, and what CIDEr did."""
    if len(history) == 1:
        return "One epoch shows no trend."
    finite = [number for number, row in enumerate(history) if math.isfinite(row["val_loss"])]
    lowest, last = min(finite, key=lambda number: history[number]["val_loss"]), finite[-1]
    kept = best_epoch(history)
    if lowest == len(history) - 1:
        peak = f" CIDEr had its peak before, after epoch {kept + 1}." if kept < lowest else ""
        return f"The validation loss was lowest after the last epoch: no overfitting yet.{peak}"
    if lowest == last:  # whatever came then is no number
        return f"Before, it was lowest after epoch {lowest + 1}."
    low, end = history[lowest], history[last]
    course = (
        f"The validation loss was lowest after epoch {lowest + 1} ({low['val_loss']:.3f}) and ended at "
        f"{end['val_loss']:.3f}, while the training loss went from {low['loss']:.3f} to {end['loss']:.3f}: "
    )
    return f"{course}{_verdict(low, end)}. {_cider_after(history, lowest)}".rstrip()


def _verdict(low: dict[str, float], end: dict[str, float]) -> str:
    if end["val_loss"] - low["val_loss"] < FLAT:
        return "too small a rise to speak of overfitting"
    return "overfitting" if end["loss"] < low["loss"] else "the training loss did not fall, so this is not overfitting"


def _cider_after(history: History, lowest: int) -> str:
    """Tell whether CIDEr was higher after the lowest validation loss than until then; nothing where it is silent."""
    then, later = (
        [row["val_CIDEr"] for row in rows if math.isfinite(row["val_CIDEr"])]
        for rows in (history[: lowest + 1], history[lowest + 1 :])
    )
    if cider_is_silent(history) or not later or not then:
        return ""
    if max(later) > max(then):
        return f"CIDEr still rose after that, from at most {max(then):.3f} to {max(later):.3f}."
    return f"CIDEr did not rise after that: at most {max(later):.3f}, before {max(then):.3f}."


def _gap(history: History) -> str:
    """Compare training with validation at the kept epoch, where training accuracy is known."""
    row = history[best_epoch(history)]
    if "accuracy" not in row:
        return ""
    points = round(100 * row["accuracy"], 1) - round(100 * row["val_accuracy"], 1)  # as a reader computes it
    side = f", {abs(points):.1f} points {'higher' if points > 0 else 'lower'} in training" if points else ""
    both = f"{row['accuracy']:.1%} in training and {row['val_accuracy']:.1%} in validation"
    return f"At the kept epoch accuracy is {both}{side}."


def _compared(histories: Mapping[str, History]) -> list[str]:
    """Tell which of several runs has the highest CIDEr."""
    best = {
        name: f"{history[best_epoch(history)]['val_CIDEr']:.3f}"
        for name, history in histories.items()
        if not cider_is_silent(history)
    }
    if len(best) < 2:
        return []
    highest = max(best, key=lambda name: float(best[name]))
    first = [name for name in best if best[name] == best[highest]]
    values = ", ".join(f"{value} ({name})" for name, value in best.items())
    if len(first) == len(best):
        return [f"The highest CIDEr of all runs is the same: {values}."]
    return [f"The highest CIDEr is that of {' and '.join(first)}: {values}."]


def _epochs(numbers: list[str]) -> str:
    return f"epoch{'s' * (len(numbers) > 1)} {', '.join(numbers)}"
