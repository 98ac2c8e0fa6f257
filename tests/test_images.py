"""Any file becomes the right pixels, or an `ImageError` with its name; nothing else."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from captioning.images import ImageError, load_pixels, open_image, shrink
from tests.pictures import png, turned

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 128, 0), (0, 0, 255), (90, 90, 90)
X_RESOLUTION = 0x011A


@pytest.fixture
def saved(tmp_path):
    def save(image, name="photo.png", **options):
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def noise(width, height, mode="RGB", seed=0):
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(width * height * len(mode)))


def quarters():
    """Four colours, 16 x 8 pixels each: every turn and mirroring shows."""
    pixels = np.empty((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[:8, 16:], pixels[8:, :16], pixels[8:, 16:] = RED, GREEN, BLUE, GREY
    return pixels


def stored(upright, orientation):
    """Lay a picture down as EXIF defines it: row 0 and column 0 are these sides of the upright picture."""
    row, column = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    pixels = upright if row in ("top", "bottom") else upright.transpose(1, 0, 2)
    rows = slice(None, None, -1 if row in ("bottom", "right") else 1)
    columns = slice(None, None, -1 if column in ("bottom", "right") else 1)
    return Image.fromarray(np.ascontiguousarray(pixels[rows, columns]))


def test_pixels_of_the_right_size_are_kept(saved):
    picture = noise(24, 24)
    pixels = load_pixels(saved(picture), 24)
    assert pixels.dtype == np.uint8 and pixels.shape == (24, 24, 3)
    assert np.array_equal(pixels, np.asarray(picture))


def test_the_whole_picture_is_squeezed(saved):
    pixels = load_pixels(saved(Image.fromarray(quarters())), 8)
    assert [tuple(pixels[y, x]) for y in (0, 7) for x in (0, 7)] == [RED, GREEN, BLUE, GREY]


def test_a_tiny_picture_is_stretched(saved):
    assert (load_pixels(saved(Image.new("RGB", (1, 1), GREEN)), 8) == GREEN).all()


@pytest.mark.parametrize(
    ("picture", "name"),
    [(noise(16, 16, "L"), "grey.png"), (Image.new("L", (16, 16), 77), "grey.jpg"), (noise(16, 16, "L"), "grey.gif")],
)
def test_grey_gives_three_equal_channels(picture, name, saved):
    pixels = load_pixels(saved(picture, name), 16)
    assert np.array_equal(pixels, np.repeat(np.asarray(picture)[..., None], 3, axis=2))


@pytest.mark.parametrize("name", ["print.jpg", "print.tif"])
def test_cmyk_becomes_rgb(name, saved):
    """Magenta and yellow ink make red; the inks of a JPEG are rounded."""
    pixels = load_pixels(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), name), 16).astype(int)
    assert np.abs(pixels - RED).max() <= 3


def test_a_palette_is_looked_up(saved):
    picture = Image.fromarray(quarters()).quantize(4)
    assert picture.mode == "P"
    assert np.array_equal(np.asarray(open_image(saved(picture))), quarters())


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), RED),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 51)), (255, 204, 204)),
        (Image.new("LA", (4, 4), (0, 51)), (204, 204, 204)),
    ],
)
def test_transparent_pictures_lie_on_white(picture, expected, saved):
    assert (load_pixels(saved(picture), 4) == expected).all()


def test_a_transparent_palette_entry_is_white(saved):
    picture = Image.fromarray(quarters()).quantize(4)
    path = saved(picture, "p.gif", transparency=picture.getpixel((0, 0)))
    pixels = load_pixels(path, 32)
    assert tuple(pixels[0, 0]) == (255, 255, 255) and tuple(pixels[0, 31]) == GREEN


def test_16_bit_grey_with_a_transparent_level_is_scaled(tmp_path):
    path = tmp_path / "deep.png"
    path.write_bytes(png(4, 1, 16, 0, struct.pack(">x4H", 0, 256, 32768, 65535), struct.pack(">H", 65535)))
    assert np.asarray(open_image(path))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_transparent_colour_is_white(tmp_path):
    path = tmp_path / "key.png"
    path.write_bytes(png(2, 1, 8, 2, bytes([0, *RED, *BLUE]), struct.pack(">3H", *RED)))
    assert np.asarray(open_image(path))[0].tolist() == [[255, 255, 255], list(BLUE)]


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 9, 77])
def test_every_orientation_is_set_upright_and_an_unknown_one_ignored(orientation, saved):
    path = saved(stored(quarters(), orientation if orientation in range(1, 9) else 1), exif=turned(orientation))
    assert np.array_equal(np.asarray(open_image(path)), quarters())


@pytest.mark.parametrize("name", ["turned.jpg", "turned.tif", "turned.webp"])
def test_other_formats_are_set_upright_once(name, saved):
    path = saved(stored(quarters(), 6), name, exif=turned())
    pixels = load_pixels(path, 32).astype(int)
    corners = [pixels[y, x] for y in (2, 29) for x in (2, 29)]
    assert np.abs(np.array(corners) - [RED, GREEN, BLUE, GREY]).max() < 12


def test_a_photo_with_damaged_exif_is_still_a_photo(tmp_path):
    """Its resolution is a text: Pillow's own `exif_transpose` fails when it writes that back."""
    tags = turned()
    tags[X_RESOLUTION] = 72.0
    file = io.BytesIO()
    stored(quarters(), 6).save(file, "PNG", exif=tags)
    damaged = bytearray(file.getvalue())
    entry = damaged.index(struct.pack("<HH", X_RESOLUTION, 5) if b"II*\0" in damaged else b"\x01\x1a\x00\x05")
    little = b"II*\0" in damaged
    damaged[entry + 2 : entry + 4] = struct.pack("<H" if little else ">H", 2)
    start = damaged.index(b"eXIf")
    (length,) = struct.unpack(">I", damaged[start - 4 : start])
    end = start + 4 + length
    damaged[end : end + 4] = struct.pack(">I", zlib.crc32(damaged[start:end]))
    (tmp_path / "damaged.png").write_bytes(damaged)
    with Image.open(tmp_path / "damaged.png") as image, pytest.raises((TypeError, struct.error)):
        ImageOps.exif_transpose(image)
    assert np.array_equal(np.asarray(open_image(tmp_path / "damaged.png")), quarters())


def test_a_large_jpeg_read_at_a_fraction_looks_the_same(saved):
    smooth = noise(6, 4).resize((1200, 800), Image.Resampling.BICUBIC)
    path = saved(smooth, "large.jpg", quality=95)
    assert open_image(path).size == (1200, 800)
    assert 300 <= min(open_image(path, near=300).size) < 800
    whole = open_image(path).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(load_pixels(path, 64).astype(int) - np.asarray(whole)).mean() < 2


def test_broken_bytes_are_called_by_the_name_that_is_given():
    with pytest.raises(ImageError, match=r"^dog\.jpg is not a picture"):
        load_pixels(b"text", 32, "dog.jpg")
    with pytest.raises(ImageError, match=r"^The file is not a picture"):
        load_pixels(b"text", 32)


@pytest.mark.parametrize("error", [EOFError, IndexError, KeyError, OverflowError, AttributeError, zlib.error])
def test_whatever_a_decoder_raises_names_the_file(error, saved, monkeypatch):
    def decode(*_):
        raise error("of the decoder")

    path = saved(noise(4, 4))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decode)
    with pytest.raises(ImageError, match=f"{path.name} cannot be read as a picture: .*of the decoder"):
        open_image(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_random_damage_is_an_image_error_or_nothing(kind, tmp_path):
    chance, file, path = random.Random(kind), io.BytesIO(), tmp_path / "photo"
    noise(40, 30).save(file, kind, **({} if kind == "GIF" else {"exif": turned()}))
    whole, refused = file.getvalue(), 0
    for _ in range(150):
        damaged = bytearray(whole[: chance.choice((len(whole), chance.randrange(1, len(whole))))])
        for _ in range(chance.randint(1, 5)):
            damaged[chance.randrange(min(len(damaged), 200))] = chance.choice((0, 2, 255))
        path.write_bytes(damaged)
        try:
            assert load_pixels(path, 16).shape == (16, 16, 3)
        except ImageError:
            refused += 1
    assert refused > 30


def test_shrink(tmp_path):
    large, small, png = tmp_path / "large.jpg", tmp_path / "small.jpg", tmp_path / "png.jpg"
    Image.effect_noise((640, 480), 30).convert("RGB").save(large)
    Image.new("RGB", (64, 48)).save(small)
    Image.new("RGBA", (300, 900), (255, 0, 0, 0)).save(png, "PNG")
    kept = small.read_bytes()
    for path in (large, small, png):
        shrink(path, 100)
    assert Image.open(large).size == (100, 75) and small.read_bytes() == kept
    assert Image.open(png).size == (33, 100) and Image.open(png).format == "JPEG"
    assert Image.open(png).getpixel((5, 5)) == (255, 255, 255)


def test_shrink_turns_a_photo_upright(tmp_path):
    path = tmp_path / "turned.jpg"
    Image.new("RGB", (640, 480)).save(path, exif=turned())
    shrink(path, 100)
    assert Image.open(path).size == (75, 100) and not Image.open(path).getexif()
