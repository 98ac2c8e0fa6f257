"""One row per epoch, as CSV: which epoch is the best, and whether a training has had all of them; no TensorFlow."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write one row per epoch as CSV, under a temporary name first."""
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    os.replace(partial, path)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read what `write_history` wrote; no rows where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [row | {"epoch": int(row["epoch"])} for row in rows]


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """Return the epoch of the highest val_CIDEr, the first of equal ones; -1 before the first."""
    return int(np.argmax([row["val_CIDEr"] for row in history])) if history else -1


def is_complete(history: Sequence[dict[str, float]], config) -> bool:
    """Tell whether a training has had all its epochs, or no better val_CIDEr for `patience` of them.

    Args:
        history: one row per epoch.
        config: with `epochs` and `patience`.
    """
    waited = len(history) - 1 - best_epoch(history)
    return bool(history) and (len(history) >= config.epochs or waited >= config.patience)
