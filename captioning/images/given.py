"""Pictures as people give them: one or several, as paths, bytes, arrays."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from captioning.images.depth import ends_of, range_of, scaled
from captioning.images.formats import EXTENSIONS, ImageError
from captioning.lines import printable


class Reader(Protocol):
    """What is read as a file is, from its start, at most `limit` bytes: one that is open, or a photo at an address."""

    def read(self, limit: int = -1, /) -> bytes: ...


Picture = str | os.PathLike | bytes | Reader | Image.Image | np.ndarray
ACCEPTED = (
    "a path, an http(s) address, bytes, a file open for reading, a PIL image, an array (height, width, 3) or (height, "
    "width); or several of them: a list, a generator, a folder, an array (pictures, height, width, 3)"
)


def is_one(pictures: Any) -> bool:
    """Return whether this is one picture rather than several, see `ACCEPTED`."""
    if isinstance(pictures, str | os.PathLike):
        return not os.path.isdir(pictures)
    if isinstance(pictures, bytes | bytearray | memoryview | Image.Image) or hasattr(pictures, "read"):
        return True
    if not hasattr(pictures, "__array__"):
        return False
    array = np.asarray(pictures)
    return not array.ndim or (array.dtype.kind in "buif" and array.ndim != 4)


def each(pictures: Any) -> Iterator[Picture]:
    """Yield pictures one by one; a folder gives its photos, sorted by name.

    Raises:
        ImageError: a folder without photos, or one that cannot be read.
        TypeError: neither a picture nor several, see `ACCEPTED`.
    """
    if is_one(pictures):
        yield pictures
    elif isinstance(pictures, str | os.PathLike):
        yield from _photos_in(Path(pictures))
    elif isinstance(pictures, Iterable) and not isinstance(pictures, Mapping | set | frozenset):
        yield from pictures
    else:
        raise TypeError(f"{type(pictures).__name__} is not a picture. Accepted: {ACCEPTED}.")


def _photos_in(folder: Path) -> list[Path]:
    # HEIC is told for what it is where pillow-heif is missing; so is a broken link.
    endings = EXTENSIONS | {".heic", ".heif"}
    try:
        photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings and not path.is_dir())
    except OSError as error:
        raise ImageError(f"{printable(str(folder))} cannot be read as a folder of photos: {error.strerror}.") from error
    photos = [path for path in photos if not path.name.startswith(".")]  # "._dog.jpg" is a note of macOS
    if not photos:
        raise ImageError(f"{printable(str(folder))} holds no photos ({', '.join(sorted(EXTENSIONS))}).")
    return photos


def from_array(array: np.ndarray, name: str) -> Image.Image:
    """Return an array as a picture in 8 bits."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype.kind not in "buif" or not fits or not array.size:
        raise ImageError(f"{name} is an array {array.shape} of {array.dtype}. Accepted: {ACCEPTED}; channels last.")
    if array.dtype.kind == "b":
        array = array * np.uint8(255)
    if array.dtype != np.uint8:
        low, high = ends_of(array)
        black, white, _ = range_of(low, high, array.dtype.kind != "f")
        if (black, white) == (low, high) != (0, 1) or not np.isfinite(array).all():
            raise ImageError(f"{name} holds numbers from {low:g} to {high:g}, or NaN: 0 to 1, or 0 to 255, are needed.")
        array = scaled(array, black, white)
    return Image.fromarray(np.ascontiguousarray(array))
