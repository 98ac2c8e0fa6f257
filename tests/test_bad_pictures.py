"""A batch in which nearly everything is wrong: each picture is captioned or told in one line, and the rest is done."""

import re
import time

import numpy as np
import pytest
from PIL import Image, features

from captioning import bundle
from captioning.bundle import Answer
from captioning.fetching import photo
from captioning.images import ImageError, opening
from tests.pictures import png, saved, turned
from tests.server import Fault, Server

COLORS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
PHOTO = Image.fromarray(COLORS)
JPEG = saved(PHOTO, "JPEG")


# Name -> bytes, and what is told of them; None: they are captioned.
FILES = {
    "text.jpg": (b"a dog, perhaps", "it is a text"),
    "truncated.jpg": (JPEG[:500], "truncated"),
    "empty.jpg": (b"", "an empty file"),
    "huge.png": (png(50_000, 50_000), "50000 x 50000 pixels"),
    "cmyk.jpg": (saved(PHOTO.convert("CMYK"), "JPEG"), None),
    "moving.gif": (saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)]), None),
    "16 bit.png": (saved(Image.fromarray(COLORS[..., 0].astype(np.uint16) * 257), "PNG"), None),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC|HEIF"),
    "new.avif": (saved(PHOTO, "AVIF"), None) if features.check("avif") else (b"text", "it is a text"),
    "turned.jpg": (saved(PHOTO, "JPEG", exif=turned()), None),
    "dot.png": (saved(Image.new("RGB", (1, 1)), "PNG"), None),
    "line.png": (saved(Image.new("RGB", (20_000, 10)), "PNG"), None),
    "alpha.png": (saved(PHOTO.convert("RGBA"), "PNG"), None),
    "palette.png": (saved(PHOTO.quantize(16), "PNG"), None),
    "Hündchen  im Schnee 🐕‍🦺.jpg": (JPEG, None),
    "two\nlines \x1b[2J.jpg": (b"text", "it is a text"),
    "no permission.jpg": (JPEG, "Permission denied"),
}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of such files."""
    photos = tmp_path / "photos"
    (photos / "inner.jpg").mkdir(parents=True)
    for name, (content, _) in FILES.items():
        (photos / name).write_bytes(content)
    (photos / "link.jpg").symlink_to(photos / "gone.jpg")
    with (photos / "movie.jpg").open("wb") as file:
        file.write(JPEG)
        file.truncate(10_000_000_000)  # takes no space on the disk

    def opened(path, mode):  # root may read anything
        if "no permission" in str(path):
            raise PermissionError(13, "Permission denied", path)
        return open(path, mode)

    monkeypatch.setattr(opening, "open", opened, raising=False)
    return photos


@pytest.fixture
def server(monkeypatch):
    """The one host of these tests that counts as public."""
    monkeypatch.setattr(photo, "LONGEST", 1.0)
    monkeypatch.setattr(photo, "is_public", lambda address: address == "127.0.0.1")
    with Server() as server:
        server.files |= {"/dog.jpg": JPEG, "/endless.jpg": JPEG, "/large.jpg": bytes(photo.LARGEST + 1)}
        server.always |= {
            "/page": Fault(change=b"<html>", headers={"Content-Type": "text/html"}),
            "/endless.jpg": Fault(piece=1, pause=0.1, chunked=True),
            "/away.jpg": Fault(status=301, headers={"Location": "http://169.254.169.254/latest/meta-data"}),
        }
        yield server


def told_of(answers, expected):
    """Check answers by what is told of their pictures, and return how likely each caption is, no two alike."""
    answers = list(answers)
    for answer, (name, reason) in zip(answers, expected, strict=True):
        if reason is None:
            assert isinstance(answer, Answer), f"{name}: {answer}"
        else:
            assert isinstance(answer, ImageError) and str(answer).isprintable() and len(str(answer)) < 1000, name
            assert str(answer).startswith(name) and re.search(reason, str(answer)), f"{name}: {answer}"
    return [likely(answer) for answer in answers if isinstance(answer, Answer)]


def likely(answer):
    return answer.candidates[0].log_probability


def shown(photos, name):
    return re.sub(r"[\n\x1b]", "\ufffd", str(photos / name))


def test_a_folder_of_bad_pictures(photos, with_photos):
    captioner = bundle.load(with_photos[0])
    told = {name: reason for name, (_, reason) in FILES.items()}
    told |= {"link.jpg": r"is a link to .*gone\.jpg, which does not exist", "movie.jpg": r"has 10\.0 GB"}
    found = told_of(
        captioner.captions(photos, keep_errors=True), [(shown(photos, name), told[name]) for name in sorted(told)]
    )
    good = [photos / name for name in sorted(told) if told[name] is None]
    alone = [likely(captioner.caption(file)) for file in good]
    assert found == pytest.approx(alone, abs=1e-3) and np.ptp(alone) > 0.01


def test_a_list_of_bad_pictures(photos, server, with_photos, monkeypatch):
    """Of several batches; addresses between files."""
    good, captioner = str(photos / "turned.jpg"), bundle.load(with_photos[0])
    dead = "http://127.0.0.1:9/dog.jpg"
    pictures = {
        server.url("/dog.jpg"): None, server.url("/gone.jpg"): "HTTP 404", server.url("/page"): "web page",
        server.url("/endless.jpg"): "takes longer than", server.url("/large.jpg"): "more than 50 MB",
        server.url("/away.jpg"): "leads to 169.254.169.254", dead: "cannot be reached", "http://[": "no http or https",
        (photos / "dot.png").as_uri(): "give a file by its path", "ftp://example.org/dog.jpg": "no http or https",
        str(photos / "inner.jpg"): "a directory", str(photos / "no such.jpg"): "No such file",
        "data:image/png;base64," + "iVBORw0K" * 9999: "base64",
    }  # fmt: skip
    mixed = [pair for name, reason in pictures.items() for pair in ((good, None), (name, reason))]
    began = time.monotonic()
    found = told_of(
        captioner.captions([name for name, _ in mixed], keep_errors=True),
        [(name[:60], reason) for name, reason in mixed],
    )
    assert time.monotonic() - began < 15
    alone = [likely(captioner.caption(given)) for given in (JPEG, good)]
    assert found == pytest.approx([alone["/dog.jpg" not in name] for name, reason in mixed if reason is None], abs=1e-3)
