"""Fetch a large file: resumed, checked, and named when it is whole."""

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests
from tqdm import tqdm

from captioning.fetching import asking
from captioning.fetching.asking import URLS, Again, DownloadError, mirror
from captioning.fetching.many import FetchReport, fetch_many
from captioning.files import NoSpaceError, beside, only_one, require_space, write_json

_REPLACED = "Try another network; if the publisher has replaced the file, correct captioning/fetching/asking.py."
__all__ = ["URLS", "DownloadError", "FetchReport", "fetch", "fetch_many", "mirror"]


def fetch(
    url: str,
    path: Path | str,
    *,
    md5: str | None = None,
    size: int | None = None,
    retries: int = 5,
    timeout: float = 20.0,
    arrive: Callable[[Path], object] | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Path:
    """Fetch one file and return its path; do nothing when it is already there.

    The bytes go to `<path>.part`; the file gets its name only when it is whole, so that what has the name is right.
    A partial file is continued (RFC 9110: Range with If-Range) as long as the server still has the same file.

    Args:
        url: the original address; `mirror` is applied to it.
        path: where the file goes; missing folders are made.
        md5, size: those published; a file that is there is not read for its sum.
        retries: how many tries in a row may fail without getting further; fewer when the host does not answer at all.
        timeout: seconds to wait without data; for a connection, `asking.CONNECTION` of them at most.
        arrive: called with the whole `.part` file before it gets its name; refuses it with ValueError or OSError.
        sleep: how to wait, in seconds.

    Raises:
        DownloadError: the file cannot be had, or is not the published one.
        NoSpaceError: the disk is too small.
    """
    path, url = Path(path), mirror(url)
    show = partial(tqdm.write, file=sys.stdout)
    session = asking.patient_session(retries, sleep)
    transfer = _Transfer(url, path, session, md5, size, timeout, arrive)
    if transfer.present():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with session, only_one(path, wait=True):
            try:
                if not transfer.present():  # another process may have finished it since
                    asking.persist(transfer.attempt, url, retries, sleep, show, transfer.size_here)
            finally:
                transfer.tidy()
    except NoSpaceError:
        raise
    except OSError as error:
        raise DownloadError(f"{path}.part cannot be written: {error}") from error
    return path


@dataclass
class _Transfer:
    """What to fetch, and what it must be; see `fetch`."""

    url: str
    path: Path
    session: requests.Session
    md5: str | None
    size: int | None
    timeout: float
    arrive: Callable[[Path], object] | None

    def __post_init__(self) -> None:
        self.part, self.note = beside(self.path, ".part"), beside(self.path, ".part.json")

    def present(self) -> bool:
        if self.path.is_dir():
            raise DownloadError(f"{self.path} is a folder, not a file: give the path of the file itself.")
        if not self.path.exists():
            return False
        found = self.path.stat().st_size
        if self.size not in (None, found):
            raise DownloadError(f"{self.path} has {found:,} bytes, not {self.size:,} as published. Delete it.")
        return True

    def attempt(self) -> None:
        """Get what is missing, check the whole."""
        identity = self._noted()
        have = self.size_here() if identity else 0
        try:
            if not have or have != identity["total"]:
                self._request(identity, have)
        except asking.RefusedError:
            if not have:
                raise
            self._request({}, 0)  # some firewalls let the whole pass, and no part
        self._finish()

    def _request(self, identity: dict, have: int) -> None:
        with asking.ask(self.session, self.url, self.timeout, **_continue(identity, have)) as response:
            if response.status_code == 200:
                identity, have = _identity(response, self.url), 0
            else:
                self._check_same(response, identity, have)
            total = identity["total"]
            self._compare("size", total, self.size)  # before a byte is fetched or thrown away
            needed = (total or self.size or 0) - self.size_here()
            require_space(self.path.parent, needed, str(self.path), "set another folder")
            if not have:
                self._start_over(identity)
            self._write(response, have, total)

    def _check_same(self, response: requests.Response, identity: dict, have: int) -> None:
        """Let only the rest of the very same file be appended (RFC 9110, 15.3.7)."""
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        total = int(found[2]) if found and found[2] != "*" else None
        now = _identity(response, self.url) | {"total": total}
        changed = [name for name in identity if None not in (now[name], identity[name]) and now[name] != identity[name]]
        fits = have and response.status_code == 206 and found and int(found[1]) == have
        if not fits or changed or "Content-Encoding" in response.headers:
            self._forget()
            raise Again("the file on the server has changed.")

    def _compare(self, what: str, found: int | str | None, published: int | str | None) -> None:
        if None not in (found, published) and found != published:
            raise Again(f"its {what} is {found}, not {published} as published. {_REPLACED}", once=True)

    def _write(self, response: requests.Response, have: int, total: int | None) -> None:
        in_bytes = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
        bar = tqdm(desc=self.path.name, initial=have, total=total, file=sys.stdout, **in_bytes)
        with open(self.part, "r+b") as part, bar:
            part.seek(have)
            for piece in asking.pieces(response, self.timeout):
                part.write(piece)
                part.flush()  # now the system has it: a kill does not lose it any more
                have += len(piece)
                bar.update(len(piece))
        expected = self.size if total is None else total
        if expected not in (None, have):
            raise Again(f"the connection ended after {have:,} of {expected:,} bytes.")

    def _finish(self) -> None:
        """Check the whole file, let `arrive` have it, give it its name."""
        try:
            with open(self.part, "rb") as part:
                asking.refuse_page(part.read(512))
                self._compare("size", self.size_here(), self.size)
                part.seek(0)
                if self.md5:
                    self._compare("MD5 sum", hashlib.file_digest(part, "md5").hexdigest(), self.md5.lower())
            asking.accept(self.arrive, self.part)
        except Again:
            self._start_over({})
            raise
        with open(self.part, "r+b") as part:
            os.fsync(part.fileno())  # the bytes reach the disk before the name; the note goes with `tidy`
        os.replace(self.part, self.path)

    def size_here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _noted(self) -> dict:
        """Return the identity noted for these bytes; empty when they must not be continued from its address."""
        try:
            identity = json.loads(self.note.read_text(encoding="utf-8"))
            total = identity["total"]
            usable = identity["url"] == self.url and {"etag", "modified"} <= identity.keys()
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return {}
        return identity if usable and (total is None or self.size_here() <= total) else {}

    def _start_over(self, identity: dict) -> None:
        """Drop the bytes, and only then note whose bytes come next, if that can be told: a kill between is no harm."""
        self._forget()
        self.part.write_bytes(b"")
        if any(identity.get(name) is not None for name in ("etag", "modified", "total")):
            write_json(self.note, identity, indent=None)

    def _forget(self) -> None:
        """Drop the identity: the partial file is not continued any more."""
        self.note.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Leave nothing behind that cannot be continued."""
        if self.size_here() == 0 or not self.note.exists():
            self._forget()
            self.part.unlink(missing_ok=True)


def _identity(response: requests.Response, url: str) -> dict:
    """Return what tells two versions of a file apart; a compressed answer tells nothing about the file itself."""
    headers = {} if response.headers.get("Content-Encoding") else response.headers
    length = headers.get("Content-Length", "")
    return {
        "url": url,
        "etag": headers.get("ETag"),
        "modified": headers.get("Last-Modified"),
        "total": int(length) if length.isdecimal() else None,
    }


def _continue(identity: dict, have: int) -> dict[str, str]:
    """Return the headers that ask for the rest; If-Range takes no weak ETag (RFC 9110, 13.1.5)."""
    if not have:
        return {}
    etag = identity["etag"] or "W/"
    validator = identity["modified"] if etag.startswith("W/") else etag
    return {"Range": f"bytes={have}-"} | ({"If-Range": validator} if validator else {})
