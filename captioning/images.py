"""Open, check, resize and preprocess pictures."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

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
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class ImageError(ValueError):
    """A file that should be a picture cannot be read as one."""


def open_image(source: Path | str | bytes, near: int | None = None, name: str | None = None) -> Image.Image:
    """Open a picture, upright and in RGB.

    Greyscale, palette and CMYK pictures are converted; a transparent one is laid on white.

    Args:
        source: the file, or its bytes.
        near: a side in pixels that is large enough; lets a large JPEG be decoded at a fraction of its size.
        name: what messages call it; the path where there is none.

    Raises:
        ImageError: the file is missing, truncated or no picture; the message names it.
    """
    name = name or ("The file" if isinstance(source, bytes) else str(source))
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if near is not None:
                image.draft("RGB", (near, near))
            image.load()
            return _to_rgb(_upright(image))
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture that Pillow can read.") from error
    except _DAMAGED as error:
        raise ImageError(f"{name} cannot be read as a picture: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    # `ImageOps.exif_transpose` also rewrites the other tags, and fails where one of them is damaged.
    method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey to white when it converts: scale it to 8 bits first.
        image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def load_pixels(source: Path | str | bytes, size: int, name: str | None = None) -> np.ndarray:
    """Return the whole picture squeezed to a square: uint8 (size, size, 3).

    Args:
        source, name: see `open_image`.
        size: side of the square, pixels.

    Raises:
        ImageError: see `open_image`.
    """
    image = open_image(source, size, name)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0))


def shrink(path: Path, long_side: int) -> None:
    """Write a picture over itself as an upright JPEG whose longer side has at most `long_side` pixels.

    A JPEG that is small enough stays as it is, byte for byte.

    Raises:
        ImageError: see `open_image`.
    """
    image = open_image(path, near=long_side)
    with Image.open(path) as original:
        if original.format == "JPEG" and max(original.size) <= long_side:
            return
    scale = min(1.0, long_side / max(image.size))
    size = tuple(max(1, round(scale * side)) for side in image.size)
    image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0).save(path, "JPEG", quality=90)
