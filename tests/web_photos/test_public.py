"""Photos come from public hosts only, by whatever redirects; the reader stays unknown."""

import base64
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from captioning.fetching.photo import AGENT, WebPhoto, is_public
from captioning.images import ImageError, each, is_one, load_pixels
from tests.server import Fault, Server
from tests.web_photos.hosts import PNG, PRIVATE, raw, refused


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


@pytest.mark.parametrize(
    ("location", "told"),
    [("http://169.254.169.254/meta", PRIVATE), ("http://[::1]:{port}/dog.png", PRIVATE), ("//10.0.0.1/x", PRIVATE),
     ("file:///etc/passwd", "neither http nor https"), ("ftp://127.0.0.1/x", "neither http nor https"),
     ("/loop", "redirects more than 5 times"), ("http://[bad/", "failed"), ("http://a..b/", "failed")],
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
