"""Downloads from a server on the loopback address that misbehaves in every way that servers do."""

import gzip
import hashlib
import io
import json
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, redirect_stdout
from email.utils import formatdate
from pathlib import Path

import pytest

from benchmarks.download_kills import kill_run, photo_run
from captioning import transfer
from captioning.download import URLS, DownloadError, fetch, fetch_many, main, mirror
from captioning.partial import only_one
from captioning.transfer import BUFFER
from tests.server import Fault, Server

BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
LONGER = random.Random(3).randbytes(400_000)
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("CAPTIONING_MIRROR", raising=False)


@pytest.fixture
def server():
    with Server() as server:
        server.files["/a"] = BODY
        yield server


@pytest.fixture
def get(server, tmp_path):
    """Fetch /a without waiting; `get.waits` are the waits it asked for."""

    def get(path="/a", name="a", **options):
        options = {"progress": False, "timeout": 5.0, "sleep": get.waits.append} | options
        return fetch(server.url(path), tmp_path / name, **options)

    get.waits = []
    return get


def starts(server, path="/a"):
    return [seen.start for seen in server.of(path)]


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_second_call_does_nothing(get, server, tmp_path):
    path = get(name="new/folder/a")
    assert path.read_bytes() == BODY and files_in(tmp_path) == ["a"]
    before = path.stat().st_mtime_ns
    assert get(name="new/folder/a") == path
    assert path.stat().st_mtime_ns == before and len(server.seen) == 1


@pytest.mark.parametrize("reset", [0, 1])
def test_continues_after_several_breaks_at_the_very_byte(get, server, tmp_path, reset):
    # An even number of bytes ends in an orderly close, an odd one in a reset.
    server.faults["/a"] = [Fault(drop=80_000 + reset), Fault(drop=70_000 + reset), Fault(drop=66_000 + reset)]
    assert get().read_bytes() == BODY
    assert files_in(tmp_path) == ["a"] and len(server.seen) == 4
    if not reset:  # a reset may overtake bytes in the system of a busy machine
        assert starts(server) == [0, 80_000, 150_000, 216_000]
        assert sum(seen.sent for seen in server.seen) == len(BODY)


def test_short_parts_are_put_together(get, server):
    server.faults["/a"] = [Fault(drop=100_000), Fault(limit=80_000), Fault(limit=80_000)]
    assert get().read_bytes() == BODY and starts(server) == [0, 100_000, 180_000, 260_000]


def test_every_byte_is_on_disk_before_the_next_is_read(get, server, monkeypatch):
    real, sizes = transfer.Transfer._chunks, []

    def watched(self, response):
        received = 0
        for chunk in real(self, response):
            yield chunk
            received += len(chunk)
            sizes.append((self.partial.size(), received))

    monkeypatch.setattr(transfer.Transfer, "_chunks", watched)
    server.files["/a"] = BODY[:3000]
    server.faults["/a"] = [Fault(piece=300, pause=0.01)]
    get()
    assert sizes and all(on_disk == received for on_disk, received in sizes)


def test_a_second_run_continues(get, server, tmp_path):
    server.faults["/a"] = [Fault(drop=100_000)]
    with pytest.raises(DownloadError, match="run again"):
        get(retries=0)
    assert files_in(tmp_path) == ["a.part", "a.part.json"]
    assert get().read_bytes() == BODY and starts(server) == [0, 100_000]


def test_starts_over_when_the_server_ignores_range(get, server):
    server.faults["/a"] = [Fault(drop=100_000), Fault(ignore_range=True)]
    assert get().read_bytes() == BODY
    assert "Range" in server.seen[1].headers and starts(server) == [0, 0]


def test_gives_up_on_a_server_that_ignores_range_and_always_drops(get, server):
    server.always["/a"] = Fault(drop=200_000, ignore_range=True)
    with pytest.raises(DownloadError):
        get(retries=3)
    assert len(server.seen) == 4


@pytest.mark.parametrize("new", [OTHER, LONGER, BODY[:200_000], BODY[:50_000]])
@pytest.mark.parametrize("validators", [("ETag",), ("Last-Modified",), ("ETag", "Last-Modified"), ("ETag", "weak")])
def test_never_mixes_two_versions(get, server, validators, new):
    server.validators = validators
    server.faults["/a"] = [Fault(drop=100_000), Fault(change=new)]
    assert get().read_bytes() == new


def test_if_range_takes_no_weak_etag(get, server):
    server.validators = ("ETag", "weak", "Last-Modified")
    server.faults["/a"] = [Fault(drop=100_000)]
    get()
    assert server.seen[1].headers["If-Range"].endswith("GMT") and starts(server) == [0, 100_000]


def test_the_length_alone_allows_to_continue(get, server):
    server.validators = ()
    server.faults["/a"] = [Fault(drop=100_000)]
    assert get().read_bytes() == BODY and starts(server) == [0, 100_000]


def test_the_length_alone_tells_a_changed_file(get, server):
    server.validators = ()
    server.faults["/a"] = [Fault(drop=100_000), Fault(change=LONGER)]
    assert get().read_bytes() == LONGER


def test_a_changed_length_is_seen_before_its_bytes_are_kept(get, server):
    """Else a break at the old length would leave a file that looks whole."""
    server.validators = ()
    server.faults["/a"] = [Fault(drop=100_000), Fault(change=LONGER, drop=200_000)]
    assert get().read_bytes() == LONGER


def test_what_nothing_identifies_is_started_over(get, server, tmp_path):
    server.validators = ()
    server.faults["/a"] = [Fault(drop=100_000, chunked=True), Fault(chunked=True)]
    assert get().read_bytes() == BODY
    assert all("Range" not in seen.headers for seen in server.seen) and len(server.seen) == 2
    server.faults["/a"] = [Fault(drop=100_000, chunked=True)]
    with pytest.raises(DownloadError):
        get(name="b", retries=0)
    assert files_in(tmp_path) == ["a"]


def test_an_etag_without_a_length_allows_to_continue(get, server):
    server.faults["/a"] = [Fault(drop=100_000, chunked=True), Fault(chunked=True)]
    assert get().read_bytes() == BODY and starts(server) == [0, 100_000]


@pytest.mark.parametrize("shift", [-10, 10])
def test_refuses_a_part_that_begins_elsewhere(get, server, shift):
    server.faults["/a"] = [Fault(drop=100_000), Fault(shift=shift)]
    assert get().read_bytes() == BODY and len(server.seen) == 3


@pytest.mark.parametrize(
    "note",
    ["", "[]", "{}", '{"url": "http://elsewhere/a", "etag": null, "modified": null, "total": 300000}', None],
)
def test_bytes_of_unknown_origin_are_not_continued(get, server, tmp_path, note):
    (tmp_path / "a.part").write_bytes(b"x" * 100_000)
    if note is not None:
        (tmp_path / "a.part.json").write_text(note)
    assert get().read_bytes() == BODY and starts(server) == [0]


def test_an_old_note_does_not_vouch_for_new_bytes(get, server):
    nameless = Fault(
        change=OTHER, ignore_range=True, chunked=True, headers={"ETag": None, "Last-Modified": None}, drop=150_000
    )
    server.faults["/a"] = [Fault(drop=100_000), nameless, Fault(change=BODY)]
    assert get().read_bytes() == BODY


def test_a_try_that_brings_nothing_leaves_nothing(get, server, tmp_path):
    server.always["/a"] = Fault(drop=0)
    with pytest.raises(DownloadError):
        get(retries=1)
    assert files_in(tmp_path) == []


def test_a_partial_file_that_is_too_long_is_started_over(get, server, tmp_path):
    server.faults["/a"] = [Fault(drop=100_000)]
    with pytest.raises(DownloadError):
        get(retries=0)
    with open(tmp_path / "a.part", "ab") as part:
        part.write(LONGER)
    assert get().read_bytes() == BODY and starts(server) == [0, 0]


def test_a_whole_partial_file_is_only_renamed(get, server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer.Partial, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        get()
    monkeypatch.undo()
    assert files_in(tmp_path) == ["a.part", "a.part.json"]
    assert get().read_bytes() == BODY and len(server.seen) == 1 and files_in(tmp_path) == ["a"]


def test_a_length_that_is_too_large_is_no_whole_file(get, server, tmp_path):
    server.always["/a"] = Fault(declare=1000)
    with pytest.raises(DownloadError):
        get(retries=2)
    assert not (tmp_path / "a").exists()
    server.always.clear()
    assert get().read_bytes() == BODY


@pytest.mark.parametrize("known", [{"md5": MD5}, {"size": len(BODY)}])
def test_a_length_that_is_too_small_is_seen_by_what_is_known(get, server, tmp_path, known):
    server.always["/a"] = Fault(declare=-1000)
    with pytest.raises(DownloadError, match="published"):
        get(retries=2, **known)
    assert files_in(tmp_path) == []
    server.always.clear()
    assert get(**known).read_bytes() == BODY


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_is_not_there_is_not_asked_for_again(get, server, tmp_path, status):
    server.always["/a"] = Fault(status=status)
    with pytest.raises(DownloadError, match=f"/a: HTTP {status} "):
        get()
    assert len(server.seen) == 1 and files_in(tmp_path) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_asked_for_again(get, server, status):
    server.faults["/a"] = [Fault(status=status), Fault(status=status)]
    assert get().read_bytes() == BODY and len(server.seen) == 3


def test_waits_grow_and_end(get, server):
    server.always["/a"] = Fault(status=500)
    with pytest.raises(DownloadError, match=r"HTTP 500 .*6 tries"):
        get(retries=5)
    assert len(server.seen) == 6 and len(get.waits) == 5
    assert all(later > earlier for earlier, later in zip(get.waits, get.waits[1:], strict=False))
    assert 1 <= get.waits[0] <= 1.5 and 16 <= get.waits[4] <= 24


def test_progress_starts_the_count_of_failures_anew(get, server):
    drops = [Fault(drop=BUFFER), Fault(status=500)] * 4
    server.faults["/a"] = list(drops)
    assert get(retries=2).read_bytes() == BODY
    assert max(get.waits) < 4


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("date", [False, True])
def test_waits_as_long_as_the_server_asks(get, server, status, date):
    value = formatdate(time.time() + 40, usegmt=True) if date else "40"
    server.faults["/a"] = [Fault(status=status, headers={"Retry-After": value})]
    get()
    assert len(get.waits) == 1 and 30 <= get.waits[0] <= 40


def test_does_not_wait_for_hours(get, server):
    server.faults["/a"] = [Fault(status=429, headers={"Retry-After": "7200"})]
    with pytest.raises(DownloadError, match="7200 s"):
        get()
    assert get.waits == []


@pytest.mark.parametrize("value", ["soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_senseless_wait_is_left_out(get, server, value):
    server.faults["/a"] = [Fault(status=429, headers={"Retry-After": value})] * 2
    with pytest.raises(DownloadError, match=r"429 Too Many Requests\."):
        get(retries=1)
    assert 1 <= get.waits[0] <= 1.5


def test_follows_redirects_with_the_range(get, server):
    server.files["/b"] = BODY
    server.always["/a"] = Fault(status=302, headers={"Location": "/b"})
    server.faults["/b"] = [Fault(drop=100_000)]
    assert get().read_bytes() == BODY and starts(server, "/b") == [0, 100_000]


def test_a_redirect_to_itself_ends(get, server):
    server.always["/a"] = Fault(status=302, headers={"Location": "/a"})
    with pytest.raises(DownloadError, match="redirects"):
        get()
    assert get.waits == []


def test_a_closed_connection_is_tried_again(get, server):
    server.faults["/a"] = [Fault(close=True)]
    assert get().read_bytes() == BODY


def test_no_server_at_all(get, tmp_path):
    with pytest.raises(DownloadError, match="connection failed"):
        fetch("http://127.0.0.1:9/a", tmp_path / "x", retries=1, sleep=get.waits.append, progress=False)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/a", "http://"])
def test_a_malformed_address_is_not_tried_again(get, tmp_path, url):
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "x", sleep=get.waits.append, progress=False)
    assert get.waits == []


def test_a_trickle_that_is_fast_enough_is_waited_for(get, server):
    server.files["/t"] = BODY[:4000]
    server.faults["/t"] = [Fault(piece=200, pause=0.05)]  # 4,000 bytes per second
    assert get("/t", timeout=0.4).read_bytes() == BODY[:4000] and len(server.seen) == 1


def test_a_trickle_that_is_too_slow_counts_as_broken(get, server):
    server.faults["/a"] = [Fault(piece=10, pause=0.05)]  # 200 bytes per second
    assert get(timeout=0.4).read_bytes() == BODY
    assert len(server.seen) == 2 and 0 < server.seen[1].start < 1000


def test_a_trickle_after_a_brisk_beginning_counts_as_broken(get, server):
    server.faults["/a"] = [Fault(piece=10, pause=0.05, brisk=20_000)]
    assert get(timeout=0.4).read_bytes() == BODY and 20_000 <= server.seen[1].start < 21_000


def test_an_early_end_without_a_length_is_seen_by_the_size(get, server):
    server.faults["/a"] = [Fault(headers={"Content-Length": None}, drop=100_000)]
    assert get(size=len(BODY)).read_bytes() == BODY and starts(server) == [0, 100_000]


def test_silence_counts_as_broken(get, server):
    server.faults["/a"] = [Fault(pause=5.0)]
    began = time.monotonic()
    assert get(timeout=0.3).read_bytes() == BODY
    assert time.monotonic() - began < 4 and len(get.waits) == 1


def test_a_compressed_answer_is_unpacked(get, server):
    server.files["/z"] = gzip.compress(BODY)
    server.always["/z"] = Fault(headers={"Content-Encoding": "gzip"})
    server.faults["/z"] = [Fault(headers={"Content-Encoding": "gzip"}, drop=100_000)]
    assert get("/z").read_bytes() == BODY and starts(server, "/z") == [0, 0]


def test_compressed_bytes_are_not_appended(get, server):
    server.files["/z"] = body = BODY[:100_000] + gzip.compress(BODY)
    server.faults["/z"] = [Fault(drop=100_000, chunked=True), Fault(chunked=True, headers={"Content-Encoding": "gzip"})]
    assert get("/z").read_bytes() == body and starts(server, "/z") == [0, 100_000, 0]
    assert all(seen.headers["Accept-Encoding"] == "identity" for seen in server.seen)


def test_the_right_sum_passes(get, server):
    assert get(md5=MD5.upper(), size=len(BODY)).read_bytes() == BODY


def test_the_wrong_sum_is_refused_and_nothing_is_left(get, server, tmp_path):
    with pytest.raises(DownloadError, match=f"MD5 sum is {MD5}, not 0000"):
        get(md5="0000")
    assert files_in(tmp_path) == [] and starts(server) == [0, 0]  # a second time, in case the way has damaged it


def test_damage_on_the_way_is_repaired(get, server):
    server.files["/a"] = OTHER
    server.faults["/a"] = [Fault(), Fault(change=BODY)]
    assert get(md5=MD5).read_bytes() == BODY


@pytest.mark.parametrize("known", [{"md5": "0000"}, {"size": 7}])
def test_warn_only_keeps_the_file(get, known):
    with pytest.warns(UserWarning, match="published"):
        assert get(warn_only=True, **known).read_bytes() == BODY


def test_a_file_of_another_size_costs_no_bytes(get, server, tmp_path):
    """Not even those that are there: the answer may be the sign-in page of a network."""
    server.faults["/a"] = [Fault(drop=100_000)]
    with pytest.raises(DownloadError):
        get(retries=0, size=len(BODY))
    server.faults["/a"] = [Fault(change=b"<html>sign in</html>")]
    with pytest.raises(DownloadError, match="offers 20 bytes"):
        get(retries=0, size=len(BODY))
    server.files["/a"] = BODY
    assert get(size=len(BODY)).read_bytes() == BODY and starts(server)[-1] == 100_000


def test_a_file_that_is_there_with_another_size_is_refused(get, tmp_path):
    (tmp_path / "a").write_bytes(b"short")
    with pytest.raises(DownloadError, match="Delete it"):
        get(size=len(BODY))
    assert (tmp_path / "a").read_bytes() == b"short"


def test_a_folder_in_place_of_the_file_is_refused(get, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DownloadError, match="folder"):
        get()


def test_too_small_a_disk_is_refused_before_any_byte(get, server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": transfer.SPARE + len(BODY) - 1})
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match="make room"):
        get()
    assert files_in(tmp_path) == []
    usage.free += 1
    assert get().read_bytes() == BODY


def test_what_is_there_needs_no_room(get, server, monkeypatch):
    server.faults["/a"] = [Fault(drop=100_000)]
    free = iter([10**12, transfer.SPARE + len(BODY) - 100_000])
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: type("Usage", (), {"free": next(free)}))
    assert get().read_bytes() == BODY


def test_the_rest_needs_room_too(get, server, monkeypatch):
    server.faults["/a"] = [Fault(drop=100_000)]
    free = iter([10**12, transfer.SPARE + len(BODY) - 100_001])
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: type("Usage", (), {"free": next(free)}))
    with pytest.raises(DownloadError, match="make room"):
        get()


def test_arrive_has_the_whole_file_before_it_gets_its_name(get, tmp_path):
    def halve(part):
        assert part.read_bytes() == BODY and not (tmp_path / "a").exists()
        part.write_bytes(BODY[:150_000])

    assert get(arrive=halve, size=len(BODY)).read_bytes() == BODY[:150_000]
    get(arrive=halve, size=len(BODY))


def test_what_arrive_refuses_is_fetched_twice_at_the_most(get, server, tmp_path):
    def refuse(part):
        raise ValueError("no photo")

    with pytest.raises(DownloadError, match="no photo"):
        get(arrive=refuse)
    assert files_in(tmp_path) == [] and starts(server) == [0, 0]


def test_a_kill_during_arrive_leaves_nothing_to_continue(get, server, tmp_path, monkeypatch):
    def killed(part):
        part.write_bytes(b"x" * 100_000)
        raise KeyboardInterrupt

    monkeypatch.setattr(transfer.Partial, "tidy", lambda self: None)  # a kill does not tidy
    with pytest.raises(KeyboardInterrupt):
        get(arrive=killed)
    monkeypatch.undo()
    assert files_in(tmp_path) == ["a.part"]
    assert get().read_bytes() == BODY


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks on Windows")
def test_two_processes_do_not_make_the_same_file(get, tmp_path):
    with only_one(tmp_path / "a"), pytest.raises(DownloadError, match="another process"):
        get()
    assert get().read_bytes() == BODY and files_in(tmp_path) == ["a"]


def test_a_file_that_another_process_has_just_finished(get, server, tmp_path, monkeypatch):
    @contextmanager
    def waited(target):
        target.write_bytes(BODY)
        yield

    monkeypatch.setattr(transfer, "only_one", waited)
    assert get().read_bytes() == BODY and server.seen == []


@pytest.mark.parametrize(
    "url, base, expected",
    [
        ("http://host/x/y.zip", "https://m.example/files/", "https://m.example/files/host/x/y.zip"),
        ("https://host:81/x?a=1", "http://m", "http://m/host:81/x?a=1"),
        ("http://m/host/x", "http://m", "http://m/host/x"),
        ("http://host/x", "", "http://host/x"),
    ],
)
def test_mirror(url, base, expected):
    assert mirror(url, base) == expected


def test_a_mirror_serves_every_address_of_the_table(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPTIONING_MIRROR", server.url("/files"))
    monkeypatch.setitem(URLS, "flickr8k-text", URLS["flickr8k-text"] | {"md5": MD5})
    server.files["/files/github.com/jbrownlee/Datasets/releases/download/Flickr8k/Flickr8k_text.zip"] = BODY
    path = fetch(path=tmp_path / "text.zip", progress=False, **URLS["flickr8k-text"])
    assert path.read_bytes() == BODY
    report = fetch_many([(URLS["flickr8k-text"]["url"], tmp_path / "again.zip")], progress=False)
    assert report.fetched == [tmp_path / "again.zip"] and not report.failed
    assert all(mirror(entry["url"]).startswith(server.url("/files/")) for entry in URLS.values())


@pytest.mark.parametrize(
    "call", [lambda path: fetch("http://h/a", path), lambda path: fetch_many([("http://h/a", path)])]
)
def test_a_wrong_mirror_is_named(monkeypatch, tmp_path, call):
    monkeypatch.setenv("CAPTIONING_MIRROR", "mirror.example")
    with pytest.raises(DownloadError, match="CAPTIONING_MIRROR"):
        call(tmp_path / "a")


def test_the_bar_shows_rate_and_time_left(get, server, capsys):
    server.faults["/a"] = [Fault(drop=100_000), Fault(pause=0.05)]
    get(progress=True)
    shown = capsys.readouterr().out
    assert "100%" in shown and "B/s" in shown and "again in 1 s" in shown
    assert any(f"<{minutes}" in shown for minutes in ("00:00", "00:01"))


def test_no_bar_when_not_wanted(get, server, capsys):
    server.faults["/a"] = [Fault(status=500)]
    get()
    fetch_many([(server.url("/a"), "unused")][:0], progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_many_in_order_and_a_second_call(server, tmp_path):
    server.files |= {f"/{index}": BODY[:1000] for index in range(40) if index != 7}
    files = [(server.url(f"/{index}"), tmp_path / str(index)) for index in range(40)]
    report = fetch_many(iter(files), workers=3, progress=False)
    assert report.fetched == [path for _, path in files if path.name != "7"]
    assert list(report.failed) == [tmp_path / "7"] and "404" in report.failed[tmp_path / "7"]
    assert "39 fetched, 0 present, 1 failed" in str(report)
    before = len(server.seen)
    report = fetch_many(files, workers=3, progress=False)
    assert len(report.present) == 39 and not report.fetched and len(server.seen) == before + 1


def test_as_many_at_a_time_as_asked_for(server, tmp_path):
    server.files |= {f"/{index}": BODY[:1000] for index in range(12)}
    together, lock, most = [], threading.Lock(), []

    def arrive(part):
        with lock:
            together.append(part)
            most.append(len(together))
        time.sleep(0.1)
        with lock:
            together.remove(part)

    files = [(server.url(f"/{index}"), tmp_path / str(index)) for index in range(12)]
    fetch_many(files, workers=3, progress=False, arrive=arrive)
    assert max(most) == 3


def test_many_keeps_connections(server, tmp_path):
    server.files |= {f"/{index}": BODY[:1000] for index in range(40)}
    fetch_many([(server.url(f"/{index}"), tmp_path / str(index)) for index in range(40)], workers=2, progress=False)
    assert server.connections == 2


def test_the_same_pair_twice_is_fetched_once(server, tmp_path):
    report = fetch_many([(server.url("/a"), tmp_path / "a")] * 3, workers=1, progress=False)
    assert report.fetched == [tmp_path / "a"] and len(server.seen) == 1


def test_two_addresses_for_one_path_are_an_error(server, tmp_path):
    with pytest.raises(ValueError, match="two addresses"):
        fetch_many([(server.url("/a"), tmp_path / "a"), (server.url("/b"), tmp_path / "a")], progress=False)


def test_a_path_that_cannot_be_made_is_listed(server, tmp_path):
    (tmp_path / "file").touch()
    report = fetch_many(
        [(server.url("/a"), tmp_path / "file" / "a"), (server.url("/a"), tmp_path / "b")], progress=False
    )
    assert list(report.failed) == [tmp_path / "file" / "a"] and report.fetched == [tmp_path / "b"]


def test_a_bug_in_arrive_stops_the_others(server, tmp_path):
    server.files |= {f"/{index}": BODY[:1000] for index in range(200)}
    server.always = {f"/{index}": Fault(pause=0.01) for index in range(200)}

    def bug(part):
        raise TypeError("a bug")

    files = [(server.url(f"/{index}"), tmp_path / str(index)) for index in range(200)]
    with pytest.raises(TypeError, match="a bug"):
        fetch_many(files, progress=False, arrive=bug)
    assert len(server.seen) < 30


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


def command(*arguments):
    shown = io.StringIO()
    with redirect_stdout(shown):
        return main([str(argument) for argument in arguments]), shown.getvalue()


def test_command_for_one_file(server, tmp_path):
    code, shown = command(server.url("/a"), tmp_path / "a", "--md5", MD5)
    assert code == 0 and (tmp_path / "a").read_bytes() == BODY and str(tmp_path / "a") in shown
    assert command(server.url("/a"), tmp_path / "c", "--md5", "0000", "--retries", 1)[0] == 1
    code, shown = command(server.url("/none"), tmp_path / "b")
    assert code == 1 and "404" in shown


def test_command_for_a_list(server, tmp_path):
    lines = ["# photos", "", f"{server.url('/a')}\t{tmp_path}/with space.jpg", f"{server.url('/none')} {tmp_path}/b"]
    (tmp_path / "list").write_text("\n".join(lines))
    code, shown = command("--list", tmp_path / "list", "--workers", 2)
    assert code == 1 and f"{tmp_path}/b: " in shown and "404" in shown
    assert (tmp_path / "with space.jpg").read_bytes() == BODY
    (tmp_path / "list").write_text("\n".join(lines[:3]))
    assert command("--list", tmp_path / "list")[0] == 0


@pytest.mark.parametrize("line", ["http://host/a", "http://host/a "])
def test_command_names_a_bad_line(tmp_path, line):
    (tmp_path / "list").write_text(f"# one\n{line}\n")
    code, shown = command("--list", tmp_path / "list")
    assert code == 1 and "line 2" in shown


@pytest.mark.parametrize("arguments", [[], ["http://host/a"], ["http://host/a", "path", "--list", "file"]])
def test_command_with_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_exit_code_of_the_process(server, tmp_path):
    run = [sys.executable, "-m", "captioning.download"]
    done = subprocess.run([*run, server.url("/a"), tmp_path / "a"], cwd=Path(__file__).parents[1], capture_output=True)
    assert done.returncode == 0 and (tmp_path / "a").read_bytes() == BODY and done.stderr == b""
    gone = subprocess.run([*run, server.url("/none"), tmp_path / "b"], cwd=Path(__file__).parents[1])
    assert gone.returncode == 1


def test_needs_no_tensorflow():
    code = "import sys, captioning.download, captioning.unpack; print({'tensorflow', 'keras'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_the_note_names_the_version(get, server, tmp_path):
    server.faults["/a"] = [Fault(drop=100_000)]
    with pytest.raises(DownloadError):
        get(retries=0)
    note = json.loads((tmp_path / "a.part.json").read_text())
    assert note["etag"] == f'"{MD5}"' and note["total"] == len(BODY) and note["url"] == server.url("/a")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_downloads_survive_kills():
    counts = kill_run(downloads=8, size=4_000_000, seconds=1.2)
    assert counts["right"] == 8 and counts["never_killed"] == 0 and counts["kills"] >= 8
    assert counts["asked_again"] == 0 and counts["rest"] == []
    # What the system held for a client when it was killed comes again; on a busy machine that is more than a buffer.
    assert counts["surplus_per_kill"] < 2_000_000


def test_photos_from_a_bad_server():
    counts = photo_run(photos=60, share=0.35)
    assert counts["kinds"] == 20  # all of them
    assert counts["wrong"] == [] and counts["failed"] == 7 and counts["fetched"] == counts["right"] == 53
    assert counts["fetched_again"] == 0 and counts["left_over"] == []
