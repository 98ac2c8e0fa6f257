"""Fetch what datasets consist of: archives that are unpacked, and photos one by one."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from captioning.fetching.download import URLS, fetch, fetch_many
from captioning.fetching.unpack import unpack


@dataclass(frozen=True)
class Wanted:
    """How much of a dataset is asked for, and in what form."""

    limit: int | None = None  # photos; None for all
    long_side: int = 512  # pixels; larger photos of Open Images are shrunk when they arrive
    delete_zips: bool = False  # once they are unpacked


def fetch_archive(name: str, folder: Path, *, only: str = "*", delete: bool = False, retries: int = 5) -> None:
    """Fetch a zip and unpack it beside itself; what is there is kept, also when the zip has been deleted since.

    Args:
        name: in `URLS`.
        folder: gets the zip under its own name, its contents, and an empty file that notes the end of the work.
        only: pattern of the entries to unpack.
        delete: remove the zip at the end.
        retries: how many tries in a row may fail.

    Raises:
        DownloadError: it cannot be had.
        UnpackError: it is damaged or not to be trusted.
    """
    archive = folder / URLS[name]["url"].rpartition("/")[2]
    finished = folder / f".{archive.stem}.unpacked"
    if finished.exists() and not archive.exists():
        return
    fetch(URLS[name]["url"], archive, retries=retries)
    if not finished.exists():
        _compare(archive, **URLS[name])
    unpack(archive, folder, only=only, delete=delete)
    finished.touch()


def _compare(archive: Path, url: str, size: int | None = None, md5: str | None = None) -> None:
    """Warn of another size or sum than was published once: the publisher may have replaced the file since."""
    found = archive.stat().st_size
    if size not in (None, found):
        warnings.warn(f"{archive}: its size is {found}, not {size} as published at {url}.", stacklevel=2)
    elif md5:
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != md5:
            warnings.warn(f"{archive}: its MD5 sum is {found}, not {md5} as published at {url}.", stacklevel=2)


def fetch_photos(
    photos: Sequence[tuple[str, Path]], arrive: Callable[[Path], None] | None = None, workers: int = 16
) -> dict[Path, str]:
    """Fetch (address, path) pairs in parallel, as `fetch_many` does; return the photos that could not be had -> why."""
    report = fetch_many(photos, workers, arrive=arrive)
    print(str(report).splitlines()[0])
    return report.failed
