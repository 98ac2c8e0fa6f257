"""Zips, good, damaged and malicious: what is written, what is refused, and that nothing lands outside."""

import os
import random
import stat
import struct
import sys
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from captioning import files as files_module
from captioning.fetching import unpack as module
from captioning.fetching.download import fetch
from captioning.fetching.unpack import DamagedZipError, UnpackError, unpack
from captioning.files import NoSpaceError
from tests.server import Server

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


@pytest.fixture
def outer(tmp_path):
    """The folder `outer/target` is where zips go; what appears in `outer` beside it has escaped."""
    (tmp_path / "outer" / "target").mkdir(parents=True)
    return tmp_path / "outer"


def refused(path, outer, match):
    with pytest.raises(UnpackError, match=match) as error:
        unpack(path, outer / "target", progress=False)
    assert path.name in str(error.value) and path.exists()
    assert files_in(outer) == {}
    return str(error.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_all_files_in_order_and_the_zip_stays(tmp_path, method):
    path = make(tmp_path / "x.zip", method=method)
    assert unpack(path, tmp_path / "new" / "folder", progress=False) == [
        tmp_path / "new/folder" / name for name in FILES
    ]
    assert files_in(tmp_path / "new/folder") == FILES and path.exists()


def test_no_zip(tmp_path):
    with pytest.raises(FileNotFoundError, match="download it first"):
        unpack(tmp_path / "x.zip", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_second_call_writes_and_reads_nothing(tmp_path, monkeypatch):
    path = make(tmp_path / "x.zip")
    unpack(path, tmp_path / "to", progress=False)
    before = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (tmp_path / "to").rglob("*")}
    monkeypatch.setattr(module.zlib, "crc32", None)
    monkeypatch.setattr(module, "_unpack_one", None)
    assert unpack(path, tmp_path / "to", progress=False) == [tmp_path / "to" / name for name in FILES]
    assert {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (tmp_path / "to").rglob("*")} == before


def test_another_time_zone_reads_nothing_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    path = make(tmp_path / "x.zip")
    unpack(path, tmp_path / "to", progress=False)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    monkeypatch.setattr(module.zlib, "crc32", None)
    unpack(path, tmp_path / "to", progress=False)
    monkeypatch.undo()
    time.tzset()


def test_a_file_with_another_time_is_read_once(tmp_path, monkeypatch):
    path = make(tmp_path / "x.zip")
    for file in unpack(path, tmp_path / "to", progress=False):
        os.utime(file, (1, 1))
    unpack(path, tmp_path / "to", progress=False)
    monkeypatch.setattr(module.zlib, "crc32", None)
    unpack(path, tmp_path / "to", progress=False)


@pytest.mark.parametrize("damage", [b"", NOISE[:20_000], NOISE[:-1] + b"x", NOISE + b"x"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    same = zipfile.ZipInfo("captions.txt", (2014, 8, 16, 12, 30, 2))
    photo = zipfile.ZipInfo("photos/a.jpg", (2014, 8, 16, 12, 30, 2))
    path = make(
        tmp_path / "x.zip", FILES | {"photos/a.jpg": (photo, NOISE), "captions.txt": (same, FILES["captions.txt"])}
    )
    unpack(path, tmp_path / "to", progress=False)
    (tmp_path / "to/photos/a.jpg").write_bytes(damage)
    if len(damage) != len(NOISE):  # as a program that keeps times may leave it
        whole = (tmp_path / "to/captions.txt").stat().st_mtime
        os.utime(tmp_path / "to/photos/a.jpg", (whole, whole))
    unpack(path, tmp_path / "to", progress=False)
    assert files_in(tmp_path / "to") == FILES


def test_a_file_from_another_program_is_kept_when_its_crc_is_right(tmp_path):
    path = make(tmp_path / "x.zip")
    (tmp_path / "to/photos").mkdir(parents=True)
    (tmp_path / "to/photos/a.jpg").write_bytes(NOISE)
    inode = (tmp_path / "to/photos/a.jpg").stat().st_ino
    unpack(path, tmp_path / "to", progress=False)
    assert (tmp_path / "to/photos/a.jpg").stat().st_ino == inode


def test_continues_after_a_kill(tmp_path, monkeypatch):
    path = make(tmp_path / "x.zip", {f"{index}": NOISE[index:] for index in range(10)})
    made, real = [], module._unpack_one

    def killed(archive, entry, draft, bar):
        if len(made) == 6:
            draft.write_bytes(NOISE[:10])
            raise KeyboardInterrupt
        made.append(entry.filename)
        real(archive, entry, draft, bar)

    monkeypatch.setattr(module, "_unpack_one", killed)
    with pytest.raises(KeyboardInterrupt):
        unpack(path, tmp_path / "to", progress=False)
    assert len(files_in(tmp_path / "to")) == 6
    (tmp_path / "to" / "x.zip.unpacking").write_bytes(b"half a file, as SIGKILL leaves it")
    monkeypatch.setattr(module, "_unpack_one", lambda *rest: (made.append(rest[1].filename), real(*rest)))
    unpack(path, tmp_path / "to", progress=False)
    assert made == [f"{index}" for index in range(10)]
    assert files_in(tmp_path / "to") == {f"{index}": NOISE[index:] for index in range(10)}


@pytest.mark.parametrize(
    "name, reason",
    [
        ("../evil", "outside"),
        ("a/../../evil", "outside"),
        ("a/..", "outside"),
        ("..", "outside"),
        ("..\\evil", "outside"),
        ("a\\..\\..\\evil", "outside"),
        ("/tmp/evil", "outside"),
        ("//host/evil", "outside"),
        ("\\evil", "outside"),
        ("C:/evil", "outside"),
        ("C:\\evil", "outside"),
        ("c:evil", "outside"),
        (".", "no usable name"),
    ],
)
def test_entries_that_land_elsewhere(tmp_path, outer, name, reason):
    info = zipfile.ZipInfo("x")
    info.filename = name  # ZipInfo's constructor would tidy it
    message = refused(make(tmp_path / "bad.zip", FILES | {"bad": (info, b"evil")}), outer, reason)
    assert repr(name) in message


@pytest.mark.parametrize("name", ["a..b", "a/..b/c", "./a", ".hidden", "__MACOSX/._a.jpg", "con1.jpg", "console"])
def test_odd_but_harmless_names(tmp_path, name):
    path = make(tmp_path / "x.zip", {name: NOISE})
    assert unpack(path, tmp_path / "to", progress=False) == [tmp_path / "to" / name]


@pytest.mark.parametrize(
    "name", ["aux.jpg", "photos/CON", "nul", "lpt1.tar.gz/a", "ab:c", "a/dir:x/c", "...", "a. /b", "a\\b ", "what?.jpg"]
)
def test_names_that_not_every_system_can_have(tmp_path, outer, name):
    info = zipfile.ZipInfo("x")
    info.filename = name
    refused(make(tmp_path / "bad.zip", FILES | {"bad": (info, b"x")}), outer, "some systems do not allow")


@pytest.mark.parametrize(
    "pair, reason",
    [
        (("A.jpg", "a.jpg"), "twice"),
        (("x/A.jpg", "X/a.jpg"), "twice"),
        (("caf\u00e9.jpg", "cafe\u0301.jpg"), "twice"),
    ],
)
def test_names_that_are_one_to_other_systems(tmp_path, outer, pair, reason):
    refused(make(tmp_path / "bad.zip", {name: b"1" for name in pair}), outer, reason)


def test_folders_are_left_out(tmp_path):
    path = make(tmp_path / "x.zip", {"photos/": b""} | FILES)
    assert unpack(path, tmp_path / "to", progress=False) == [tmp_path / "to" / name for name in FILES]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices(tmp_path, outer, kind):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    refused(make(tmp_path / "bad.zip", {"link": (info, b"/etc"), "link/passwd": b"evil"}), outer, "symbolic link")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_that_lie_in_the_folder_already(tmp_path, outer):
    (tmp_path / "elsewhere").mkdir()
    (outer / "target" / "photos").symlink_to(tmp_path / "elsewhere")
    refused(make(tmp_path / "bad.zip"), outer, "leads outside")
    assert files_in(tmp_path / "elsewhere") == {}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_never_writes_through_a_link(tmp_path):
    victim = tmp_path / "victim"
    same = NOISE[: len(str(victim))]  # of the size of the link to it
    victim.write_bytes(same)
    files = FILES | {"photos/same.jpg": same}
    (tmp_path / "to" / "photos").mkdir(parents=True)
    for name in ("captions.txt", "photos/same.jpg", "x.zip.unpacking"):
        (tmp_path / "to" / name).symlink_to(victim)
    unpack(make(tmp_path / "x.zip", files), tmp_path / "to", progress=False)
    assert victim.read_bytes() == same and files_in(tmp_path / "to") == files
    assert not any(path.is_symlink() for path in (tmp_path / "to").rglob("*"))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "big disk").mkdir()
    (tmp_path / "to").symlink_to(tmp_path / "big disk")
    unpack(make(tmp_path / "x.zip"), tmp_path / "to", progress=False)
    assert files_in(tmp_path / "big disk") == FILES


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice(tmp_path, outer):
    path = make(tmp_path / "bad.zip", {"a": b"1", "b": (zipfile.ZipInfo("./a"), b"2")})
    refused(path, outer, "twice")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")])
def test_a_file_that_is_a_folder_too(tmp_path, outer, names):
    refused(make(tmp_path / "bad.zip", {name: b"1" for name in names}), outer, "both a file and a folder")


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
        unpack(path, outer / "target", progress=False)
    assert files_in(outer) == {}
    monkeypatch.setattr(module, "LARGEST", size)
    unpack(path, outer / "target", progress=False)


def test_a_disk_that_fills_up_is_told_with_the_way_out(tmp_path, monkeypatch):
    path = make(tmp_path / "x.zip")
    with monkeypatch.context() as patch, pytest.raises(UnpackError, match=r"x\.zip .*No space left.*run again"):
        patch.setattr(module.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        unpack(path, tmp_path / "to", progress=False)
    unpack(path, tmp_path / "to", progress=False)
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


def test_a_bomb_of_one_file(tmp_path, outer):
    refused(make(tmp_path / "bad.zip", FILES | {"bomb": bytes(20_000_000)}), outer, "bomb: 20,075,000 bytes")


def test_a_bomb_of_many_small_files(tmp_path, outer):
    files = {f"{index}": bytes(module.SMALL) for index in range(8)}
    refused(make(tmp_path / "bad.zip", files), outer, "bomb")


def test_a_bomb_of_overlapping_entries(tmp_path, outer):
    """Its bytes are counted as often as they are unpacked."""
    path = make(tmp_path / "bad.zip", {f"file{index:03}": bytes(40_000) + NOISE[:9000] for index in range(250)})
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    content = path.read_bytes()
    table = content.index(b"PK\1\2")
    first = content.index(b"PK\3\4", 4)
    path.write_bytes(content[:first] + content[table:])
    for name in names:
        patch_table(path, name, header=0)
    assert path.stat().st_size * module.MOST_PACKED < 49_000 * 250
    refused(path, outer, "bomb")


def test_tightly_packed_text_is_no_bomb(tmp_path):
    chance = random.Random(5)
    lines = [f'{{"image": {index}, "dog": {chance.randrange(9)}, "flag": false}}' for index in range(80_000)]
    files = {"captions.json": ", ".join(lines).encode()}
    path = make(tmp_path / "x.zip", files)
    assert len(files["captions.json"]) > 10 * path.stat().st_size
    unpack(path, tmp_path / "to", progress=False)
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
        unpack(path, tmp_path / "to", progress=False)
    path = make(tmp_path / "evil.zip", {"../evil": NOISE})
    with pytest.raises(UnpackError) as error:
        unpack(path, tmp_path / "to", progress=False)
    assert not isinstance(error.value, DamagedZipError)


def test_a_wrong_crc(tmp_path, outer):
    path = make(tmp_path / "bad.zip", {"file": NOISE})
    patch_table(path, "file", crc=zlib.crc32(b"other"))
    refused(path, outer, "download it again")


def test_too_small_a_disk(tmp_path, outer, monkeypatch):
    size = sum(map(len, FILES.values()))
    usage = type("Usage", (), {"free": files_module.SPARE + size - 1})
    monkeypatch.setattr(files_module.shutil, "disk_usage", lambda path: usage)
    path = make(tmp_path / "x.zip")
    with pytest.raises(NoSpaceError, match=r"x\.zip needs .* MB of the disk, .* free some, or set another folder"):
        unpack(path, outer / "target", progress=False)
    assert files_in(outer) == {}
    usage.free += 1
    unpack(path, outer / "target", progress=False)
    usage.free = 0  # what is there needs no room
    unpack(path, outer / "target", progress=False)


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
            unpack(tmp_path / "bad.zip", target, progress=False)
        except UnpackError:
            refusals += 1
        assert set(files_in(target).values()) <= right
    assert 100 < refusals < 300
    assert {path.name for path in (tmp_path / "outer").iterdir()} == {f"{index}" for index in range(300)}


def test_the_time_of_the_zip(tmp_path):
    info = zipfile.ZipInfo("a", (2014, 8, 16, 12, 30, 2))
    (path,) = unpack(make(tmp_path / "x.zip", {"a": (info, b"1")}), tmp_path / "to", progress=False)
    assert time.gmtime(path.stat().st_mtime)[:6] == (2014, 8, 16, 12, 30, 2)


def test_a_zip_without_a_time(tmp_path):
    path = make(tmp_path / "x.zip", {"a": NOISE})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 12 : content.index(b"PK\1\2") + 16] = bytes(4)
    path.write_bytes(content)
    unpack(path, tmp_path / "to", progress=False)
    unpack(path, tmp_path / "to", progress=False)
    assert files_in(tmp_path / "to") == {"a": NOISE}


def test_the_bar(tmp_path, capsys):
    path = make(tmp_path / "x.zip")
    unpack(path, tmp_path / "to")
    shown = capsys.readouterr()
    assert "x.zip" in shown.out and "100%" in shown.out and "B/s" in shown.out and shown.err == ""
    unpack(path, tmp_path / "to2", progress=False)
    assert capsys.readouterr().out == ""


def test_fetched_from_a_server_and_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        server.files["/x.zip"] = make(tmp_path / "made.zip").read_bytes()
        path = fetch(server.url("/x.zip"), tmp_path / "x.zip", progress=False)
    unpack(path, tmp_path / "to", progress=False)
    assert files_in(tmp_path / "to") == FILES and sorted(os.listdir(tmp_path)) == ["made.zip", "to", "x.zip"]
    assert Path(path).suffix == ".zip"


def test_only_what_matches_is_unpacked(tmp_path):
    path = make(tmp_path / "a.zip")
    paths = unpack(path, tmp_path / "target", only="photos/*", progress=False)
    assert paths == [tmp_path / "target" / "photos" / "a.jpg", tmp_path / "target" / "photos" / "deep" / "b.jpg"]
    assert set(files_in(tmp_path / "target")) == {"photos/a.jpg", "photos/deep/b.jpg"}


def test_an_entry_that_stays_packed_is_checked_all_the_same(outer, tmp_path):
    path = make(tmp_path / "evil.zip", FILES | {"../evil": b"x"})
    with pytest.raises(UnpackError, match="lands outside"):
        unpack(path, outer / "target", only="photos/*", progress=False)
    assert files_in(outer) == {}
