"""What is in a zip is written, once; what was interrupted or damaged is made whole."""

import os
import time
import zipfile

import pytest

from captioning.fetching import unpack as module
from captioning.fetching.unpack import UnpackError, unpack
from tests.unpacking.zips import FILES, NOISE, files_in, make


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_all_files_in_order_and_the_zip_stays(tmp_path, method):
    path = make(tmp_path / "x.zip", method=method)
    assert unpack(path, tmp_path / "new" / "folder") == [tmp_path / "new/folder" / name for name in FILES]
    assert files_in(tmp_path / "new/folder") == FILES and path.exists()


def test_no_zip(tmp_path):
    with pytest.raises(FileNotFoundError, match="download it first"):
        unpack(tmp_path / "x.zip", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_second_call_writes_and_reads_nothing(tmp_path, monkeypatch):
    path = make(tmp_path / "x.zip")
    unpack(path, tmp_path / "to")
    before = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (tmp_path / "to").rglob("*")}
    monkeypatch.setattr(module.zlib, "crc32", None)
    monkeypatch.setattr(module, "_unpack_one", None)
    assert unpack(path, tmp_path / "to") == [tmp_path / "to" / name for name in FILES]
    assert {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (tmp_path / "to").rglob("*")} == before


def test_another_time_zone_reads_nothing_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    path = make(tmp_path / "x.zip")
    unpack(path, tmp_path / "to")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    monkeypatch.setattr(module.zlib, "crc32", None)
    unpack(path, tmp_path / "to")
    monkeypatch.undo()
    time.tzset()


def test_a_file_with_another_time_is_read_once(tmp_path, monkeypatch):
    path = make(tmp_path / "x.zip")
    for file in unpack(path, tmp_path / "to"):
        os.utime(file, (1, 1))
    unpack(path, tmp_path / "to")
    monkeypatch.setattr(module.zlib, "crc32", None)
    unpack(path, tmp_path / "to")


@pytest.mark.parametrize("damage", [b"", NOISE[:20_000], NOISE[:-1] + b"x", NOISE + b"x"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    same = zipfile.ZipInfo("captions.txt", (2014, 8, 16, 12, 30, 2))
    photo = zipfile.ZipInfo("photos/a.jpg", (2014, 8, 16, 12, 30, 2))
    path = make(
        tmp_path / "x.zip", FILES | {"photos/a.jpg": (photo, NOISE), "captions.txt": (same, FILES["captions.txt"])}
    )
    unpack(path, tmp_path / "to")
    (tmp_path / "to/photos/a.jpg").write_bytes(damage)
    if len(damage) != len(NOISE):  # as a program that keeps times may leave it
        whole = (tmp_path / "to/captions.txt").stat().st_mtime
        os.utime(tmp_path / "to/photos/a.jpg", (whole, whole))
    unpack(path, tmp_path / "to")
    assert files_in(tmp_path / "to") == FILES


def test_a_file_from_another_program_is_kept_when_its_crc_is_right(tmp_path):
    path = make(tmp_path / "x.zip")
    (tmp_path / "to/photos").mkdir(parents=True)
    (tmp_path / "to/photos/a.jpg").write_bytes(NOISE)
    inode = (tmp_path / "to/photos/a.jpg").stat().st_ino
    unpack(path, tmp_path / "to")
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
        unpack(path, tmp_path / "to")
    assert len(files_in(tmp_path / "to")) == 6
    (tmp_path / "to" / "x.zip.unpacking").write_bytes(b"half a file, as SIGKILL leaves it")
    monkeypatch.setattr(module, "_unpack_one", lambda *rest: (made.append(rest[1].filename), real(*rest)))
    unpack(path, tmp_path / "to")
    assert made == [f"{index}" for index in range(10)]
    assert files_in(tmp_path / "to") == {f"{index}": NOISE[index:] for index in range(10)}


def test_the_time_of_the_zip(tmp_path):
    info = zipfile.ZipInfo("a", (2014, 8, 16, 12, 30, 2))
    (path,) = unpack(make(tmp_path / "x.zip", {"a": (info, b"1")}), tmp_path / "to")
    assert time.gmtime(path.stat().st_mtime)[:6] == (2014, 8, 16, 12, 30, 2)


def test_a_zip_without_a_time(tmp_path):
    path = make(tmp_path / "x.zip", {"a": NOISE})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 12 : content.index(b"PK\1\2") + 16] = bytes(4)
    path.write_bytes(content)
    unpack(path, tmp_path / "to")
    unpack(path, tmp_path / "to")
    assert files_in(tmp_path / "to") == {"a": NOISE}


def test_the_bar(tmp_path, capsys):
    path = make(tmp_path / "x.zip")
    unpack(path, tmp_path / "to")
    shown = capsys.readouterr()
    assert "x.zip" in shown.out and "100%" in shown.out and "B/s" in shown.out and shown.err == ""


def test_only_what_matches_is_unpacked(tmp_path):
    path = make(tmp_path / "a.zip")
    paths = unpack(path, tmp_path / "target", only="photos/*")
    assert paths == [tmp_path / "target" / "photos" / "a.jpg", tmp_path / "target" / "photos" / "deep" / "b.jpg"]
    assert set(files_in(tmp_path / "target")) == {"photos/a.jpg", "photos/deep/b.jpg"}


def test_an_entry_that_stays_packed_is_checked_all_the_same(outer, tmp_path):
    path = make(tmp_path / "evil.zip", FILES | {"../evil": b"x"})
    with pytest.raises(UnpackError, match="lands outside"):
        unpack(path, outer / "target", only="photos/*")
    assert files_in(outer) == {}
