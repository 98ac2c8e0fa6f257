"""Pictures of where a model looked, one file per photo."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

os.environ.setdefault("MPLBACKEND", "Agg")  # files, not windows

import matplotlib.pyplot as plt
import numpy as np

from captioning.bundle import Answer, Bundle
from captioning.fetching.photo import ADDRESS
from captioning.files import folded, write_atomically
from captioning.images import Picture
from captioning.plotting import show_attention
from captioning.serving.photos import Photo


@dataclass(frozen=True)
class Kept:
    """A photo that is no file, kept in one as it is read: another look at it costs a download, or is not possible."""

    picture: Any  # has `name` and `read`
    file: Path

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.picture.name

    def read(self, limit: int = -1) -> bytes:
        """Read it, and write it to the file."""
        content = self.picture.read(limit)
        self.file.write_bytes(content)
        return content


class Looks(tempfile.TemporaryDirectory):
    """Draws where the model looked; the temporary folder holds the photos that are no files."""

    def __init__(self, bundle: Bundle, folder: Path):
        """Make the folder for the pictures.

        Raises:
            ValueError: the model has no attention.
            OSError: the folder cannot be made.
        """
        super().__init__()
        encoder = bundle.settings["encoder"]
        (probe,) = bundle.decode(np.zeros((1, encoder["regions"], encoder["channels"]), np.float16))
        if probe.attention is None:
            raise ValueError(f"{bundle.name} has no attention to draw: choose a bahdanau or bilstm model with --model.")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.taken, self.files = folder, set(), {}

    def __enter__(self) -> Looks:
        super().__enter__()
        return self

    def kept(self, picture: Picture) -> Picture:
        """Return the picture as one that can be looked at again: as a file, or kept in one."""
        if isinstance(picture, Path):
            return picture
        self.files[id(picture)] = file = Path(self.name, str(len(self.files)))
        return Kept(picture, file)

    def draw(self, photo: Photo, answer: Answer) -> tuple[str | None, Exception | None]:
        """Draw where the model looked for each word; return the file, and what went wrong."""
        target = self.file_for(photo.name)
        seen = self.files.get(id(photo.picture), photo.picture)
        try:
            figure = show_attention(seen, answer.words, answer.attention, answer.caption)
            with write_atomically(target) as draft:
                figure.savefig(draft, dpi=70, bbox_inches="tight")
            plt.close(figure)
        except (OSError, ValueError) as error:
            return None, error
        return str(target), None

    def file_for(self, name: str) -> Path:
        """Return a file for the next photo: `dog-attention.png` for `beach/dog.jpg`, `dog-2-…` for another dog."""
        path = unquote(urlsplit(name).path) if ADDRESS.match(name) else Path(name).as_posix()
        stem = re.sub(r"[^\w.-]+", "_", PurePosixPath(path).stem).strip(".-")[:80] or "photo"
        stems = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        chosen = next(one for one in stems if folded(one) not in self.taken)
        self.taken.add(folded(chosen))
        return self.folder / f"{chosen}-attention.png"
