"""A photo at an address is fetched from public hosts, within limits of size and time; else one line says why not."""

import base64
import gzip
import io
import re
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.fetching import photo
from captioning.fetching.photo import AGENT, WebPhoto, WebPhotoError, is_public
from captioning.images import ImageError, each, is_one, load_pixels
from tests.pictures import saved
from tests.server import Fault, Server

PNG = saved(Image.new("RGB", (8, 8), "red"), "PNG")
PRIVATE = r"this machine or a private network.*--allow-private"


@pytest.fixture
def server():
    with Server() as server:
        server.files["/dog.png"] = PNG
        yield server


@pytest.fixture
def as_public(monkeypatch):
    """Count the server as one of the internet."""
    monkeypatch.setattr(photo, "is_public", lambda address: address == "127.0.0.1" or is_public(address))


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(photo, "LONGEST", 0.25)
    monkeypatch.setattr(photo, "SILENCE", 0.2)


@contextmanager
def raw(*beginning, endless=b"", pause=0.0):
    """A server that sends these bytes whatever it is asked, then others until the client hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    try:
                        client.recv(4096)
                        client.sendall(b"".join(beginning))
                        while endless:
                            time.sleep(pause)
                            client.sendall(endless)
                    except OSError:
                        pass

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/dog.png"
        listening.shutdown(socket.SHUT_RDWR)


def refused(address, allow_private=True):
    """Return why a photo cannot be fetched: one line that names the address."""
    with pytest.raises(WebPhotoError) as error:
        WebPhoto(address, allow_private).read()
    text = str(error.value)
    assert text.startswith(f"{WebPhoto(address).name}: ") and text.isprintable() and text.endswith((".", "only."))
    assert "CAPTIONING_MIRROR" not in text and "  " not in text
    return text.removeprefix(f"{WebPhoto(address).name}: ")


def test_a_photo_at_an_address_is_a_picture_like_any_other(server, as_public):
    address = server.url("/dog.png")
    collapsed = Path(address)
    assert str(collapsed).startswith("http:/1")
    for given in (address, collapsed, address.replace("http", "HTTP"), np.str_(address), WebPhoto(address)):
        assert is_one(given) and list(each(given)) == [given]
        assert (load_pixels(given, 4) == (255, 0, 0)).all()
    assert not is_one([address])


def test_what_is_asked_tells_nothing_of_the_reader(server, as_public, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.always["/start"] = Fault(status=302, headers={"Location": "/dog.png", "Set-Cookie": "who=me; Path=/"})
    assert WebPhoto(server.url("/start")).read() == PNG
    for seen in server.seen:
        assert {name: value for name, value in seen.headers.items() if name != "Host"} == {
            "User-Agent": AGENT, "Accept-Encoding": "identity", "Accept": "*/*", "Connection": "keep-alive",
        }  # fmt: skip


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0.0.0.0", "[::1]",
     "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]",
     "[64:ff9b::a00:1]", "100.64.0.1", "user:pw@127.0.0.1"],
)  # fmt: skip
def test_hosts_of_this_machine_and_its_network_are_not_even_connected_to(host, server):
    assert re.search(PRIVATE, refused(f"http://{host}:{server.server_port}/dog.png", allow_private=False))
    assert server.connections == 0


def test_they_are_asked_where_the_reader_permits_it(server):
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
        assert WebPhoto(f"http://{host}:{server.server_port}/dog.png", allow_private=True).read() == PNG


@pytest.mark.parametrize(
    ("address", "public"),
    [("93.184.215.14", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
     ("2002:808:808::1", True), ("2002:7f00:1::1", False), ("64:ff9b::7f00:1", False), ("::7f00:1", False),
     ("fec0::1", False), ("fc00::1", False), ("fe80::1%eth0", False), ("ff0e::1", False), ("224.0.1.1", False),
     ("255.255.255.255", False), ("240.0.0.1", False), ("192.0.2.1", False), ("2001:db8::1", False)],
)  # fmt: skip
def test_which_addresses_are_public(address, public):
    assert is_public(address) == public


def test_a_name_whose_address_changes_is_asked_for_once_and_that_address_is_connected_to(server, monkeypatch):
    """DNS rebinding: public when it is checked, private when the connection is made."""
    answers, resolve, connected = ["93.184.215.14", "127.0.0.1"], socket.getaddrinfo, []

    def rebound(host, *args, **options):
        return resolve(answers.pop(0) if host == "rebound.example" else host, *args, **options)

    def connect(self, address):
        connected.append(address[0])
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    monkeypatch.setattr(socket.socket, "connect", connect)
    assert "nobody there" in refused(f"http://rebound.example:{server.server_port}/dog.png", allow_private=False)
    assert connected == ["93.184.215.14"]


# Redirects


@pytest.mark.parametrize(
    ("location", "told"),
    [("http://169.254.169.254/meta", PRIVATE), ("http://[::1]:{port}/dog.png", PRIVATE), ("//10.0.0.1/x", PRIVATE),
     ("file:///etc/passwd", "No connection adapters"), ("ftp://127.0.0.1/x", "No connection adapters"),
     ("/loop", "Exceeded 5 redirects"), ("http://[bad/", "failed"), ("http://a..b/", "failed")],
)  # fmt: skip
def test_where_a_redirect_leads_is_checked_again(location, told, server, as_public):
    server.always["/loop"] = Fault(status=302, headers={"Location": location.format(port=server.server_port)})
    assert re.search(told, refused(server.url("/loop"), allow_private=False))
    assert len(server.seen) == (6 if location == "/loop" else 1)


def test_five_redirects_are_followed(server):
    for number in range(5):
        server.always[f"/{number}"] = Fault(status=307, headers={"Location": f"/{number + 1}"})
    server.files["/5"] = PNG
    assert WebPhoto(server.url("/0"), allow_private=True).read() == PNG


def test_the_body_of_a_redirect_is_not_read(server):
    head = f"HTTP/1.1 302 Found\r\nLocation: {server.url('/dog.png')}\r\n\r\n".encode()
    with raw(head, endless=bytes(1 << 20)) as address:
        began = time.monotonic()
        assert WebPhoto(address, allow_private=True).read() == PNG
    assert time.monotonic() - began < 5


def test_a_password_is_sent_to_its_host_only_and_never_told(server):
    address = server.url("/a").replace("//", "//me:se%20cret@")
    with Server() as other:
        other.files["/dog.png"] = PNG
        server.always["/a"] = Fault(
            status=302, headers={"Location": other.url("/dog.png").replace("127.0.0.1", "localhost")}
        )
        assert WebPhoto(address, allow_private=True).read() == PNG
        sent = server.seen[0].headers["Authorization"].removeprefix("Basic ")
        assert base64.b64decode(sent) == b"me:se cret" and "Authorization" not in other.seen[0].headers
    for fault in (Fault(status=404), Fault(close=True), Fault(drop=3), Fault(status=302, headers={"Location": "/a"})):
        server.always["/a"] = fault
        assert "cret" not in refused(address)
    server.files["/a"] = b"text"
    server.always.clear()
    for given in (WebPhoto(address, allow_private=True), address, address.replace("http", "ftp")):
        with pytest.raises(ImageError, match=r"^(http|ftp)://127") as error:
            load_pixels(given, 4, f"the picture {address}")
        assert "cret" not in str(error.value)


# Limits


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


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "beginning",
    [b"", HEAD + b"X: ", HEAD + b"\r\n" + PNG, HEAD + b"Content-Length: 40000000\r\n\r\n"],
    ids=["status", "header", "body", "length"],
)
@pytest.mark.parametrize(("endless", "pause"), [(b"a", 0.05), (b"a" * 9000, 0.05)], ids=["bytes", "much"])
def test_what_never_ends_is_left_in_time(beginning, endless, pause, hurried):
    """Neither a byte now and then nor a fast stream of header lines or body keeps a reader waiting."""
    with raw(beginning, endless=endless, pause=pause) as address:
        began = time.monotonic()
        told = refused(address)
    assert time.monotonic() - began < 2
    assert re.search("it takes longer than 0.25 s|timed out|bytes in|LineTooLong|got more than|BadStatusLine", told)


def test_a_host_that_is_silent_is_left_in_time(hurried):
    with raw(endless=b"a", pause=9) as address:
        began = time.monotonic()
        assert re.search("it takes longer than 0.25 s|timed out", refused(address))
    assert time.monotonic() - began < 2


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


# One line for what cannot be had


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


def test_ipv6(monkeypatch):
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening:
        address = f"http://[::1]:{listening.getsockname()[1]}/dog.png"

        def answer():
            client, _ = listening.accept()
            with client:
                client.recv(4096)
                client.sendall(HEAD + b"\r\n" + PNG)

        threading.Thread(target=answer, daemon=True).start()
        assert WebPhoto(address, allow_private=True).read() == PNG
        assert load_pixels(io.BytesIO(PNG), 4)[0, 0].tolist() == [255, 0, 0]
