"""One line says why a photo at an address cannot be had."""

import re
import socket
import time

import pytest

from captioning.fetching.photo import WebPhoto
from captioning.images import ImageError, load_pixels
from tests.server import Fault
from tests.web_photos.hosts import HEAD, PNG, raw, refused


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=404), r"^HTTP 404 Not Found\.$"),
        (Fault(status=403), r"^HTTP 403 Forbidden\.$"),
        (Fault(status=401), r"^HTTP 401 Unauthorized\.$"),
        (Fault(status=503, headers={"Retry-After": "60"}), r"^HTTP 503 Service Unavailable, asks to wait 60 s\.$"),
        (Fault(status=204), r"^HTTP 204 No Content\.$"),
        (Fault(headers={"Content-Type": "text/html; charset=utf-8"}), "web page"),
        (Fault(headers={"Content-Length": "5, 6"}), "the connection failed"),
        (Fault(headers={"Content-Encoding": "br"}), "packed as 'br'"),
    ],
)
def test_a_host_that_sends_no_photo_is_asked_once(fault, told, server, monkeypatch):
    monkeypatch.setenv("CAPTIONING_MIRROR", "https://mirror.example")  # is for data sets
    server.always["/dog.png"] = fault
    assert re.search(told, refused(server.url("/dog.png")))
    assert len(server.seen) <= 2 and (len(server.seen) == 1 or "connection" in told)


def test_terminals_are_not_written_to_by_a_host():
    with raw(b"HTTP/1.1 404 \x1b[2J\x07Gone\r\nContent-Length: 0\r\n\r\n") as address:
        assert refused(address) == "HTTP 404 \ufffd[2J\ufffdGone."


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://no-such-host.invalid/dog.jpg", r"cannot be reached.*(resol|known|failure|gaierror)"),
        ("http://bücher.invalid/hünd.jpg", "bücher.invalid cannot be reached"),
        ("http://☃☃.invalid/dog.jpg", "IDNA|label|cannot be reached"),
        ("http://a..b/dog.jpg", "a..b cannot be reached"),
        ("http://exa mple/dog.jpg", "invalid"),
        (f"http://{'a' * 70}.com/dog.jpg", "cannot be reached"),
        *((address, "no http or https address that can be asked, like https://") for address in (
            "http://", "http://[bad/dog.jpg", "http://host:99999/", "http://host:0/", "file:///etc/passwd",
            "file://localhost/etc/passwd", "ftp://example.org/dog.jpg", "s3://bucket/dog.jpg",
        )),
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere(address, told, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: exec("raise socket.gaierror(-2, 'Name not known')"))
    assert re.search(told, refused(address, allow_private=False))
    with pytest.raises(ImageError, match=told):
        load_pixels(address, 4)


def test_a_port_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "Connection refused" in refused(f"http://127.0.0.1:{port}/dog.jpg")


def test_tls_that_fails_is_told(server):
    assert "SSL" in refused(server.url("/dog.png").replace("http", "https"))


def test_a_picture_is_told_from_its_bytes_and_by_its_address(server):
    server.files["/dog.png"] = b"<!DOCTYPE html><title>Sign in</title>"
    with pytest.raises(ImageError, match=rf"^{server.url('/dog.png')} is not a picture .* web page"):
        load_pixels(WebPhoto(server.url("/dog.png"), allow_private=True), 4, "Picture 7")


def test_a_proxy_is_used_where_the_address_need_not_be_checked_only(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "The proxy that is set is used with --allow-private" in refused("http://no-such.invalid/dog.png", False)
    assert server.connections == 0
    assert WebPhoto("http://no-such.invalid/dog.png", allow_private=True).read() == PNG


def test_a_proxy_is_left_in_time(hurried, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with raw(HEAD, endless=b"X: y\r\n", pause=0.05) as address:
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", address.removesuffix("/dog.png"))
            began = time.monotonic()
            refused(f"{scheme}://no-such.invalid/dog.png")
            assert time.monotonic() - began < 2


def test_ipv6():
    try:
        with raw(HEAD, b"\r\n", PNG, host="::1") as address:
            assert WebPhoto(address, allow_private=True).read() == PNG
    except OSError:
        pytest.skip("this machine has no IPv6")
