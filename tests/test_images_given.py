"""The calls that people make: one picture or several, as paths, bytes, pictures, arrays."""

import io
import os
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from captioning.images import ImageError, each, is_one, load_pixels, opening
from tests.pictures import saved, turned

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
GREY = PICTURE[..., 0]


PNG = saved(Image.fromarray(PICTURE), "PNG")


class Tensor:
    """As those of TensorFlow and Torch."""

    def __array__(self, dtype=None, copy=None):
        return PICTURE


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    for name in ("b.png", "a.PNG", "c.jpg"):
        (tmp_path / "photos" / name).write_bytes(PNG)
    (tmp_path / "photos" / "captions.csv").write_text("image,caption")
    return tmp_path / "photos"


ONE = {
    "bytes": PNG, "bytearray": bytearray(PNG), "memoryview": memoryview(PNG), "PIL": Image.fromarray(PICTURE),
    "uint8": PICTURE, "floats to 1": PICTURE / 255, "floats to 255": PICTURE.astype(np.float32),
    "int64": PICTURE.astype(int), "one more axis of alpha": np.dstack([PICTURE, np.full((24, 24), 255, np.uint8)]),
    "not contiguous": np.ascontiguousarray(PICTURE.transpose(1, 0, 2)).transpose(1, 0, 2), "tensor": Tensor(),
}  # fmt: skip


@pytest.mark.parametrize("given", ONE.values(), ids=ONE)
def test_one_picture_in_any_form(given):
    assert is_one(given) and len(list(each(given))) == 1
    assert np.abs(load_pixels(given, 24).astype(int) - PICTURE).max() <= 1


@pytest.mark.parametrize("given", [GREY, GREY[..., None], GREY / 255, GREY.astype(np.uint16) * 257])
def test_grey_arrays(given):
    assert np.abs(load_pixels(given, 24).astype(int) - GREY[..., None]).max() <= 1


def test_a_mask_is_black_and_white():
    assert np.unique(load_pixels(GREY > 99, 24)).tolist() == [0, 255]


def test_files(folder):
    path = folder / "b.png"
    with path.open("rb") as file:
        for given in (path, str(path), np.str_(path), np.array(str(path)), file):
            assert is_one(given) and np.array_equal(load_pixels(given, 24), PICTURE)
    with path.open(encoding="latin-1") as file, pytest.raises(ImageError, match=r"str, not a picture"):
        load_pixels(io.StringIO("text"), 24)


def test_a_picture_that_pillow_has_opened_is_left_as_it_was_and_set_upright(folder):
    Image.new("RGB", (640, 320), "red").save(folder / "turned.jpg", exif=turned())
    image = Image.open(folder / "turned.jpg")
    assert np.abs(load_pixels(image, 24).astype(int) - load_pixels(folder / "turned.jpg", 24)).max() < 3
    assert image.size == (640, 320)


def test_several(folder):
    files = [folder / name for name in ("a.PNG", "b.png", "c.jpg")]
    for given in (files, tuple(files), iter(files), (file for file in files), np.array([str(f) for f in files]),
                  OrderedDict.fromkeys(files).keys(), folder, str(folder)):  # fmt: skip
        assert not is_one(given) and [str(file) for file in each(given)] == [str(file) for file in files]
    batch = np.stack([PICTURE] * 3)
    assert not is_one(batch) and [picture.shape for picture in each(batch)] == [(24, 24, 3)] * 3
    for none in ([], (), iter(()), batch[:0]):
        assert not is_one(none) and list(each(none)) == []


def test_a_folder_without_photos_or_that_cannot_be_read(folder, monkeypatch):
    with pytest.raises(ImageError, match=r"inner holds no photos \(.*\.jpg"):
        list(each(folder / "inner"))
    monkeypatch.setattr(Path, "iterdir", lambda folder: exec("raise PermissionError(13, 'Permission denied')"))
    with pytest.raises(ImageError, match=r"inner cannot be read as a folder of photos: Permission denied\.$"):
        list(each(folder / "inner"))


def test_a_folder_of_a_phone_and_of_a_mac(folder):
    """HEIC is not left out in silence; what else only looks like a photo is."""
    (folder / "._b.png").write_bytes(b"a note of macOS")
    (folder / "d.jpg").mkdir()
    (folder / "e.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    assert [path.name for path in each(folder)] == ["a.PNG", "b.png", "c.jpg", "e.HEIC"]
    with pytest.raises(ImageError, match=r"HEIC, .*pillow-heif|a HEIF file, damaged"):
        load_pixels(folder / "e.HEIC", 24)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", r"base64\.b64decode"),
        ("~/dog.jpg", "expanduser"),
        ("photos/*.jpg", r"glob\.glob"),
    ],
)
def test_what_is_no_path_says_what_to_give(path, told):
    with pytest.raises(ImageError, match=told):
        load_pixels(path, 24)


def test_what_has_no_end_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for device in (tmp_path / "pipe.jpg", "/dev/zero"):
        with pytest.raises(ImageError, match="a directory, a pipe or a device"):
            load_pixels(device, 24)
    asked = []
    endless = SimpleNamespace(read=lambda size=-1: asked.append(size) or bytes(4096))
    with pytest.raises(ImageError, match="not a picture"):
        load_pixels(endless, 24)
    assert asked == [opening.LIMIT]


def test_an_error_without_a_text_is_named(monkeypatch):
    monkeypatch.setattr(opening, "recognized", lambda *_: exec("raise MemoryError"))
    with pytest.raises(ImageError, match="cannot be read as a picture: MemoryError"):
        load_pixels(b"", 24)


@pytest.mark.parametrize("given", [None, 5, 1.5, {"a": 1}, {"a.jpg"}, object()], ids=lambda given: type(given).__name__)
def test_anything_else_says_what_is_accepted(given):
    with pytest.raises(TypeError, match=r"is not a picture\. Accepted: a path, .* a generator, a folder"):
        list(each(given))
    with pytest.raises(ImageError, match=r"Picture 3 is .*Accepted: a path"):
        load_pixels(given, 24, "Picture 3")


@pytest.mark.parametrize(
    "array",
    [np.zeros(5), np.zeros((3, 24, 24)), np.zeros((24, 24, 2)), np.zeros((2, 24, 24, 3)), np.zeros((0, 24, 3)),
     np.zeros((24, 24, 3), complex), np.array(7)],
    ids=lambda array: f"{array.dtype} {array.shape}",
)  # fmt: skip
def test_arrays_of_other_shapes_are_named(array):
    with pytest.raises(ImageError) as caught:
        load_pixels(array, 24, "Picture 3")
    assert f"Picture 3 is an array {array.shape}" in str(caught.value) and "channels last" in str(caught.value)


@pytest.mark.parametrize("low_high", [(-1, 1), (0, 300.5), (0, np.nan), (0, np.inf), (-5, 200)])
def test_numbers_that_are_no_colors_are_named(low_high):
    array = np.zeros((4, 4, 3))
    array[0, 0, :2] = low_high
    with pytest.raises(ImageError, match=r"The picture holds numbers from .* 0 to 1, or 0 to 255, are needed"):
        load_pixels(array, 24)
