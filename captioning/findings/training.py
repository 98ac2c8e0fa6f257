"""What training curves show."""

from __future__ import annotations

from collections.abc import Mapping

from captioning.findings.finding import Finding
from captioning.training.history import History, best_epoch, cider_is_silent


def curves(histories: Mapping[str, History]) -> Finding:
    """Tell for each run which epoch was kept, whether the validation loss still fell after it, and where it ends.

    Args:
        histories: name of a run -> its rows, see `training.history`.
    """
    return Finding(" ".join(_of_one(name, history) for name, history in histories.items()))


def _of_one(name: str, history: History) -> str:
    kept, losses = best_epoch(history), [row["val_loss"] for row in history]
    lowest = losses.index(min(losses))
    by = "validation loss" if cider_is_silent(history) else "CIDEr"
    text = (
        f"{name}: {by} chose epoch {kept + 1} of {len(history)} (val_CIDEr {history[kept]['val_CIDEr']:.3f}, "
        f"val_loss {losses[kept]:.3f}); "
    )
    if lowest == len(history) - 1:
        return text + "the validation loss fell to the last epoch: no overfitting yet."
    rise = f"from {losses[lowest]:.3f} after epoch {lowest + 1} to {losses[-1]:.3f} at the end"
    meanwhile = "CIDEr still rose meanwhile." if kept > lowest else "CIDEr did not rise after that."
    return text + f"the validation loss rose again, {rise}. {meanwhile}"
