"""What is asked for again, after how long a wait, and when it is given up."""

import gzip
import time
from email.utils import formatdate

import pytest

from captioning.fetching.asking import BUFFER
from captioning.fetching.download import DownloadError, fetch
from tests.download.served import BODY, files_in, starts
from tests.server import Fault


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
    with pytest.raises(DownloadError, match="HTTP 500 "):
        get(retries=5)
    assert len(server.seen) == 6 and len(get.waits) == 5
    assert all(later > earlier for earlier, later in zip(get.waits, get.waits[1:], strict=False))
    assert get.waits[0] == 0 and 1 <= get.waits[1] <= 1.5 and 8 <= get.waits[4] <= 8.5


def test_progress_starts_the_count_of_failures_again(get, server):
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
    assert get.waits == [0]


def test_follows_redirects_with_the_range(get, server):
    server.files["/b"] = BODY
    server.always["/a"] = Fault(status=302, headers={"Location": "/b"})
    server.faults["/b"] = [Fault(drop=100_000)]
    assert get().read_bytes() == BODY and starts(server, "/b") == [0, 100_000]


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/a", "http://"])
def test_a_malformed_address_is_not_tried_again(get, tmp_path, url):
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "x", sleep=get.waits.append)
    assert get.waits == []


def test_a_trickle_that_is_fast_enough_is_waited_for(get, server):
    server.files["/t"] = BODY[:15_000]
    server.faults["/t"] = [Fault(piece=200, pause=0.04)]  # 5,000 bytes per second
    assert get("/t", timeout=1.5).read_bytes() == BODY[:15_000] and len(server.seen) == 1


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
