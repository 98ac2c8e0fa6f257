"""The photos that a command line names: files, folders, addresses, standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from captioning.fetching.photo import ADDRESS, WebPhoto
from captioning.images import Picture, each

STDIN = "-"


@dataclass(frozen=True)
class Given:
    """A photo to caption, or why there is none."""

    name: str  # as reports show it
    picture: Picture | None = None
    error: Exception | None = None


@dataclass
class Piped:
    """The photo on standard input; like a file open for reading."""

    name: str = "standard input"

    def read(self, limit: int = -1) -> bytes:
        """Read it."""
        return sys.stdin.buffer.read(limit) if sys.stdin else b""  # it may be closed


def given(names: Iterable[str], allow_private: bool = False) -> Iterator[Given]:
    """Yield the photos that these words name, folders as their photos; nothing is read yet.

    Args:
        names: paths, http and https addresses, and "-" for a photo on standard input.
        allow_private: fetch photos from addresses of this machine and its network, too.
    """
    for name in names:
        if name == STDIN:
            yield Given(name, Piped())
        elif ADDRESS.match(name):
            yield Given(name, WebPhoto(name, allow_private))
        else:
            yield from _on_disk(name)


def _on_disk(name: str) -> Iterator[Given]:
    try:
        for picture in each(Path(name)):
            yield Given(os.fspath(picture), picture)
    except (OSError, ValueError) as error:
        yield Given(name, error=error)
