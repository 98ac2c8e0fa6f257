"""AVIF and HEIC, the formats of phones: upright, in 8 bits, within the same limits, on every way in."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from captioning.datasets import folder, photo_check
from captioning.fetching import photo as web
from captioning.images import ImageError, each, load_pixels, open_image, opening
from tests.pictures import saved, turned, writable
from tests.server import Server

CORNERS = Image.fromarray(np.array([[[220, 30, 30], [30, 200, 30]], [[30, 30, 220], [230, 230, 30]]], np.uint8))
PHOTO = CORNERS.resize((96, 64), Image.Resampling.NEAREST)
ENDING = {"AVIF": ".avif", "HEIF": ".HEIC"}
KINDS = writable("AVIF", "HEIF")


def corners(image):
    """Return the colors in the middles of the quarters."""
    return np.asarray(image.convert("RGB").resize((2, 2), Image.Resampling.BOX)).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_set_upright(kind, orientation):
    turn = opening._UPRIGHT.get(orientation)
    expected = PHOTO.transpose(turn) if turn is not None else PHOTO
    found = open_image(saved(PHOTO, kind, exif=turned(orientation).tobytes()))
    assert found.size == expected.size and np.abs(corners(found) - corners(expected)).max() < 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_transparent_one_is_laid_on_white(kind):
    image = PHOTO.convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 32))
    assert corners(open_image(saved(image, kind)))[0, 0].min() > 240


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_needs_too_much_memory_is_refused_before_it_is_decoded(kind, monkeypatch):
    """A thumbnail in it is not decoded either, as pillow-heif does when it is asked for a smaller picture."""
    data = saved(PHOTO, kind, **({"thumbnails": [48]} if kind == "HEIF" else {}))
    monkeypatch.setattr(opening, "LIMIT", 96 * 64 * 12 - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"has 96 x 64 pixels: .* GB .* Save it smaller"):
        load_pixels(data, 16)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_damaged_one_is_told_in_one_line(kind, share, tmp_path):
    data = saved(PHOTO, kind)
    (tmp_path / "dog.jpg").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageError, match=r"dog\.jpg (is not a picture that can be|cannot be) read.*") as error:
        load_pixels(tmp_path / "dog.jpg", 16)
    assert "\n" not in str(error.value) and "video" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_folders_and_addresses_may_hold_them(kind, tmp_path, monkeypatch):
    root = tmp_path / "photos"
    root.mkdir()
    file = root / f"IMG_1{ENDING[kind]}"
    file.write_bytes(saved(PHOTO, kind))
    (root / "captions.csv").write_text(f"image,caption\nimg_1{ENDING[kind].lower()},A dog.\n")
    assert list(each(root)) == [file]
    dataset = photo_check.check(folder.read(root), tmp_path / "known", tmp_path)
    assert [record.file for record in dataset.records] == [file] and not dataset.findings
    monkeypatch.setattr(web, "is_public", lambda address: address == "127.0.0.1")
    with Server() as server:
        server.files["/photo"] = file.read_bytes()
        assert np.array_equal(load_pixels(server.url("/photo"), 32), load_pixels(file, 32))


@pytest.mark.parametrize("kind", writable("HEIF"))
def test_colors_of_more_than_8_bits_are_read(kind):
    import pillow_heif  # here only: other tests need none

    wide = np.asarray(PHOTO).astype(np.uint16) << 8
    file = io.BytesIO()
    pillow_heif.encode("RGB;16", PHOTO.size, wide.tobytes(), file, quality=-1)
    assert np.abs(corners(open_image(file.getvalue())) - corners(PHOTO)).max() < 12


def test_without_pillow_heif_the_way_out_is_told(monkeypatch):
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"):
        with pytest.raises(ImageError, match=r"it is HEIC, .*pip install pillow-heif"):
            open_image(b"\0\0\0\x18ftyp" + brands + bytes(60))
