"""Pictures of more than 8 bits: scaled by the numbers that are in them."""

from typing import Any

import numpy as np
from PIL import Image

from captioning.images.formats import ImageError


def eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture in 8 bits per channel; `info["scaled"]` notes a range that is not a format's whole one."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return image
    array = np.asarray(image)
    black, white, info = range_of(*ends_of(array), whole=image.mode != "F")
    image = Image.fromarray(scaled(array, black, white))
    image.info = info
    return image


def brightened(image: Image.Image, name: str) -> Image.Image:
    """Return colors of 16 bits, of which Pillow reads the upper 8, scaled as `eight_bits` does it."""
    bands = image.getbands()
    colors = [band for band in bands if band != "A"]
    extremes: list[Any] = [image.getchannel(band).getextrema() for band in colors]  # of one band: two numbers
    largest = max(high for _, high in extremes)
    if largest >= 64:
        return image
    if largest < 8:
        raise ImageError(
            f"{name} has colors of 16 bits, none above {256 * largest + 255} of 65535: too dark to be read. Save it in "
            "8 bits."
        )
    _, white, info = range_of(0, 256 * largest + 255, whole=True)
    table, same = [min(255, value * 65536 // white) for value in range(256)], list(range(256))
    image = image.point([value for band in bands for value in (table if band in colors else same)])
    image.info |= info
    return image


def ends_of(array: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest finite number."""
    array = array[np.isfinite(array)]
    return (array.min().item(), array.max().item()) if array.size else (0, 0)


def range_of(low: float, high: float, whole: bool) -> tuple[float, float, dict]:
    """Return which number is black, which would be one too light for white, and both as a note for people."""
    black, white = low, high
    if low >= 0 and high < 65536 and whole:
        black, white = 0, next(1 << bits for bits in (8, 10, 12, 14, 16) if high < 1 << bits)
    elif low >= 0 and high <= 255 and not whole:
        black, white = 0, 1 if high <= 1 else 256
    note = f"values from {low:g} to {high:g}, read as {black:g} to {white:g}"
    return black, white, {} if whole and white == 65536 else {"scaled": note}


def scaled(array: np.ndarray, black: float, white: float) -> np.ndarray:
    array = array.astype(np.float64)
    array -= black
    array *= 256 / ((white - black) or 1)
    np.nan_to_num(array, copy=False, nan=0)
    return np.clip(array, 0, 255, out=array).astype(np.uint8)
