"""What training curves show."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from captioning.findings.finding import Finding, claim
from captioning.findings.wording import counted, listed, percent
from captioning.training.history import History, best_epoch, cider_is_silent

FLAT = 0.01  # nats per word: a validation loss that rises by less shows nothing


def curves(histories: Mapping[str, History]) -> Finding:
    """Tell of each run which epoch was kept, whether it overfits, and whether CIDEr rose meanwhile; then compare them.

    Args:
        histories: name of a run -> its rows, see `training.history`; losses in nats per word, of real words.
    """
    runs = [f"{name}: {_of_one(history)}" for name, history in histories.items()]
    remark = "Training is measured during the epoch and with dropout, if any; validation after it and without."
    return Finding(" ".join(filter(None, (*runs, _compared(histories), remark))))


def padding_in_one_loss(nats: np.ndarray, padding: np.ndarray) -> Finding:
    """Tell the loss of one model over words alone, and with padding: nats, and what is padding, both (positions,)."""
    words, both = (round(float(values.mean()), 3) for values in (nats[~padding], nats))  # as shown
    return claim(
        both < words,
        f"the loss of this one model is {words:.3f} nats per word over words, and {both:.3f} over words and padding; "
        f"{percent(padding.mean(), 0)} of all positions are padding.",
        "Here padding does not make the loss look better.",
    )


def padding_in_training(masked: Mapping[str, float], unmasked: Mapping[str, float]) -> Finding:
    """Tell which of two training runs predicts more words right: with padding masked, or with padding in the loss.

    Both are rows of a history, see `training.history`, after equally many epochs.
    """
    right, wrong = (round(row["val_accuracy"], 3) for row in (masked, unmasked))  # as shown
    return claim(
        wrong < right,
        f"after {counted(masked['epoch'] + 1, 'epoch')} the model that was trained with padding in its loss predicts "
        f"{percent(wrong)} of the next words correctly, the one with padding masked {percent(right)}; CIDEr is "
        f"{unmasked['val_CIDEr']:.3f} and {masked['val_CIDEr']:.3f}.",
        "Here padding in the loss did not slow the learning of words.",
    )


def split_by_caption(by_caption: Sequence[float], by_picture: Sequence[float], held_out: bool) -> Finding:
    """Tell whether a split by caption is too optimistic, and whether it is more so at the end than halfway.

    Args:
        by_caption: accuracy after each epoch on other captions of the pictures trained on.
        by_picture: the same on pictures never seen.
        held_out: whether there are such captions; else the first is on captions trained on.
    """
    shown = np.round(100 * np.array([by_caption, by_picture], float), 1)
    epochs = shown.shape[1]
    half, gap = (shown[0] - shown[1])[[(epochs - 1) // 2, -1]]
    captions = "captions held out of pictures trained on" if held_out else "captions trained on"
    why = "" if held_out else " Too few pictures have a second caption to hold out."
    return claim(
        bool(gap > max(half, 0)),
        f"after {counted(epochs, 'epoch')} accuracy is {shown[0, -1]:.1f} % on {captions} and {shown[1, -1]:.1f} % on "
        f"pictures never seen. The difference is {gap:.1f} points; after epoch {(epochs + 1) // 2} it was "
        f"{half:.1f}.{why}",
        "Here the split by caption does not become more optimistic with more epochs; it still tests no new picture.",
    )


def _of_one(history: History) -> str:
    finite = [epoch for epoch, row in enumerate(history) if math.isfinite(row["val_loss"])]
    if not finite:
        return "the validation loss is not a finite number after any epoch: the training run diverged."
    kept = best_epoch(history)
    row, which = history[kept], f"epoch {kept + 1} of {len(history)} was kept"
    if cider_is_silent(history):
        which += f", by its validation loss ({row['val_loss']:.3f}), because CIDEr was never above 0."
    else:
        loss = f" and validation loss {row['val_loss']:.3f}" if kept in finite else ""
        which += f", with CIDEr {row['val_CIDEr']:.3f}{loss}."
    if broken := len(history) - len(finite):
        which += f" The validation loss is not a finite number after {broken} of {len(history)} epochs."
    return " ".join(filter(None, (which, _course(history, finite), _gap(history))))


def _course(history: History, finite: Sequence[int]) -> str:
    """Tell whether the validation loss rose again, with or without the training loss, and what CIDEr did."""
    if len(history) == 1:
        return "One epoch shows no trend."
    lowest, last = min(finite, key=lambda epoch: history[epoch]["val_loss"]), finite[-1]
    if lowest == len(history) - 1:
        return "The validation loss was lowest after the last epoch: no overfitting yet."
    if lowest == last:  # whatever came then is no number
        return f"Before, it was lowest after epoch {lowest + 1}."
    low, end = history[lowest], history[last]
    if end["val_loss"] - low["val_loss"] < FLAT:
        verdict = "too small a rise to speak of overfitting"
    elif round(end["loss"], 3) < round(low["loss"], 3):  # as shown
        verdict = "overfitting"
    else:
        verdict = "the training loss did not fall, so this is not overfitting"
    cider = f" CIDEr was {'highest' if best_epoch(history) > lowest else 'not higher'} after that."
    return (
        f"The validation loss was lowest after epoch {lowest + 1} ({low['val_loss']:.3f}) and ended at "
        f"{end['val_loss']:.3f}, while the training loss went from {low['loss']:.3f} to {end['loss']:.3f}: {verdict}."
        f"{'' if cider_is_silent(history) else cider}"
    )


def _gap(history: History) -> str:
    """Compare training with validation at the kept epoch, where training accuracy is known."""
    row = history[best_epoch(history)]
    if "accuracy" not in row:
        return ""
    points = round(100 * row["accuracy"], 1) - round(100 * row["val_accuracy"], 1)  # as a reader computes it
    side = f", {abs(points):.1f} points {'higher' if points > 0 else 'lower'} in training" if points else ""
    both = f"{percent(row['accuracy'])} in training and {percent(row['val_accuracy'])} in validation"
    return f"At the kept epoch accuracy is {both}{side}."


def _compared(histories: Mapping[str, History]) -> str:
    """Tell which of several runs has the highest CIDEr."""
    best = {
        name: f"{history[best_epoch(history)]['val_CIDEr']:.3f}"
        for name, history in histories.items()
        if not cider_is_silent(history)
    }
    if len(best) < 2:
        return ""
    highest = max(best.values(), key=float)
    first = [name for name, value in best.items() if value == highest]
    whose = f"is that of {listed(first)}" if len(first) < len(best) else "of all runs is the same"
    return f"The highest CIDEr {whose}: {', '.join(f'{value} ({name})' for name, value in best.items())}."
