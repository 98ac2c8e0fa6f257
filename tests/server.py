"""A web server on the loopback address that serves real files and misbehaves on demand."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PIECE = 16 * 1024  # bytes written at a time


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong; several may come together."""

    close: bool = False  # hang up without an answer
    status: int = 0  # answer with this status and a short text
    headers: dict = field(default_factory=dict)  # sent in addition; the value None leaves a header out
    drop: int | None = None  # hang up after so many bytes of the body
    declare: int = 0  # added to the true Content-Length
    ignore_range: bool = False  # send the whole file whatever is asked for
    shift: int = 0  # a partial answer begins so many bytes off
    change: bytes | None = None  # the file has another content from now on
    limit: int | None = None  # a partial answer has at most so many bytes, and says so
    pause: float = 0.0  # seconds before each piece
    brisk: int = 0  # bytes that go out without a pause
    piece: int = PIECE  # bytes per piece
    chunked: bool = False  # no Content-Length


@dataclass
class Seen:
    """One request, and how many bytes of the body went out."""

    path: str
    start: int
    headers: dict
    status: int = 200
    sent: int = 0


class Server(ThreadingHTTPServer):
    """Serves `files`; each answer for a path takes the next of its `faults`, the last of `always` stays."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.always: dict[str, Fault] = {}
        self.seen: list[Seen] = []
        self.validators = ("ETag", "Last-Modified")  # "weak": an ETag that If-Range must not use
        self.pace = 0.0  # bytes per second and connection; 0: as fast as it goes
        self.connections = 0
        self.lock = threading.Lock()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def of(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    def next_fault(self, path: str) -> Fault:
        with self.lock:
            faults = self.faults[path]
            return faults.pop(0) if faults else self.always.get(path, Fault())

    def handle_error(self, request, client_address):
        pass  # clients that are killed hang up; that is the point


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self):
        super().setup()
        self.server.connections += 1
        # Little room in the system: bytes that the server has sent are bytes that the client has, or nearly.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PIECE)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(urlsplit(self.path).path)

    def answer(self, path: str):
        fault = self.server.next_fault(path)
        seen = Seen(path, 0, dict(self.headers))
        self.server.seen.append(seen)
        if fault.close:
            return self.hang_up()
        if fault.change is not None:
            self.server.files[path] = fault.change
        if fault.status or path not in self.server.files:
            return self.refuse(seen, fault)
        body = self.server.files[path]
        validators = self.validators(body)
        seen.start = 0 if fault.ignore_range else self.wanted(validators)
        if seen.start >= len(body) > 0:
            return self.refuse(seen, Fault(status=416))
        headers = validators | {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        first = seen.start + (fault.shift if seen.start else 0)
        last = len(body)
        if seen.start:
            seen.status = 206
            last = min(last, first + fault.limit) if fault.limit else last
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{len(body)}"
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(last - first + fault.declare)
        self.send(seen, headers | fault.headers)
        self.stream(seen, body[first:last], fault)

    def validators(self, body: bytes) -> dict[str, str]:
        digest = hashlib.md5(body).hexdigest()
        weak = "W/" if "weak" in self.server.validators else ""
        known = {"ETag": f'{weak}"{digest}"', "Last-Modified": formatdate(int(digest[:7], 16), usegmt=True)}
        return {name: known[name] for name in self.server.validators if name in known}

    def wanted(self, validators: dict[str, str]) -> int:
        condition = self.headers.get("If-Range")
        if condition and condition not in [value for value in validators.values() if not value.startswith("W/")]:
            return 0
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def refuse(self, seen: Seen, fault: Fault):
        seen.status = fault.status or 404
        text = f"status {seen.status}".encode()
        self.send(seen, {"Content-Length": str(len(text))} | fault.headers)
        self.wfile.write(text)

    def send(self, seen: Seen, headers: dict):
        self.send_response(seen.status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def stream(self, seen: Seen, body: bytes, fault: Fault):
        end = len(body) if fault.drop is None else min(fault.drop, len(body))
        began = time.monotonic()
        for first in range(0, end, fault.piece):
            time.sleep(fault.pause if first >= fault.brisk else 0)
            piece = body[first : min(first + fault.piece, end)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if fault.chunked else piece)
            seen.sent += len(piece)
            if self.server.pace:
                time.sleep(max(0.0, began + seen.sent / self.server.pace - time.monotonic()))
        if fault.drop is not None:
            return self.hang_up(reset=fault.drop % 2 == 1)
        if fault.chunked:
            self.wfile.write(b"0\r\n\r\n")
        if fault.declare or "Content-Length" in fault.headers:
            self.hang_up()

    def hang_up(self, reset: bool = False):
        """Close the connection; with `reset` as after a crash, so that the client sees an error instead of an end."""
        if reset:
            time.sleep(0.1)  # the reset would overtake the bytes that the client has not read yet
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
