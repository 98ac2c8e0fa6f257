"""One file on its way over HTTP: resumed, retried, checked, and named when it is whole."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from captioning.fetching.partial import Partial
from captioning.files import BusyError, only_one

BUFFER = 64 * 1024  # bytes per read: the most that a kill loses
SLOWEST = 1024  # bytes per second; a connection below it for `timeout` seconds counts as broken
LONGEST_WAIT = 600.0  # seconds; a server that asks for more is not waited for
SPARE = 16 * 1024 * 1024  # bytes of the disk that a download leaves free


class DownloadError(RuntimeError):
    """A file could not be fetched; the message names it, the reason and, where there is one, the way out."""


class _Again(Exception):
    """This try failed, the next one may not."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait  # seconds that the server asks for


# Of a RequestException these pass with time; the others, such as a malformed address, do not.
_PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
)


@dataclass
class Transfer:
    """What to fetch, how patiently, and what it must be; see `captioning.fetching.download.fetch`."""

    url: str
    path: Path
    session: requests.Session
    md5: str | None = None
    size: int | None = None
    retries: int = 5
    timeout: float = 30.0
    progress: bool = False
    arrive: Callable[[Path], None] | None = None
    sleep: Callable[[float], object] = time.sleep
    stop: threading.Event = field(default_factory=threading.Event)  # set: give up at the next buffer

    def __post_init__(self):
        self.partial = Partial(self.path)
        self._refused = False

    def run(self) -> bool:
        """Fetch the file; return whether it had to be fetched, False when it was there.

        Raises:
            DownloadError: it cannot be had, or is not the published one.
        """
        if self._present():
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with only_one(self.path):
                if self._present():  # another process has finished it since
                    return False
                try:
                    self._persist()
                finally:
                    self.partial.tidy()
        except BusyError as error:
            raise DownloadError(str(error)) from None
        return True

    def _present(self) -> bool:
        if not self.path.exists():
            return False
        if not self.path.is_file():
            raise DownloadError(f"{self.path} is a folder, not a file: give the path of the file itself.")
        fault = self._fault("size", self.size, self.path.stat().st_size)
        if fault and not self.arrive:  # which may have changed the size
            raise DownloadError(f"{self.path}: {fault}. Delete it and run again.")
        self.partial.forget()  # a kill between the rename and the tidying leaves the note
        return True

    def _persist(self) -> None:
        """Try until the file is whole; give up after `retries` failures in a row that got no further."""
        failures, furthest = 0, self.partial.size()
        while True:
            try:
                self._attempt()
                return self._finish()
            except _Again as error:
                reason, wait = str(error), error.wait
            except _PASSING as error:
                reason, wait = self._explain(error), 0.0
            except requests.RequestException as error:
                raise DownloadError(f"{self.url}: {error}") from error
            except OSError as error:
                raise DownloadError(f"{self.partial.path} cannot be written: {error}") from error
            # A server that ignores Range makes every try start over: only bytes never reached before are progress.
            reached = self.partial.size()
            failures = failures + 1 if reached < furthest + BUFFER else 1
            furthest = max(furthest, reached)
            if failures > self.retries or wait > LONGEST_WAIT:
                raise DownloadError(f"{self.url}: {reason}. Given up after {failures} tries; run again to continue.")
            self._pause(reason, max(wait, min(60, 2 ** (failures - 1)) * random.uniform(1, 1.5)))

    def _explain(self, error: Exception) -> str:
        if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
            return f"no answer within {self.timeout:g} s"
        cause = error  # requests and urllib3 wrap what has happened up to four times
        while isinstance(inner := getattr(cause, "reason", cause.args[-1] if cause.args else None), Exception):
            cause = inner
        return f"the connection failed ({cause!r})"

    def _pause(self, reason: str, wait: float) -> None:
        if self.progress:
            tqdm.write(f"{self.path.name}: {reason}; again in {wait:.0f} s", file=sys.stdout)
        self.sleep(wait)
        if self.stop.is_set():
            raise DownloadError(f"{self.url}: stopped.")

    def _attempt(self) -> None:
        """Make one request and write what it brings."""
        identity = self.partial.identity(self.url)
        have = self.partial.size() if identity else 0
        if have and have == identity["total"]:
            return
        headers = {"Accept-Encoding": "identity"} | (_continue(identity, have) if have else {})
        with self.session.get(self.url, headers=headers, stream=True, timeout=self.timeout) as response:
            self._check_status(response, continued="Range" in headers)
            if response.status_code == 206:
                self._check_same(response, identity, have)
                self._check_size(identity["total"])
            else:
                identity, have = _identity(response, self.url), 0
                self._check_size(identity["total"])
                self.partial.start_over(identity)
            self._write(response, have, identity["total"])

    def _check_status(self, response: requests.Response, continued: bool) -> None:
        status = response.status_code
        reason = f"HTTP {status} {response.reason}"
        if status == 200 or (status == 206 and continued):
            return
        if status in (206, 416):  # a part that was not asked for, or nothing there to continue with
            self.partial.forget()
            raise _Again(f"{reason}: does not fit the bytes that are here")
        if status in (408, 425, 429) or status >= 500:
            wait = _retry_after(response)
            raise _Again(f"{reason}, asks to wait {wait:.0f} s" if wait else reason, wait)
        raise DownloadError(f"{self.url}: {reason}.")

    def _check_same(self, response: requests.Response, identity: dict, have: int) -> None:
        """Let only the rest of the very same file be appended (RFC 9110, 15.3.7)."""
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        total = int(found[2]) if found and found[2] != "*" else None
        now = _identity(response, self.url) | {"total": total}
        changed = [name for name in identity if None not in (now[name], identity[name]) and now[name] != identity[name]]
        if not found or int(found[1]) != have or changed or "Content-Encoding" in response.headers:
            self.partial.forget()
            raise _Again("the file on the server has changed")

    def _check_size(self, total: int | None) -> None:
        """Refuse a file of another size, or too large for the disk, before a byte is fetched or thrown away."""
        if total is not None and self.size not in (None, total):
            raise _Again(f"the server offers {total:,} bytes, the published size is {self.size:,}")
        needed = (total or self.size or 0) - self.partial.size()
        free = shutil.disk_usage(self.path.parent).free
        if needed + SPARE > free:
            room = f"needs {needed / 1e6:,.0f} MB on the disk, {free / 1e6:,.0f} MB are free: make room"
            raise DownloadError(f"{self.path} {room}, or set another folder.")

    def _write(self, response: requests.Response, have: int, total: int | None) -> None:
        bar = tqdm(
            desc=self.path.name, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024,
            file=sys.stdout, disable=not self.progress, mininterval=0.5,
        )  # fmt: skip
        with open(self.partial.path, "r+b") as part, bar:
            part.seek(have)
            for chunk in self._chunks(response):
                part.write(chunk)
                part.flush()  # now the system has it: a kill does not lose it any more
                have += len(chunk)
                bar.update(len(chunk))
        expected = self.size if total is None else total
        if expected not in (None, have):
            raise _Again(f"the connection ended after {have:,} of {expected:,} bytes")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        since, received = time.monotonic(), 0
        # read1 hands over what has come, so that a break loses nothing and a trickle is noticed.
        while chunk := response.raw.read1(BUFFER, decode_content=True):
            yield chunk
            received += len(chunk)
            if self.stop.is_set():
                raise DownloadError(f"{self.url}: stopped.")
            if time.monotonic() - since >= self.timeout:
                if received < SLOWEST * self.timeout:
                    raise _Again(f"only {received:,} bytes in {self.timeout:g} s")
                since, received = time.monotonic(), 0

    def _finish(self) -> None:
        """Check the whole file, let `arrive` have it, give it its name."""
        size = self.partial.size()
        fault = self._fault("size", self.size, size)
        if self.md5 and self.size in (None, size):  # with another size the sum is another one, too
            with open(self.partial.path, "rb") as part:
                fault = self._fault("MD5 sum", self.md5.lower(), hashlib.file_digest(part, "md5").hexdigest())
        if fault:
            self._refuse(f"{fault}. The publisher may have replaced it")
        if self.arrive:
            self.partial.forget()  # a kill while `arrive` changes the file must not leave something to continue
            try:
                self.arrive(self.partial.path)
            except (ValueError, OSError) as error:
                self._refuse(f"not accepted: {error!r}")
        self.partial.finish()

    def _fault(self, what: str, expected: str | int | None, found: str | int) -> str | None:
        return None if expected in (None, found) else f"its {what} is {found}, not {expected} as published"

    def _refuse(self, reason: str) -> None:
        """Throw the bytes away; fetch them a second time, in case the way has damaged them, but not a third."""
        self.partial.start_over({})
        if self._refused:
            raise DownloadError(f"{self.url}: {reason}.")
        self._refused = True
        raise _Again(reason)


def _identity(response: requests.Response, url: str) -> dict:
    """Return what tells two versions of a file apart; a compressed answer tells nothing about the file itself."""
    headers = {} if response.headers.get("Content-Encoding") else response.headers
    length = headers.get("Content-Length", "")
    return {
        "url": url,
        "etag": headers.get("ETag"),
        "modified": headers.get("Last-Modified"),
        "total": int(length) if length.isdigit() else None,
    }


def _continue(identity: dict, have: int) -> dict[str, str]:
    """Return the headers that ask for the rest; If-Range takes no weak ETag (RFC 9110, 13.1.5)."""
    etag = identity["etag"] or "W/"
    validator = identity["modified"] if etag.startswith("W/") else etag
    return {"Range": f"bytes={have}-"} | ({"If-Range": validator} if validator else {})


def _retry_after(response: requests.Response) -> float:
    """Return the seconds that the server asks to wait: a number or a date; 0 when it does not say."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
