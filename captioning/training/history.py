"""One row per epoch, as CSV: which epoch is the best, and whether a run has had all of them; no TensorFlow."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from captioning.files import DamagedError, write_atomically

History = list[dict[str, float]]


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write one row per epoch as CSV, whole or not at all."""
    with write_atomically(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def read_history(path: Path) -> History:
    """Read what `write_history` wrote; no rows where there is no such file.

    Raises:
        DamagedError: it holds something else than numbers by name.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        return [row | {"epoch": int(row["epoch"])} for row in rows]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise DamagedError(f"{path} is damaged ({error!r}). Delete {path.parent} and train again.") from error


def finished(weights: Path, config) -> History:
    """Return the history beside the weights of a finished run, which is known by these two; no rows for another."""
    history = read_history(weights.with_name("history.csv"))
    return history if is_complete(history, config) and weights.is_file() else []


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """Return the best epoch, the first of equal ones; -1 before the first.

    It is the one of the highest val_CIDEr. As long as that is 0 or no number throughout, it says nothing: then the one
    of the lowest val_loss.
    """
    if not history:
        return -1
    if cider_is_silent(history):
        return int(np.argmin(np.nan_to_num([row["val_loss"] for row in history], nan=np.inf)))
    return int(np.argmax(np.nan_to_num([row["val_CIDEr"] for row in history], nan=-np.inf)))


def cider_is_silent(history: Sequence[dict[str, float]]) -> bool:
    """Tell whether no epoch has a val_CIDEr above 0, as with few or single validation pictures."""
    return not any(row["val_CIDEr"] > 0 for row in history)


def is_complete(history: Sequence[dict[str, float]], config) -> bool:
    """Tell whether a run has had all `config.epochs`, or no better one for `config.patience` of them."""
    waited = len(history) - 1 - best_epoch(history)
    return bool(history) and (len(history) >= config.epochs or waited >= config.patience)


def report_end(history: Sequence[dict[str, float]], config) -> None:
    """Print why training stopped early, and what chose the weights where CIDEr could not."""
    if is_complete(history, config) and len(history) < config.epochs:
        print(f"No better epoch since epoch {best_epoch(history) + 1}: training stops.")
    if cider_is_silent(history):
        best = best_epoch(history)
        print(
            f"val_CIDEr is 0 after every epoch (too few validation pictures, or captions without a common word), so "
            f"the loss decided: the weights of epoch {best + 1} are kept, val_loss {history[best]['val_loss']:.3f}."
        )
