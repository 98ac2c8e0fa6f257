"""Open, check, resize and preprocess pictures, however people have them."""

import io
import os
import re
import struct
import textwrap
import threading
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image

from captioning.fetching.photo import ADDRESS, WebPhoto, WebPhotoError
from captioning.images.depth import brightened, eight_bits
from captioning.images.formats import ImageError, recognized
from captioning.images.given import ACCEPTED, Picture, from_array
from captioning.lines import printable

LIMIT = 1 << 30  # bytes of memory per photo; photos that take more than a sixteenth of it are read one at a time
FILE_LIMIT = 1 << 30  # bytes of a file: some decoders read all of it
_LARGE = threading.Lock()
# At most so many bytes per pixel, by Pillow's mode: the picture, its copy in colors that can be averaged, and that with
# the alpha multiplied; and what decoders need beside the picture. As measured.
_PIXEL = {"1": 2, "L": 1, "P": 9, "RGBA": 8, "LA": 8, "I;16": 18, "I;16B": 18, "I": 22, "F": 22}
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
# What people write for a path, and is none.
_NO_PATHS = {
    "data:": ". It is a picture as text: give its bytes, base64.b64decode(...)",
    "~": ". Python does not expand ~: give pathlib.Path(...).expanduser()",
    r".*[*?]": ". It is a pattern: give glob.glob(...)",
}


def open_image(source: Picture, near: int | None = None, name: str | None = None) -> Image.Image:
    """Open a picture, upright and in RGB.

    Grayscale, palette and CMYK pictures are converted; a transparent one is laid on white. Of 16-bit pictures, the
    smallest of 8, 10, 12, 14 and 16 bits that holds the largest value counts as white; floats are read as 0 to 1, as
    0 to 255, or else from their smallest to their largest number. Where that is not the whole range of a format,
    `info["scaled"]` says what it was.

    Args:
        source: one of `ACCEPTED`; arrays are uint8, uint16, or numbers from 0 to 1 or to 255.
        near: a shorter side in pixels that is large enough; saves memory and time on large pictures.
        name: what messages call it; the path where there is none. A photo at an address is called by that.

    Raises:
        ImageError: the file is missing, truncated or no picture, it needs more memory than `LIMIT`, or it cannot be
            fetched; the message names it in one line.
    """

    def smaller(image: Image.Image) -> Image.Image:
        factor = min(image.size) // near if near else 1
        return image.reduce(factor) if factor > 1 else image

    return _read(source, near, name, smaller)


def load_pixels(source: Picture, size: int, name: str | None = None) -> np.ndarray:
    """Return the whole picture squeezed to a square: uint8 (size, size, 3); sources and errors as of `open_image`."""

    def squeezed(image: Image.Image) -> Image.Image:
        return image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)

    return np.asarray(_read(source, size, name, squeezed))


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
    wide, high = (max(1, round(scale * side)) for side in image.size)
    image.resize((wide, high), Image.Resampling.BICUBIC, reducing_gap=2.0).save(path, "JPEG", quality=90)


def _read(source: Picture, near: int | None, name: str | None, smaller: Callable) -> Image.Image:
    path = os.fsdecode(source) if isinstance(source, str | os.PathLike) else None
    if path and ADDRESS.match(path) and not os.path.exists(path):
        source, path = WebPhoto(path), None
    name = name or path or ("The file" if isinstance(source, bytes) else "The picture")
    name = source.name if isinstance(source, WebPhoto) else printable(name)
    name = name if len(name) < 1000 else f"{name[:60]}…"
    try:
        if isinstance(source, Image.Image):
            return _upright(source, smaller)
        if hasattr(source, "__array__") and not isinstance(source, str | bytes):
            array = np.asarray(source)
            if array.ndim or array.dtype.kind in "buif":
                return _upright(from_array(array, name), smaller)
            return _read(array.item(), near, name, smaller)  # a path, or bytes
        if hasattr(source, "read"):
            source = source.read(LIMIT)  # a device has no end
        if isinstance(source, bytes | bytearray | memoryview):
            return _decoded(io.BytesIO(source), near, name, smaller)
        if path is None:
            raise ImageError(f"{name} is {type(source).__name__}, not a picture. Accepted: {ACCEPTED}.")
        if os.path.islink(path) and not os.path.exists(path):
            raise ImageError(f"{name} is a link to {printable(os.readlink(path))}, which does not exist.")
        if os.path.exists(path) and not os.path.isfile(path):  # to open a pipe may take forever
            raise ImageError(f"{name} is a directory, a pipe or a device, not a photo.")
        with open(path, "rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > FILE_LIMIT:
                raise ImageError(f"{name} has {size / 1e9:.1f} GB: more than the {FILE_LIMIT / 1e9:.1f} GB allowed.")
            return _decoded(file, near, name, smaller)
    except ImageError:
        raise
    except WebPhotoError as error:
        raise ImageError(str(error)) from error
    except _DAMAGED as error:
        hints = (hint for pattern, hint in _NO_PATHS.items() if path and re.match(pattern, path))
        hint = next(hints, "") if isinstance(error, OSError) else ""
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = textwrap.shorten(printable(reason), 300, placeholder=" …")
        raise ImageError(f"{name} cannot be read as a picture: {reason}{hint}") from error


def _decoded(file: IO[bytes], near: int | None, name: str, smaller: Callable) -> Image.Image:
    image = recognized(file, name)
    width, height = image.size
    if near is not None and image.format in ("JPEG", "MPO"):  # pillow-heif decodes a thumbnail, however large, at once
        image.draft("RGB", (near, near))  # a large JPEG is decoded at a fraction of its size
    pixel = _PIXEL.get(image.mode, 12 if "transparency" in image.info else 4) + _BESIDE.get(image.format or "", 0)
    need = image.width * image.height * pixel
    if image.info.get("progressive"):  # its coefficients are kept, whatever the size that is asked for
        need += width * height * 6
    if need > LIMIT:
        raise ImageError(
            f"{name} has {width} x {height} pixels: reading it takes {need / 1e9:.1f} GB of memory, more than the "
            f"{LIMIT / 1e9:.1f} GB of LIMIT in captioning/images/opening.py. Save it smaller, or as a baseline JPEG."
        )
    deep = image.mode in ("RGB", "RGBA", "LA") and ";16" in str(getattr(image, "tile", ""))
    with _LARGE if need > LIMIT // 16 else nullcontext():
        image.load()
        return _upright(brightened(image, name) if deep else image, smaller)


def _upright(image: Image.Image, smaller: Callable) -> Image.Image:
    """Reduce a picture before it is turned and converted, for which it is copied."""
    # `ImageOps.exif_transpose` also rewrites the other tags, and fails where one of them is damaged.
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    image.load()
    image = eight_bits(image)
    if image.mode in ("1", "P", "PA") or "transparency" in image.info:  # these do not average
        image = image.convert("RGBA" if image.has_transparency_data else "L" if image.mode == "1" else "RGB")
    image = smaller(image)
    if turn is not None:
        image = image.transpose(turn)
    if not image.has_transparency_data:
        return image.convert("RGB")
    info, image = image.info, image.convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.info = info
    return image
