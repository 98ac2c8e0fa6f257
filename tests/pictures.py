"""Files of pictures, made by hand."""

import io
import struct
import zlib

import pytest
from PIL import Image, features

import captioning.images  # noqa: F401 (registers pillow-heif where it is installed)

_WRITES = {"AVIF": features.check("avif"), "HEIF": "HEIF" in Image.SAVE}


def writable(*kinds):
    """Return formats as parameters of a test; it is skipped for those that cannot be written here."""
    reason = "Pillow cannot write it here (AVIF needs Pillow 11.3, HEIF needs pillow-heif)"
    return [pytest.param(kind, marks=pytest.mark.skipif(not _WRITES[kind], reason=reason)) for kind in kinds]


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation=6):
    """The EXIF of a picture that lies on this side."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def chunk(kind, body):
    """A part of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth=8, color=2, rows=b"", transparent=b""):
    """A PNG that Pillow does not write itself; without rows, one that only says how large it is."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    key = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + head + key + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
