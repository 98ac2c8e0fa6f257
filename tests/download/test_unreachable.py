"""A host that cannot be reached, or sends something else, costs seconds and one error; what is gone costs nothing."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from captioning.fetching import asking
from captioning.fetching.download import DownloadError, fetch, fetch_many
from tests.download.served import BODY, MD5, OTHER, files_in, left_in
from tests.server import Fault, Server

PAGE = b"<!DOCTYPE html><html>Please sign in</html>"


def photos(address, folder, count=2000):
    return [(f"{address}/{index}.jpg", folder / f"{index}.jpg") for index in range(count)]


@contextmanager
def port(listening):
    """The address of a port where nobody listens, or where somebody accepts and never answers."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        if listening:
            mute.listen(200)
        yield f"http://127.0.0.1:{mute.getsockname()[1]}"


@pytest.mark.parametrize("listening, shown", [(False, "refused"), (True, "timed out")])
def test_thousands_of_photos_from_a_silent_host_are_one_error(tmp_path, listening, shown, monkeypatch):
    monkeypatch.setattr(asking, "SLOWNESS", 0.02)
    began = time.monotonic()
    with port(listening) as address, pytest.raises(DownloadError, match=f"(?s)cannot be reached.*{shown}") as error:
        fetch_many(photos(address, tmp_path), timeout=0.5)
    assert time.monotonic() - began < 5 and files_in(tmp_path) == []
    assert address.removeprefix("http://") in str(error.value) and "CAPTIONING_MIRROR" in str(error.value)


@pytest.mark.parametrize("listening, tries", [(False, 6), (True, 2)])
def test_how_often_a_silent_host_is_asked_for_one_file(tmp_path, listening, tries):
    waits = []
    with port(listening) as address, pytest.raises(DownloadError, match=r"cannot be reached.*run again"):
        fetch(f"{address}/a.zip", tmp_path / "a", timeout=0.2, sleep=waits.append)
    assert len(waits) == tries - 1 and sum(waits) < 20


def name_is_unknown(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def certificate_is_wrong(*_, **__):
    raise ssl.SSLCertVerificationError(1, "certificate verify failed")


@pytest.mark.parametrize(
    "url, patched, fault",
    [
        ("http://no.invalid", "socket.getaddrinfo", name_is_unknown),
        ("https://127.0.0.1:9", "urllib3.connection.HTTPSConnection.connect", certificate_is_wrong),
        ("http://a..b", None, None),
    ],
)
def test_what_does_not_pass_is_asked_for_once(tmp_path, url, patched, fault, monkeypatch):
    waits = []
    if patched:
        monkeypatch.setattr(patched, fault)
    with pytest.raises(DownloadError):
        fetch(f"{url}/a.zip", tmp_path / "a", sleep=waits.append)
    with pytest.raises(DownloadError, match="several files in a row"):
        fetch_many(photos(url, tmp_path, 50), sleep=waits.append)
    assert waits == [] and files_in(tmp_path) == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://[", "proxy:8080"])
def test_a_proxy_that_cannot_be_used_is_one_error(tmp_path, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(DownloadError, match=r"several files in a row .*a proxy"):
        fetch_many(photos("http://photos.example", tmp_path), sleep=lambda _: None)


def test_a_server_that_goes_down_in_the_middle(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "SLOWNESS", 0.02)
    with Server() as server:
        server.files = {f"/{index}.jpg": BODY[:1000] for index in range(2000)}

        def arrive(part):
            if part.name.startswith("40.jpg"):
                server.always = {path: Fault(close=True) for path in server.files}
                server.shutdown()
                server.server_close()

        files = photos(server.url(""), tmp_path)
        with pytest.raises(DownloadError, match="cannot be reached"):
            fetch_many(files, arrive=arrive, timeout=0.5)
    assert 30 < len(files_in(tmp_path)) < 100


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_is_gone_is_listed_however_many(server, tmp_path, status):
    server.always = {f"/{index}.jpg": Fault(status=status) for index in range(30)}
    server.files["/30.jpg"] = BODY
    waits = []
    report = fetch_many(photos(server.url(""), tmp_path, 31), sleep=waits.append)
    assert len(report.failed) == 30 and report.fetched == [tmp_path / "30.jpg"]
    assert waits == [] and len(server.seen) == 31


def refuse(part):
    raise ValueError("no photo")


NO_PHOTOS = {
    "typed": Fault(headers={"Content-Type": "text/html; charset=utf-8"}),
    "page": Fault(change=PAGE),
    "empty": Fault(change=b""),
    "refused": Fault(),
    "ill": Fault(status=503),
    "redirect": Fault(status=302, headers={"Location": "/sign-in"}),
    "loop": Fault(status=302, headers={"Location": "/loop"}),
    "address": Fault(status=302, headers={"Location": "http://[bad/"}),
    "scheme": Fault(status=302, headers={"Location": "ftp://127.0.0.1/x"}),
    "nowhere": Fault(status=302),
    "nothing": Fault(status=204),
    "sign-in": Fault(status=401),
    "proxy": Fault(status=407),
    "lengths": Fault(headers={"Content-Length": "5, 6"}),
}


@pytest.mark.parametrize(("kind", "fault"), NO_PHOTOS.items(), ids=NO_PHOTOS)
def test_a_host_that_sends_no_photos_is_one_error(server, tmp_path, kind, fault):
    arrive = refuse if kind == "refused" else None
    server.files = {f"/{index}.jpg": BODY for index in range(500)} | {"/sign-in": PAGE}
    server.always = {f"/{index}.jpg": fault for index in range(500)}
    server.always["/loop"] = Fault(status=302, headers={"Location": "/loop"})
    with pytest.raises(DownloadError, match=r"several files in a row could not be fetched.*a sign-in page"):
        fetch_many(photos(server.url(""), tmp_path, 500), arrive=arrive, sleep=lambda _: None)
    assert left_in(tmp_path) == [] and len(server.seen) < 150 + len(server.of("/loop"))
    assert len(server.of("/loop")) < 1000


def test_a_sign_in_page_in_the_middle(server, tmp_path):
    server.files = {f"/{index}.jpg": BODY[:1000] if index < 200 else PAGE for index in range(1000)}
    with pytest.raises(DownloadError, match="web page"):
        fetch_many(photos(server.url(""), tmp_path, 1000), sleep=lambda _: None)
    # Of the good files, those may be missing that other threads were still fetching.
    assert 200 - 8 < len(files_in(tmp_path)) <= 200 and len(server.seen) < 300


def test_the_last_broken_photos_of_a_dataset_are_listed_again(server, tmp_path):
    """One percent may be missing: what stays broken must not stop every later run."""
    server.files = {f"/{index}.jpg": PAGE if index < 9 else BODY[:100] for index in range(1000)}
    for index in range(9, 1000):
        (tmp_path / f"{index}.jpg").write_bytes(BODY[:100])
    report = fetch_many(photos(server.url(""), tmp_path, 1000), sleep=lambda _: None)
    assert len(report.failed) == 9 and len(report.present) == 991


@pytest.mark.parametrize("size", [len(BODY), None])
@pytest.mark.parametrize(
    "fault, reason",
    [
        (Fault(headers={"Content-Type": "text/html"}), "web page"),
        (Fault(change=PAGE, headers={"Content-Length": None}), "web page|ended after|has changed"),
        (Fault(change=b"\xef\xbb\xbf\n<HTML>"), "web page|its size"),
        (Fault(change=b""), "empty|its size"),
    ],
)
def test_a_page_instead_of_a_file_is_refused_and_nothing_is_kept(get, server, tmp_path, fault, reason, size):
    server.always["/a"] = fault
    with pytest.raises(DownloadError, match=reason):
        get(size=size)
    assert not (tmp_path / "a").exists() and len(server.seen) <= 6
    server.always.clear()
    server.files["/a"] = BODY
    assert get(size=size).read_bytes() == BODY


@pytest.mark.parametrize("known", [{"md5": MD5}, {"size": 299_999}])
def test_a_wrong_sum_or_size_is_asked_for_twice_and_names_the_way_out(get, server, known, tmp_path):
    """A second time, in case the way has damaged it."""
    server.files["/a"] = OTHER
    with pytest.raises(DownloadError, match=r"/a: its (MD5 sum|size) is \w+, not \w+ as published\. .*asking\.py"):
        get(**known)
    assert len(server.seen) == 2 and files_in(tmp_path) == []


def test_a_full_disk_ends_it_all(server, tmp_path, monkeypatch):
    server.files = {f"/{index}.jpg": BODY[:100] for index in range(200)}
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("captioning.files.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="free some, or set another folder"):
        fetch_many(photos(server.url(""), tmp_path, 200))
    assert len(server.seen) < 50


INTERRUPTED = """
import sys
from pathlib import Path
from captioning.fetching.download import fetch_many
files = [(f"{sys.argv[1]}/{index}.jpg", Path(sys.argv[2]) / f"{index}.jpg") for index in range(100)]
try:
    print("began", flush=True)
    fetch_many(files)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_ctrl_c_ends_at_once_and_quietly(tmp_path):
    root = Path(__file__).parents[2]
    with port(True) as address:
        command = [sys.executable, "-c", INTERRUPTED, address, str(tmp_path)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = os.environ | {"NO_PROXY": "127.0.0.1", "PYTHONPATH": str(root), "TQDM_DISABLE": "1"}
        with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
            assert process.stdout.readline() == "began\n"
            time.sleep(0.5)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            shown, errors = process.communicate(timeout=20)
            assert time.monotonic() - began < 2
    assert shown == "interrupted\n" and errors == ""
