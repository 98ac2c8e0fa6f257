"""Only photos' formats are opened, in a bounded amount of memory; anything else is told for what it is."""

import re
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from captioning.images import EXTENSIONS, ImageError, load_pixels, open_image, opening
from tests.pictures import chunk, png, saved, turned, writable


def brand(major, *others):
    """The start of a file of the family of MP4."""
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + major + b"\0\0\0\0" + b"".join(others) + bytes(60)


OTHERS = {
    b"": "an empty file",
    brand(b"heic", b"mif1", b"heic"): "HEIC|HEIF",
    brand(b"mif1", b"mif1", b"heic"): "HEIC|HEIF",
    brand(b"heix"): "HEIC|HEIF",
    brand(b"msf1", b"hevc"): "HEIC|HEIF",
    brand(b"isom", b"iso2", b"avc1"): "video",
    brand(b"qt  "): "video",
    b"\x1aE\xdf\xa3" + bytes(40): "video",
    b"RIFF\0\0\0\0AVI LIST" + bytes(40): "video",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n": "PostScript",
    b"\xc5\xd0\xd3\xc6" + bytes(40): "PostScript",
    b"%PDF-1.7\n": "PDF",
    b"\xd7\xcd\xc6\x9a" + bytes(40): "metafile",
    b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(40): "metafile",
    b'<svg xmlns="http://www.w3.org/2000/svg">': "SVG",
    b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg>': "SVG",
    b"<html>sign in</html>": "web page",
    b"\xef\xbb\xbf\r\n <!DOCTYPE html>\n<html>": "web page",
    b"<!-- a comment -->\n<HTML><head>": "web page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "web page",
    b"8BPS\0\x01" + bytes(40): "Photoshop",
    b"\0\0\1\0\1\0" + bytes(40): "icon",
    saved(Image.new("RGB", (8, 8)), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"): "JPEG .*12-bit",
    saved(Image.new("RGB", (8, 8)), "TIFF")[:6]: "a TIFF file, damaged",
    b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40): "JPEG 2000",
    b"PK\x03\x04" + bytes(40): "archive",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "Git LFS",
    b'{"error": "quota exceeded"}': "a text",
    "Bitte anmelden: später".encode(): "a text",
    bytes(range(256)): "of an unknown format",
}  # fmt: skip


@pytest.mark.parametrize(("start", "told"), OTHERS.items(), ids=OTHERS.values())
def test_what_is_called_jpg_and_is_none_is_told_for_what_it_is(start, told, tmp_path):
    path = tmp_path / "dog.jpg"
    path.write_bytes(start)
    with pytest.raises(ImageError, match=rf"dog\.jpg is not a picture that can be read: .*{told}"):
        open_image(path)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "TGA", "PCX", "ICNS", "SGI", "JPEG2000"])
def test_other_formats_of_pillow_are_not_opened(kind, tmp_path, monkeypatch):
    """Neither are those that start no program: each decoder more is one more that a file can attack."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "dog.jpg"
    path.write_bytes(saved(Image.new("RGB", (32, 32), "red"), kind))
    with pytest.raises(ImageError, match="not a picture that can be read"):
        open_image(path)


@pytest.mark.parametrize(
    "kind", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", *writable("AVIF", "HEIF")]
)
def test_the_formats_of_photos_are_opened_whatever_the_files_name(kind, tmp_path):
    path = tmp_path / "dog.txt"
    path.write_bytes(saved(Image.new("RGB", (32, 32), (200, 30, 30)), kind))
    assert np.abs(np.asarray(open_image(path)).astype(int) - (200, 30, 30)).max() < 6


def test_the_extensions_are_those_of_what_is_read():
    assert {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".mpo"} <= EXTENSIONS
    assert not {".eps", ".ps", ".pdf", ".wmf", ".emf", ".svg", ".txt", ".mpg", ".h5"} & EXTENSIONS
    assert all(ending == ending.lower() for ending in EXTENSIONS)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", *writable("AVIF", "HEIF")])
def test_of_moving_pictures_the_first_frame_is_read(kind):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue", "green")]
    pixels = load_pixels(saved(frames[0], kind, save_all=True, append_images=frames[1:]), 16).astype(int)
    assert np.abs(pixels - (255, 0, 0)).max() < 8


# Memory

MODES = {
    "RGBA": {}, "LA": {}, "P": {"transparency": 0}, "P ": {}, "I;16": {}, "I": {"kind": "TIFF"},
    "CMYK": {"kind": "TIFF"}, "F": {"kind": "TIFF"}, "1": {}, "L": {}, "RGB": {"exif": turned()},
    "RGB ": {"transparency": (0, 0, 0)}, "RGBA ": {"exif": turned()},
}  # fmt: skip


MEASURE = """
import re, resource, sys
from captioning.images import load_pixels
def peak():
    if sys.platform == "linux":  # where resource counts what the parent took, too
        return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
small, large = sys.argv[1:]
load_pixels(small, 299)
before = peak()
load_pixels(large, 299)
print(peak() - before)
"""


@pytest.mark.parametrize("name", MODES)
def test_the_memory_that_a_picture_takes_is_what_was_counted_for_it(name, tmp_path, monkeypatch):
    """24 megapixels."""
    options = dict(MODES[name])
    mode, kind = name.strip(), options.pop("kind", "PNG")
    for file, size in (("small", (1300, 1300)), ("large", (6000, 4000))):
        Image.new(mode, size).save(tmp_path / file, kind, compress_level=1, **options)
    monkeypatch.setattr(opening, "LIMIT", 1)
    with pytest.raises(ImageError) as refused:
        load_pixels(tmp_path / "large", 299)
    counted = float(re.search(r"takes ([\d.]+) GB", str(refused.value))[1])
    files = [str(tmp_path / "small"), str(tmp_path / "large")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *files], capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1e9 < counted + 0.08, done.stdout  # the number is rounded


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1"])
def test_a_picture_that_is_reduced_first_looks_like_the_whole_one(mode, orientation):
    colors = Image.fromarray(np.random.default_rng(1).integers(0, 256, (7, 9, 4), np.uint8))
    image = colors.resize((397, 211), Image.Resampling.BICUBIC).convert("RGBA" if mode == "RGBA" else "RGB")
    image = image.convert(mode)
    lies = {"exif": turned(orientation)} if orientation and mode != "CMYK" else {}
    data = saved(image, "TIFF" if mode == "CMYK" else "PNG", **lies)
    whole = image
    if mode == "RGBA":
        whole = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    whole = whole.convert("RGB")
    if orientation in opening._UPRIGHT and mode != "CMYK":
        whole = whole.transpose(opening._UPRIGHT[orientation])
    expected = np.asarray(whole.resize((23, 23), Image.Resampling.BILINEAR, reducing_gap=2.0)).astype(int)
    assert np.abs(load_pixels(data, 23) - expected).mean() < 2
    near = open_image(data, near=23)
    assert near.mode == "RGB" and 23 <= min(near.size) < 46
    assert np.abs(np.asarray(near.resize((23, 23), Image.Resampling.BILINEAR)) - expected).mean() < 12


@pytest.mark.parametrize("size", [(50_000, 50_000), (2_000_000, 200), (17_000, 17_000)])
def test_a_picture_that_needs_too_much_memory_is_refused_before_it_is_decoded(size, tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    path.write_bytes(png(*size))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=rf"huge\.png has {size[0]} x {size[1]} pixels: .* GB .* Save it smaller"):
        load_pixels(path, 32)


@pytest.mark.filterwarnings("error")
def test_a_jpeg_of_200_megapixels_is_read_at_a_fraction():
    """A phone's; Pillow itself calls it a decompression bomb."""
    whole = saved(Image.new("L", (16320, 12240), 90), "JPEG")
    assert abs(int(load_pixels(whole, 299).mean()) - 90) < 2


def test_a_progressive_jpeg_counts_with_its_coefficients(monkeypatch):
    data = saved(Image.new("RGB", (800, 600)), "JPEG", progressive=True)
    monkeypatch.setattr(opening, "LIMIT", 800 * 600 * 6)
    with pytest.raises(ImageError, match=r"800 x 600 pixels"):
        load_pixels(data, 32)
    monkeypatch.setattr(opening, "LIMIT", 800 * 600 * 6 + 100 * 75 * 4)
    assert load_pixels(data, 32).shape == (32, 32, 3)


@pytest.mark.parametrize(("share", "at_a_time"), [(15, 1), (17, 8)])
def test_threads_read_large_pictures_one_at_a_time(share, at_a_time, monkeypatch):
    monkeypatch.setattr(opening, "LIMIT", share * 64 * 64 * 4)
    reading, most, load = [], [], PngImagePlugin.PngImageFile.load

    def counted(image):
        reading.append(1)
        most.append(len(reading))
        threading.Event().wait(0.02)
        reading.pop()
        return load(image)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", counted)
    data, done = saved(Image.new("RGB", (64, 64)), "PNG"), []
    threads = [threading.Thread(target=lambda: done.append(load_pixels(data, 64))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8 and (max(most) == 1) == (at_a_time == 1)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_that_swells_when_it_is_unpacked_names_the_file(kind, tmp_path):
    bomb = zlib.compress(bytes(100_000_000))
    body = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind] + bomb
    whole = saved(Image.new("RGB", (4, 4)), "PNG")
    end = 8 + 25  # behind IHDR
    (tmp_path / "bomb.png").write_bytes(whole[:end] + chunk(kind, body) + whole[end:])
    with pytest.raises(ImageError, match=r"bomb\.png cannot be read as a picture: Decompressed data too large"):
        open_image(tmp_path / "bomb.png")
