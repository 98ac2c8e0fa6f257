"""A file gets its name when it is whole, as published and accepted; by one process at a time, where there is space."""

import os
import sys
from contextlib import contextmanager, nullcontext
from multiprocessing.pool import ThreadPool

import pytest

from captioning import files
from captioning.fetching import download
from captioning.fetching.download import DownloadError
from captioning.files import NoSpaceError
from tests.download.served import BODY, MD5, OTHER, files_in, starts
from tests.server import Fault


def test_the_right_sum_passes(get, server):
    assert get(md5=MD5.upper(), size=len(BODY)).read_bytes() == BODY


def test_damage_on_the_way_is_repaired(get, server):
    server.files["/a"] = OTHER
    server.faults["/a"] = [Fault(), Fault(change=BODY)]
    assert get(md5=MD5).read_bytes() == BODY


def test_a_disk_that_fills_up_keeps_what_came(get, tmp_path, monkeypatch):
    def full(self, response, have, total):
        with open(self.part, "r+b") as part:
            part.write(BODY[:1000])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(DownloadError, match=r"a\.part cannot be written.*No space"):
        patched.setattr(download._Transfer, "_write", full)
        get()
    assert (tmp_path / "a.part").read_bytes() == BODY[:1000] and get().read_bytes() == BODY


def test_a_file_of_another_size_costs_no_bytes(get, server, tmp_path):
    """Not even those that are there: the answer may be the sign-in page of a network."""
    server.faults["/a"] = [Fault(drop=100_000)]
    with pytest.raises(DownloadError):
        get(retries=0, size=len(BODY))
    server.faults["/a"] = [Fault(change=b"<html>sign in</html>")]
    with pytest.raises(DownloadError, match="size is 20, not 300000"):
        get(retries=0, size=len(BODY))
    server.files["/a"] = BODY
    assert get(size=len(BODY)).read_bytes() == BODY and starts(server)[-1] == 100_000


def test_a_file_that_is_there_with_another_size_is_refused(get, tmp_path):
    (tmp_path / "a").write_bytes(b"short")
    with pytest.raises(DownloadError, match="Delete it"):
        get(size=len(BODY))
    assert (tmp_path / "a").read_bytes() == b"short"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_file_that_is_there_in_a_folder_that_cannot_be_written(get, tmp_path):
    (tmp_path / "a").write_bytes(BODY)
    tmp_path.chmod(0o500)
    assert get().read_bytes() == BODY


def test_a_folder_instead_of_the_file_is_refused(get, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DownloadError, match="folder"):
        get()


def test_a_folder_that_cannot_be_made_is_named(get, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"file.b\.part cannot be written"):
        get(name="file/b")


def test_too_small_a_disk_is_refused_before_any_byte(get, server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": files.SPARE + len(BODY) - 1})
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(NoSpaceError, match="free some, or"):
        get()
    assert files_in(tmp_path) == []
    usage.free += 1
    assert get().read_bytes() == BODY


@pytest.mark.parametrize("lacking", [0, 1])
def test_only_the_rest_needs_room(get, server, monkeypatch, lacking):
    server.faults["/a"] = [Fault(drop=100_000)]
    free = iter([10**12, files.SPARE + len(BODY) - 100_000 - lacking])
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: type("Usage", (), {"free": next(free)}))
    with pytest.raises(NoSpaceError, match="free some, or") if lacking else nullcontext():
        assert get().read_bytes() == BODY


def test_arrive_has_the_whole_file_before_it_gets_its_name(get, tmp_path):
    seen = []
    get(arrive=lambda part: seen.append((part.read_bytes(), (tmp_path / "a").exists())))
    assert seen == [(BODY, False)]


def test_what_arrive_refuses_is_fetched_twice_at_the_most(get, server, tmp_path):
    def refuse(part):
        raise ValueError("no photo")

    with pytest.raises(DownloadError, match="no photo"):
        get(arrive=refuse)
    assert files_in(tmp_path) == [] and starts(server) == [0, 0]


def test_two_notebooks_at_once_fetch_a_file_once(get, server, tmp_path):
    server.pace = 1e6
    with ThreadPool(3) as pool:
        assert pool.map(lambda _: get().read_bytes(), range(3)) == [BODY] * 3
    assert starts(server) == [0] and files_in(tmp_path) == ["a"]


def test_a_file_that_another_process_has_just_finished(get, server, tmp_path, monkeypatch):
    @contextmanager
    def waited(target, wait):
        target.write_bytes(BODY)
        yield

    monkeypatch.setattr(download, "only_one", waited)
    assert get().read_bytes() == BODY and server.seen == []
