"""Nothing lands outside of the folder, nor under a name that not every system can have."""

import stat
import sys
import zipfile

import pytest

from captioning.fetching.unpack import unpack
from tests.unpacking.zips import FILES, NOISE, files_in, make, refused

ELSEWHERE = r"../evil a/../../evil a/.. .. ..\evil a\..\..\evil /tmp/evil //host/evil \evil C:/evil C:\evil c:evil ."


@pytest.mark.parametrize("name", ELSEWHERE.split())
def test_entries_that_land_elsewhere(tmp_path, outer, name):
    reason = "no usable name" if name == "." else "outside"
    info = zipfile.ZipInfo("x")
    info.filename = name  # ZipInfo's constructor would tidy it
    message = refused(make(tmp_path / "bad.zip", FILES | {"bad": (info, b"evil")}), outer, reason)
    assert repr(name) in message


@pytest.mark.parametrize("name", ["a..b", "a/..b/c", "./a", ".hidden", "__MACOSX/._a.jpg", "con1.jpg", "console"])
def test_odd_but_harmless_names(tmp_path, name):
    path = make(tmp_path / "x.zip", {name: NOISE})
    assert unpack(path, tmp_path / "to") == [tmp_path / "to" / name]


@pytest.mark.parametrize(
    "name", ["aux.jpg", "photos/CON", "nul", "lpt1.tar.gz/a", "ab:c", "a/dir:x/c", "...", "a. /b", "a\\b ", "what?.jpg"]
)
def test_names_that_not_every_system_can_have(tmp_path, outer, name):
    info = zipfile.ZipInfo("x")
    info.filename = name
    refused(make(tmp_path / "bad.zip", FILES | {"bad": (info, b"x")}), outer, "some systems do not allow")


@pytest.mark.parametrize(
    "pair", [("A.jpg", "a.jpg"), ("x/A.jpg", "X/a.jpg"), ("caf\u00e9.jpg", "cafe\u0301.jpg"), ("a.jpg", "./a.jpg")]
)
def test_names_that_are_one_to_other_systems(tmp_path, outer, pair):
    refused(make(tmp_path / "bad.zip", dict.fromkeys(pair, b"1")), outer, "twice")


def test_folders_are_left_out(tmp_path):
    path = make(tmp_path / "x.zip", {"photos/": b""} | FILES)
    assert unpack(path, tmp_path / "to") == [tmp_path / "to" / name for name in FILES]


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
    unpack(make(tmp_path / "x.zip", files), tmp_path / "to")
    assert victim.read_bytes() == same and files_in(tmp_path / "to") == files
    assert not any(path.is_symlink() for path in (tmp_path / "to").rglob("*"))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "big disk").mkdir()
    (tmp_path / "to").symlink_to(tmp_path / "big disk")
    unpack(make(tmp_path / "x.zip"), tmp_path / "to")
    assert files_in(tmp_path / "big disk") == FILES


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a")])
def test_a_file_that_is_a_folder_too(tmp_path, outer, names):
    refused(make(tmp_path / "bad.zip", {name: b"1" for name in names}), outer, "both a file and a folder")
