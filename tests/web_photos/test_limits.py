"""A photo at an address is fetched within limits of size and time."""

import gzip
import re
import socket
import time

import pytest

from captioning.fetching import photo
from captioning.fetching.photo import WebPhoto, WebPhotoError
from tests.server import Fault
from tests.web_photos.hosts import HEAD, PNG, raw, refused


@pytest.mark.parametrize("fault", [Fault(), Fault(chunked=True), Fault(headers={"Content-Length": None})])
def test_a_photo_that_is_too_large_is_left(fault, server, monkeypatch):
    monkeypatch.setattr(photo, "LARGEST", 1_000_000)
    server.files |= {"/large": bytes(8_000_000), "/fits": bytes(1_000_000)}
    server.always = {"/large": fault, "/fits": fault}
    assert len(WebPhoto(server.url("/fits"), allow_private=True).read()) == 1_000_000
    assert refused(server.url("/large")) == "it has more than 1 MB."
    most = 1_000_000 if fault == Fault() else 4_000_000  # a length that is declared is enough
    assert server.of("/large")[0].sent < most and len(server.of("/large")) == 1
    with pytest.raises(WebPhotoError, match=r"more than 0 MB"):
        WebPhoto(server.url("/fits"), allow_private=True).read(1000)


def test_what_a_photo_has_unpacked_counts(server, monkeypatch):
    monkeypatch.setattr(photo, "LARGEST", 1_000_000)
    server.files |= {"/bomb": gzip.compress(bytes(50_000_000)), "/small": gzip.compress(PNG)}
    server.always = dict.fromkeys(("/bomb", "/small"), Fault(headers={"Content-Encoding": "gzip"}))
    assert WebPhoto(server.url("/small"), allow_private=True).read() == PNG
    assert refused(server.url("/bomb")) == "it has more than 1 MB."
    server.always["/bomb"] = Fault(headers={"Content-Encoding": "gzip, gzip"})
    assert "packed as 'gzip, gzip'" in refused(server.url("/bomb"))


@pytest.mark.parametrize(
    "beginning",
    [b"", HEAD + b"X: ", HEAD + b"\r\n" + PNG, HEAD + b"Content-Length: 40000000\r\n\r\n"],
    ids=["status", "header", "body", "length"],
)
@pytest.mark.parametrize(
    ("endless", "pause"), [(b"a", 0.05), (b"a" * 9000, 0.05), (b"a", 9)], ids=["bytes", "much", "silence"]
)
def test_what_never_ends_is_left_in_time(beginning, endless, pause, hurried):
    """Neither silence, a byte now and then nor a fast stream of header lines or body keeps a reader waiting."""
    with raw(beginning, endless=endless, pause=pause) as address:
        began = time.monotonic()
        told = refused(address)
    assert time.monotonic() - began < 2
    assert re.search("it takes longer than 0.25 s|timed out|bytes in|LineTooLong|got more than|BadStatusLine", told)


def test_a_host_of_many_addresses_where_nobody_answers_is_left_in_time(hurried, monkeypatch):
    def connect(address, timeout):
        time.sleep(timeout)
        raise TimeoutError("timed out")

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 80))] * 100
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "create_connection", connect)
    began = time.monotonic()
    assert refused("http://many.example/", allow_private=False) == "it takes longer than 0.25 s."
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("fault", [Fault(close=True), Fault(drop=10), Fault(drop=11)])
def test_a_connection_that_is_dropped_is_made_once_more(fault, server):
    server.faults["/dog.png"] = [fault]
    assert WebPhoto(server.url("/dog.png"), allow_private=True).read() == PNG and len(server.seen) == 2
    server.seen.clear()
    server.always["/dog.png"] = fault
    assert "the connection failed" in refused(server.url("/dog.png")) and len(server.seen) == 2
