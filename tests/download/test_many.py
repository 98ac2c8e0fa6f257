"""Many files in parallel: bounded, in order, and one bad file does not stop the others."""

import subprocess
import sys
import threading
import time

import pytest

from captioning.fetching import many
from captioning.fetching.download import fetch_many
from tests.download.served import BODY, left_in, several
from tests.server import Fault


def test_many_in_order_and_a_second_call(server, tmp_path):
    files = several(server, tmp_path, 40)
    del server.files["/7"]
    report = fetch_many(iter(files), workers=3)
    assert report.fetched == [path for _, path in files if path.name != "7"]
    assert list(report.failed) == [tmp_path / "7"] and "404" in report.failed[tmp_path / "7"]
    assert "39 fetched, 0 present, 1 failed" in str(report)
    before = len(server.seen)
    report = fetch_many(files, workers=3)
    assert len(report.present) == 39 and not report.fetched and len(server.seen) == before + 1


def test_the_bars(get, server, tmp_path, capsys):
    server.faults["/a"] = [Fault(drop=100_000), Fault(pause=0.05)]
    get()
    shown = capsys.readouterr()
    assert "100%" in shown.out and "B/s" in shown.out and "Again in 1 s" in shown.out and shown.err == ""
    fetch_many([(server.url("/a"), tmp_path / "b")])
    assert "1/1" in capsys.readouterr().out


def test_as_many_at_a_time_as_asked_for(server, tmp_path):
    together, lock, most, three = [], threading.Lock(), [], threading.Barrier(3, timeout=20)

    def arrive(part):
        with lock:
            together.append(part)
            most.append(len(together))
        three.wait()  # broken, which fails the file, unless three arrive together
        with lock:
            together.remove(part)

    report = fetch_many(several(server, tmp_path, 12), workers=3, arrive=arrive)
    assert len(report.fetched) == 12 and max(most) == 3


def test_many_keeps_connections(server, tmp_path):
    fetch_many(several(server, tmp_path, 40), workers=2)
    assert server.connections <= 2


def test_the_same_pair_twice_is_fetched_once(server, tmp_path):
    report = fetch_many([(server.url("/a"), tmp_path / "a")] * 3, workers=1)
    assert report.fetched == [tmp_path / "a"] and len(server.seen) == 1


def test_two_addresses_for_one_path_are_an_error(server, tmp_path):
    with pytest.raises(ValueError, match="two addresses"):
        fetch_many([(server.url("/a"), tmp_path / "a"), (server.url("/b"), tmp_path / "a")])


def test_a_path_that_cannot_be_made_is_listed(server, tmp_path):
    (tmp_path / "file").touch()
    report = fetch_many([(server.url("/a"), tmp_path / "file" / "a"), (server.url("/a"), tmp_path / "b")])
    assert list(report.failed) == [tmp_path / "file" / "a"] and report.fetched == [tmp_path / "b"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_a_folder_that_cannot_be_written_ends_it_all(server, tmp_path, error, monkeypatch):
    def refuse(*_):
        raise error

    monkeypatch.setattr(many.os, "replace", refuse)
    with pytest.raises(OSError, match=error.strerror):
        fetch_many(several(server, tmp_path, 200))
    assert len(server.seen) < 50 and left_in(tmp_path) == []


def test_a_file_without_end_does_not_fill_the_memory(server, tmp_path, monkeypatch):
    monkeypatch.setattr(many, "LARGEST", 200_000)
    server.always["/a"] = Fault(chunked=True)
    report = fetch_many([(server.url("/a"), tmp_path / "a")], sleep=lambda _: None)
    assert "more than 0 MB" in report.failed[tmp_path / "a"] and len(server.seen) == 2


def test_two_processes_may_fetch_the_same(server, tmp_path, capsys):
    files = several(server, tmp_path, 50)
    code = f"from captioning.fetching.download import fetch_many; fetch_many({[(u, str(p)) for u, p in files]})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        while not server.seen:
            time.sleep(0.01)
        report = fetch_many(files)
        other.communicate(timeout=20)
    assert other.returncode == 0 and len(report.fetched) + len(report.present) == 50
    assert all(path.read_bytes() == BODY[:1000] for _, path in files) and len(list(tmp_path.iterdir())) == 50


def test_a_bug_in_arrive_stops_the_others(server, tmp_path):
    server.always = {f"/{index}": Fault(pause=0.05) for index in range(200)}

    def bug(part):
        if part.name.startswith("0."):
            raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        fetch_many(several(server, tmp_path, 200), workers=2, arrive=bug)
    assert len(server.seen) < 100


@pytest.mark.parametrize(
    "fault", [Fault(status=503, headers={"Retry-After": "60"}), Fault(piece=2000, pause=0.1)], ids=["waits", "reads"]
)
def test_an_error_stops_those_under_way(server, tmp_path, fault):
    server.files["/slow"], server.always["/slow"] = BODY, fault

    def bug(part):
        time.sleep(0.3)
        raise TypeError("a bug")

    began = time.monotonic()
    with pytest.raises(TypeError):
        fetch_many([(server.url("/slow"), tmp_path / "slow"), (server.url("/a"), tmp_path / "a")], arrive=bug)
    assert time.monotonic() - began < 8 and len(server.of("/slow")) == 1
