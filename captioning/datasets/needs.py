"""What a dataset costs before it is fetched: bytes over the network, bytes on the disk, minutes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from captioning.datasets.dataset import DatasetError

RATE = 5.0  # MB per second, what many home connections give; photos one by one come no faster


class Need(NamedTuple):
    """One thing that will be fetched."""

    what: str
    download: float  # MB
    disk: float  # MB, at the worst moment
    present: Path | None = None  # nothing is fetched where this exists


def photos_to_fetch(count: int, folders: Sequence[Path], download: float, disk: float) -> Need:
    """Return the need of so many photos less those that are in the folders; download and disk are MB per photo."""
    there = sum(len(list(folder.iterdir())) for folder in folders if folder.is_dir())
    missing = max(0, count - there)
    return Need(f"{missing:,} photos", missing * download, missing * disk)


def state(needs: Sequence[Need], folder: Path) -> str:
    """Return a table of what will be fetched.

    Args:
        needs: from a source; empty when nothing is.
        folder: where it goes; need not exist.

    Raises:
        DatasetError: the disk is too small.
    """
    missing = [need for need in needs if need.download and (need.present is None or not need.present.exists())]
    if not missing:
        return "Nothing has to be fetched."
    download, disk = (sum(getattr(need, name) for need in missing) for name in ("download", "disk"))
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 1e6
    rows = [*missing, Need("together", download, disk)]
    table = [f"{what:24}{mb:10,.0f} MB to fetch{room:10,.0f} MB of disk" for what, mb, room, _ in rows]
    minutes = download / RATE / 60
    table.append(f"At {RATE:g} MB/s about {minutes:,.0f} minutes. Goes to {folder}, {free:,.0f} MB are free.")
    if disk > free:
        raise DatasetError("\n".join([*table, "The disk is too small: free some, or set a smaller CAPTIONING_LIMIT."]))
    return "\n".join(table)
