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


def header(width, height, depth=8, color=2):
    """A PNG that says how large it is, and holds next to nothing."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)), (b"IDAT", zlib.compress(b"")))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
