"""Zips that are damaged, or lie about what is in them, write nothing wrong."""

import random
import zipfile

import pytest

from captioning import files as files_module
from captioning.fetching import unpack as module
from captioning.fetching.unpack import DamagedZipError, UnpackError, unpack
from captioning.files import NoSpaceError
from tests.unpacking.zips import FILES, NOISE, files_in, make, patch_table, refused


def test_entries_that_overlap(tmp_path, outer):
    path = make(tmp_path / "bad.zip", {f"file{index}": NOISE for index in range(5)}, zipfile.ZIP_STORED)
    for index in range(1, 5):
        patch_table(path, f"file{index}", header=0)
    refused(path, outer, "overlap")


def test_a_bomb_in_the_company_of_honest_files(tmp_path, outer):
    files = {"bomb": bytes(20_000_000)} | {f"file{index}": NOISE for index in range(4)}
    path = make(tmp_path / "bad.zip", files)
    assert sum(map(len, files.values())) < module.MOST_PACKED * path.stat().st_size
    refused(path, outer, "'bomb' is a bomb: 20,000,000 bytes")


def test_more_than_the_limit(tmp_path, outer, monkeypatch):
    path, size = make(tmp_path / "x.zip"), sum(map(len, FILES.values()))
    monkeypatch.setattr(module, "LARGEST", size - 1)
    with pytest.raises(UnpackError, match=f"limit of {size - 1:,}"):
        unpack(path, outer / "target")
    assert files_in(outer) == {}
    monkeypatch.setattr(module, "LARGEST", size)
    unpack(path, outer / "target")


def test_a_disk_that_fills_up_is_told_with_the_way_out(tmp_path, monkeypatch):
    path = make(tmp_path / "x.zip")
    with monkeypatch.context() as patch, pytest.raises(UnpackError, match=r"x\.zip .*No space left.*run again"):
        patch.setattr(module.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        unpack(path, tmp_path / "to")
    unpack(path, tmp_path / "to")
    assert files_in(tmp_path / "to") == FILES


@pytest.mark.parametrize("name", ["bad.zip", "bad.zip.unpacking", "bad.zip.unpacking/a"])
def test_names_that_are_needed(tmp_path, outer, name):
    refused(make(tmp_path / "bad.zip", {name: b"1"}), outer, "rename the zip")


def test_a_password(tmp_path, outer):
    path = make(tmp_path / "bad.zip", {"secret": NOISE})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    refused(path, outer, "password")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bounds(tmp_path, outer, method):
    refused(make(tmp_path / "bad.zip", method=method), outer, "another method")


def test_a_bomb_of_many_small_files(tmp_path, outer):
    files = {f"{index}": bytes(module.SMALL) for index in range(8)}
    refused(make(tmp_path / "bad.zip", files), outer, "bomb")


def test_tightly_packed_text_is_no_bomb(tmp_path):
    chance = random.Random(5)
    lines = [f'{{"image": {index}, "dog": {chance.randrange(9)}, "flag": false}}' for index in range(80_000)]
    files = {"captions.json": ", ".join(lines).encode()}
    path = make(tmp_path / "x.zip", files)
    assert len(files["captions.json"]) > 10 * path.stat().st_size
    unpack(path, tmp_path / "to")
    assert files_in(tmp_path / "to") == files


def test_more_bytes_than_declared(tmp_path, outer):
    """A bomb that claims to be small: no more than the claim is ever written."""
    path = make(tmp_path / "bad.zip", {"bomb": bytes(20_000_000)})
    patch_table(path, "bomb", size=1000)
    refused(path, outer, "CRC")


@pytest.mark.parametrize("declared", [3001, 300_000])
def test_fewer_bytes_than_declared(tmp_path, outer, declared):
    path = make(tmp_path / "bad.zip", {"file": NOISE[:3000]})
    patch_table(path, "file", size=declared)
    refused(path, outer, "3,000 bytes, not")


@pytest.mark.parametrize("damage", ["page", "empty", "cut", "crc", "size"])
def test_damage_is_told_from_malice(tmp_path, damage):
    """Only what another download can mend asks for one."""
    path = make(tmp_path / "bad.zip", {"file": NOISE})
    if damage in ("crc", "size"):
        patch_table(path, "file", **{damage: 77_000})
    else:
        path.write_bytes({"page": b"<html>sign in", "empty": b"", "cut": path.read_bytes()[:-99]}[damage])
    with pytest.raises(DamagedZipError, match="download it again"):
        unpack(path, tmp_path / "to")
    path = make(tmp_path / "evil.zip", {"../evil": NOISE})
    with pytest.raises(UnpackError) as error:
        unpack(path, tmp_path / "to")
    assert not isinstance(error.value, DamagedZipError)


def test_too_small_a_disk(tmp_path, outer, monkeypatch):
    size = sum(map(len, FILES.values()))
    usage = type("Usage", (), {"free": files_module.SPARE + size - 1})
    monkeypatch.setattr(files_module.shutil, "disk_usage", lambda path: usage)
    path = make(tmp_path / "x.zip")
    with pytest.raises(NoSpaceError, match=r"x\.zip needs .* MB of the disk, .* free some, or set another folder"):
        unpack(path, outer / "target")
    assert files_in(outer) == {}
    usage.free += 1
    unpack(path, outer / "target")
    usage.free = 0  # what is there needs no room
    unpack(path, outer / "target")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_zip(tmp_path, outer, share):
    path = make(tmp_path / "bad.zip")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(path, outer, "truncated")


def test_a_zip_without_its_beginning(tmp_path, outer):
    path = make(tmp_path / "bad.zip")
    path.write_bytes(path.read_bytes()[10_000:])
    refused(path, outer, "beginning is missing")


def test_random_damage_never_gives_a_wrong_file(tmp_path):
    """Each of 300 damaged zips is refused or right: no other exception, no other content, no other place."""
    good, chance = make(tmp_path / "good.zip", FILES | {"photos/a.jpg": NOISE[:500]}).read_bytes(), random.Random(4)
    right, refusals = set(FILES.values()) | {NOISE[:500]}, 0
    for index in range(300):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(good))] = chance.randrange(256)
        if index % 3 == 0:
            del damaged[chance.randrange(len(good)) :]
        (tmp_path / "bad.zip").write_bytes(damaged)
        target = tmp_path / "outer" / str(index)
        try:
            unpack(tmp_path / "bad.zip", target)
        except UnpackError:
            refusals += 1
        assert set(files_in(target).values()) <= right
    assert 100 < refusals < 300
    assert {path.name for path in (tmp_path / "outer").iterdir()} == {f"{index}" for index in range(300)}
