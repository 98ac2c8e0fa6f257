"""Open, check, resize and preprocess pictures, however people have them."""

from __future__ import annotations

import io
import operator
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image

from captioning.images.depth import STRIP, eight_bits, largest, swapped
from captioning.images.formats import ImageError, recognized
from captioning.images.given import ACCEPTED, Picture, from_array

LIMIT = 1 << 30  # bytes that all photos being read may take at a time: a photo that needs more alone is refused
_IN_FLIGHT: list[int] = []  # bytes of the pictures that are being decoded
_CHANGED = threading.Condition()
# Bytes per pixel of Pillow's modes, and what decoders need beside the picture, as measured.
_PIXEL = {"1": 1, "L": 1, "P": 1}
_BESIDE = {"WEBP": 12, "AVIF": 8, "HEIF": 8, "TIFF": 4}

# EXIF orientation -> what sets the picture upright (EXIF 2.32, tag 0x0112).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
RESIZE = "squeezed to a square, Pillow bilinear"  # what `load_pixels` does; part of an encoder's identity
# What Pillow's decoders raise when they meet damaged files or metadata.
_DAMAGED = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError,
    MemoryError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def open_image(source: Picture, near: int | None = None, name: str | None = None) -> Image.Image:
    """Open a picture, upright and in RGB.

    Greyscale, palette and CMYK pictures are converted; a transparent one is laid on white. Of 16-bit pictures, the
    smallest of 8, 10, 12, 14 and 16 bits that holds the largest value counts as white; floats are read as 0 to 1, as
    0 to 255, or else from their smallest to their largest number. Where that is not the whole range of a format,
    `info["scaled"]` says what it was.

    Args:
        source: one of `ACCEPTED`; arrays are uint8, uint16, or numbers from 0 to 1 or to 255.
        near: a shorter side in pixels that is large enough; saves memory and time on large pictures.
        name: what messages call it; the path where there is none.

    Raises:
        ImageError: the file is missing, truncated or no picture, or it needs more memory than `LIMIT`; the message
            names it.
    """

    def factors(width: int, height: int) -> tuple[int, int]:
        return (max(1, min(width, height) // near),) * 2 if near else (1, 1)

    return _read(source, near, name, factors)[0]


def load_pixels(source: Picture, size: int, name: str | None = None) -> np.ndarray:
    """Return the whole picture squeezed to a square: uint8 (size, size, 3).

    Args:
        source, name: see `open_image`.
        size: side of the square, pixels.

    Raises:
        ImageError: see `open_image`.
    """
    # The steps of `resize(..., reducing_gap=2)`, of which the first is taken strip by strip.
    gap = 2 * size
    image, box = _read(source, size, name, lambda width, height: (width // gap or 1, height // gap or 1))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))


def shrink(path: Path, long_side: int) -> None:
    """Write a picture over itself as an upright JPEG whose longer side has at most `long_side` pixels.

    A JPEG that is small enough stays as it is, byte for byte.

    Raises:
        ImageError: see `open_image`.
    """
    image = open_image(path, near=long_side)
    with path.open("rb") as file:
        original = recognized(file, str(path))
    if original.format == "JPEG" and max(original.size) <= long_side:
        return
    scale = min(1.0, long_side / max(image.size))
    size = tuple(max(1, round(scale * side)) for side in image.size)
    image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0).save(path, "JPEG", quality=90)


def _read(source: Picture, near: int | None, name: str | None, factors: Callable) -> tuple[Image.Image, tuple]:
    """Return the picture, its sides divided by what `factors` gives for them, and the box that it fills."""
    is_path = isinstance(source, str | os.PathLike)
    name = name or (os.fspath(source) if is_path else "The file" if isinstance(source, bytes) else "The picture")
    try:
        if isinstance(source, Image.Image):
            return _upright(source, factors)
        if hasattr(source, "__array__") and not isinstance(source, str | bytes):
            return _upright(from_array(np.asarray(source), name), factors)
        if hasattr(source, "read"):
            source = source.read()
        source = bytes(source) if isinstance(source, bytearray | memoryview) else source
        if not isinstance(source, bytes) and not is_path:
            raise ImageError(f"{name} is {type(source).__name__}, no picture. Accepted: {ACCEPTED}.")
        with open(source, "rb") if is_path else io.BytesIO(source) as file:
            return _decoded(file, near, name, factors)
    except ImageError:
        raise
    except _DAMAGED as error:
        raise ImageError(f"{name} cannot be read as a picture: {error or type(error).__name__}") from error


def _decoded(file: IO[bytes], near: int | None, name: str, factors: Callable) -> tuple[Image.Image, tuple]:
    image, low = recognized(file, name), None
    whole = image.size
    if near is not None:
        image.draft("RGB", (near, near))  # a large JPEG is decoded at a fraction of its size
    deep = image.mode in ("RGB", "RGBA") and image.tile and ";16" in str(image.tile[0].args)
    with _memory(_bytes_needed(image, whole) * (2 if deep else 1), whole, name):
        image.load()
        if deep and largest(image) < 64:  # of the high bytes, which are all that Pillow reads of such colors
            file.seek(0)
            low = recognized(file, name)
            low.tile = [tile._replace(args=swapped(tile.args)) for tile in low.tile]
            low.load()
        return _upright(image, factors, low)


def _bytes_needed(image: Image.Image, whole: tuple[int, int]) -> int:
    pixel = 2 if image.mode.startswith("I;16") else _PIXEL.get(image.mode, 4)
    need = image.width * image.height * (pixel + _BESIDE.get(image.format, 0))
    if image.info.get("progressive"):  # its coefficients are kept, two bytes each, whatever the size that is asked for
        _, across, down, _ = zip(*image.layer, strict=True)  # how densely each color is sampled
        need += 2 * whole[0] * whole[1] * sum(map(operator.mul, across, down)) // (max(across) * max(down))
    return need


@contextmanager
def _memory(need: int, size: tuple[int, int], name: str) -> Iterator[None]:
    """Wait until there is memory for a picture, so that threads do not multiply what a huge one takes."""
    if need > LIMIT:
        raise ImageError(
            f"{name} has {size[0]} x {size[1]} pixels: to read it takes {need / 1e9:.1f} GB of memory, more than the "
            f"{LIMIT / 1e9:.1f} GB of captioning.images.opening.LIMIT. Save it smaller, or as a plain JPEG."
        )
    with _CHANGED:
        _CHANGED.wait_for(lambda: sum(_IN_FLIGHT) + need <= LIMIT)
        _IN_FLIGHT.append(need)
    try:
        yield
    finally:
        with _CHANGED:
            _IN_FLIGHT.remove(need)
            _CHANGED.notify_all()


def _upright(image: Image.Image, factors: Callable, low: Image.Image | None = None) -> tuple[Image.Image, tuple]:
    """Turn, convert and reduce a picture strip by strip: beside it, there is never more than its small copy."""
    # `ImageOps.exif_transpose` also rewrites the other tags, and fails where one of them is damaged.
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    sideways, backwards = orientation in (5, 6, 7, 8), orientation in (3, 4, 7, 8)
    width, height = image.size[::-1] if sideways else image.size
    across, down = factors(width, height)
    box = (0, 0, width / across, height / down)
    plain = image.mode == "RGB" and not image.has_transparency_data and not low
    if plain and orientation not in _UPRIGHT and across == down == 1:
        image.load()
        return image, box
    cut, info = eight_bits(image, low)
    small = Image.new("RGB", (-(-width // across), -(-height // down)))
    small.info = info
    rows = down * max(1, STRIP // (width * down))
    for top in range(0, height, rows):
        end = min(top + rows, height)
        first, last = (height - end, height - top) if backwards else (top, end)
        strip = _on_white(cut((first, 0, last, width) if sideways else (0, first, width, last)))
        if orientation in _UPRIGHT:
            strip = strip.transpose(_UPRIGHT[orientation])
        small.paste(strip.reduce((across, down)), (0, top // down))
    return small, box


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
