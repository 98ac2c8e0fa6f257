"""Zips, made and damaged, and how unpacking refuses them."""

import random
import struct
import zipfile

import pytest

from captioning.fetching.unpack import UnpackError, unpack

NOISE = random.Random(1).randbytes(50_000)
FILES = {"photos/a.jpg": NOISE, "photos/deep/b.jpg": NOISE[:3000], "captions.txt": b"a dog runs\n" * 2000, "empty": b""}


def make(path, files=FILES, method=zipfile.ZIP_DEFLATED):
    """Write a zip; a value may be a (ZipInfo, bytes) pair instead of bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(*(content if isinstance(content, tuple) else (name, content)))
    return path


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def patch_table(path, name, **fields):
    """Overwrite size or CRC of an entry in the table of contents at the end of a zip."""
    content = bytearray(path.read_bytes())
    at = content.rindex(name.encode()) - 46
    assert content[at : at + 4] == b"PK\1\2"
    for field, value in fields.items():
        offset = {"crc": 16, "packed": 20, "size": 24, "header": 42}[field]
        struct.pack_into("<L", content, at + offset, value)
    path.write_bytes(content)


def refused(path, outer, match):
    with pytest.raises(UnpackError, match=match) as error:
        unpack(path, outer / "target")
    assert path.name in str(error.value) and path.exists()
    assert files_in(outer) == {}
    return str(error.value)
