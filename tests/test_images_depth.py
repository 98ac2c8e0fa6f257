"""Pictures of more than 8 bits are scaled by the numbers that are in them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from captioning.images import ImageError, load_pixels, open_image
from tests.pictures import png, saved


def ramp(high, kind=np.uint16):
    return np.linspace(0, high, 64 * 32).astype(kind).reshape(32, 64)


@pytest.mark.parametrize(("high", "bits"), [(255, 8), (1023, 10), (4095, 12), (4000, 12), (16383, 14), (65535, 16)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF, four bytes"])
def test_the_bits_that_hold_the_largest_value_count(high, bits, kind):
    numbers = ramp(high)
    image = Image.fromarray(numbers.astype(np.int32) if "," in kind else numbers)
    found = open_image(saved(image, kind.partition(",")[0]))
    assert np.array_equal(np.asarray(found)[..., 1], numbers >> (bits - 8))
    note = found.info.get("scaled")
    assert note is None if bits == 16 else note == f"values from 0 to {high}, read as 0 to {1 << bits}"


def deep_png(numbers):
    """Colors of 16 bits, which Pillow does not write."""
    channels = numbers.shape[2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    return png(numbers.shape[1], numbers.shape[0], 16, {3: 2, 4: 6}[channels], rows)


def upper(numbers, bits):
    """What is left of numbers of so many bits in the upper half of 16."""
    return np.minimum((numbers >> 8) << (16 - bits), 255)


@pytest.mark.parametrize(("high", "bits"), [(4095, 12), (16383, 14), (65535, 16)])
@pytest.mark.parametrize("channels", [3, 4])
def test_colors_of_16_bits_are_scaled_as_grey_is(high, bits, channels):
    numbers = np.stack([ramp(high), ramp(high)[::-1], ramp(high)[:, ::-1]], axis=2)
    if channels == 4:
        numbers = np.concatenate([numbers, np.full((32, 64, 1), 65535, np.uint16)], axis=2)
    found = open_image(deep_png(numbers))
    assert np.array_equal(np.asarray(found), upper(numbers[..., :3], bits))
    assert ("scaled" in found.info) == (bits < 16)


def deep_tiff(numbers, order, packed):
    """Colors of 16 bits in one strip."""
    data = numbers.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    height, width, channels = numbers.shape
    values = {256: width, 257: height, 258: 8 + 2 + 9 * 12 + 4, 259: 8 if packed else 1, 262: 2, 273: 200,
              277: channels, 278: height, 279: len(data)}  # fmt: skip
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, 3 if tag == 258 else 4, channels if tag == 258 else 1)
        + struct.pack(f"{order}I", value)
        for tag, value in values.items()
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 9) + entries + bytes(4)
    return (head + struct.pack(f"{order}3H", 16, 16, 16)).ljust(200, b"\0") + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("high", "bits"), [(4095, 12), (65535, 16)])
def test_so_are_those_of_tiff(high, bits, packed, order):
    numbers = np.stack([ramp(high), ramp(high)[::-1], ramp(high)[:, ::-1]], axis=2)
    assert np.array_equal(np.asarray(open_image(deep_tiff(numbers, order, packed))), upper(numbers, bits))


def test_colors_of_16_bits_that_are_nearly_black_are_refused():
    with pytest.raises(ImageError, match=r"dim\.png has colors of 16 bits, none above 1023 of 65535: .*in 8 bits"):
        load_pixels(deep_png(np.stack([ramp(1023)] * 3, axis=2)), 32, "dim.png")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, None), (0, 255, None), (0, 0.5, 128), (-3, 1200, 255), (0, 70000, 255), (1e-5, 1e30, 255)],
)
def test_floats_are_scaled_by_what_is_in_them(low, high, expected):
    numbers = np.linspace(low, high, 64 * 32, dtype=np.float32).reshape(32, 64)
    numbers[3, 5], numbers[4, 5] = np.nan, np.inf
    found = open_image(saved(Image.fromarray(numbers), "TIFF"))
    pixels = np.asarray(found)[..., 0].astype(float)
    assert pixels[0, 0] == 0 and pixels[-1, -1] == (expected or 255) and pixels[3, 5] == 0
    assert (np.diff(np.delete(pixels.ravel(), [3 * 64 + 5, 4 * 64 + 5])) >= 0).all() and "scaled" in found.info


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("value", [0, 1, 1000, -5, np.nan])
@pytest.mark.filterwarnings("error")
def test_a_picture_of_one_value_is_fine(kind, value):
    if kind is not np.float32 and not (value >= (0 if kind is np.uint16 else -9)):
        pytest.skip("no such number")
    pixels = np.asarray(open_image(saved(Image.fromarray(np.full((8, 8), value, kind)), "TIFF")))
    assert pixels.shape == (8, 8, 3) and pixels.min() == pixels.max()
