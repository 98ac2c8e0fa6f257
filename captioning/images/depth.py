"""Pictures of more than 8 bits: scaled by the numbers that are in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageChops

STRIP = 1 << 20  # pixels that are converted at a time


def eight_bits(image: Image.Image, low: Image.Image | None) -> tuple[Callable, dict]:
    """Return what cuts a box out of the picture, in 8 bits, and how it is scaled for it."""
    if low:
        black, white, info = range_of(0, 256 * largest(image) + 255, whole=True)
        up, down = [min(255, value * 65536 // white) for value in range(256)], [v * 256 // white for v in range(256)]
        bands = len(image.getbands())
        return lambda box: ImageChops.add(image.crop(box).point(up * bands), low.crop(box).point(down * bands)), info
    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return image.crop, {}
    image.load()
    rows = max(1, STRIP // image.width)
    strips = (image.crop((0, top, image.width, min(top + rows, image.height))) for top in range(0, image.height, rows))
    ends = [ends_of(np.asarray(strip)) for strip in strips]
    black, white, info = range_of(min(low for low, _ in ends), max(high for _, high in ends), image.mode != "F")
    return lambda box: Image.fromarray(scaled(np.asarray(image.crop(box)), black, white)), info


def largest(image: Image.Image) -> int:
    return max(high for _, high in image.getextrema()[:3])


def swapped(args: Any) -> Any:
    """Return a decoder's arguments, so that it reads the other byte of each number."""
    if isinstance(args, tuple):
        return (swapped(args[0]), *args[1:])
    return args[:-1] + ("L" if args.endswith("B") else "B")  # N is the machine's own order: L on all that is in use


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
    array = np.nan_to_num(array.astype(np.float64), nan=black, posinf=white, neginf=black)
    return np.clip((array - black) * 256 / ((white - black) or 1), 0, 255).astype(np.uint8)
