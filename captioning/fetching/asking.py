"""The servers: their addresses, how often it makes sense to ask, and what an answer is worth."""

import errno
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3 import exceptions as faults

_COCO = "http://images.cocodataset.org"  # no https: the certificate there is for another name
_ZIPS, _ANNOTATIONS = f"{_COCO}/zips", f"{_COCO}/annotations/annotations_trainval"
_FLICKR8K = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_NARRATIVES = "https://storage.googleapis.com/localized-narratives/annotations"
# Entries of whole files are arguments of `fetch`, which refuses a file of another size or sum: COCO comes without
# https, so that nothing else vouches for it. Those of single photos are filled in with `str.format`.
URLS: dict[str, dict] = {
    "coco-train2014": dict(url=f"{_ZIPS}/train2014.zip", md5="0da8c0bd3d6becc4dcb32757491aca88", size=13_510_573_713),
    "coco-val2014": dict(url=f"{_ZIPS}/val2014.zip", md5="a3d79f5ed8d289b7a7554ce06a5782b3", size=6_645_013_297),
    "coco-train2017": dict(url=f"{_ZIPS}/train2017.zip", md5="cced6f7f71b7629ddf16f17bbcfab6b2", size=19_336_861_798),
    "coco-val2017": dict(url=f"{_ZIPS}/val2017.zip", md5="442b8da7639aecaf257c1dceb8ba8c80", size=815_585_330),
    "coco-annotations2014": dict(
        url=f"{_ANNOTATIONS}2014.zip", md5="0a379cfc70b0e71301e0f377548639bd", size=252_872_794
    ),
    "coco-annotations2017": dict(
        url=f"{_ANNOTATIONS}2017.zip", md5="f4bbac642086de4f52a3fdda2de5fa2c", size=252_907_541
    ),
    "karpathy-splits": {"url": "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"},
    "flickr8k-photos": {"url": f"{_FLICKR8K}/Flickr8k_Dataset.zip", "md5": "f18a1e2920de5bd84dae7cf08ec78978"},
    "flickr8k-text": {"url": f"{_FLICKR8K}/Flickr8k_text.zip", "md5": "bf6c1abcb8e4a833b7f922104de18627"},
    "open-images-train": {"url": f"{_NARRATIVES}/open_images_train_v6_captions.jsonl"},
    "coco-photo": {"url": _COCO + "/{folder}/{name}"},
    "open-images-photo": {"url": "https://open-images-dataset.s3.amazonaws.com/{split}/{id}.jpg"},
}

BUFFER = 64 * 1024  # bytes per read: the most that a kill loses
SLOWNESS = 0.5  # seconds; waits are 0, 2, 4, 8 ... times as long
SLOWEST = 1024  # bytes per second; a connection that is slower for the whole timeout counts as broken
CONNECTION = 10.0  # seconds at most to wait for a connection
LONGEST_WAIT = 120.0  # seconds; a server that asks for more is not waited for
WAY_OUT = (
    "Check the network (a proxy, a sign-in page) or set CAPTIONING_MIRROR, and run again: what has arrived is kept."
)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_BUSY = (408, 425, 429, *range(500, 600))
_SIGN_IN = (401, 407)
_LASTING = (faults.NameResolutionError, faults.LocationValueError, ssl.CertificateError)


class DownloadError(RuntimeError):
    """A file could not be fetched; the message names it, the reason and, where there is one, the way out."""


class UnreachableError(DownloadError):
    """The host gives no answer, or one that says nothing about the file."""


class RefusedError(DownloadError):
    """The host does not give this file: it is gone, or was never there."""


class UnusableError(DownloadError):
    """The host sends something else than the file: a part, a web page."""


def is_address(url: str) -> bool:
    """Return whether this is an http or https address with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port or a host in brackets
        return False


def mirror(url: str) -> str:
    """Return the address under which the mirror of the setting CAPTIONING_MIRROR serves a file: `mirror`/host/path."""
    base = os.environ.get("CAPTIONING_MIRROR", "").strip().rstrip("/")
    if not base or url.startswith(base + "/"):
        return url
    if not is_address(base):
        raise DownloadError(f"CAPTIONING_MIRROR is {base!r}: give an address like https://mirror.example/files.")
    return f"{base}/{url.partition('://')[2]}"


class Again(Exception):
    """This answer cannot be used, but the next one may be; with `once`, one more try is worth it, not several."""

    def __init__(self, reason: str, once: bool = False):
        super().__init__(reason)
        self.once = once


def patient_session(retries: int, sleep: Callable[[float], object], connections: int = 1) -> requests.Session:
    """Return a session that retries after passing faults, with growing waits or those that the server asks for."""

    class Patience(urllib3.Retry):
        def increment(self, *where: Any, **what: Any) -> Any:
            error = what.get("error")
            silent = isinstance(error, faults.TimeoutError) and not isinstance(error, faults.NewConnectionError)
            end = (silent and self.history) or _asked_to_wait(what.get("response")) > LONGEST_WAIT
            end = end or isinstance(_innermost(error), _LASTING)  # no further try is worth it
            return urllib3.Retry(0).increment(*where, **what) if end else super().increment(*where, **what)

        def sleep(self, response: Any = None) -> None:
            sleep(_asked_to_wait(response) or self.get_backoff_time())

    patience = Patience(
        retries, status_forcelist=_BUSY, raise_on_status=False, backoff_factor=SLOWNESS, backoff_jitter=SLOWNESS
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=connections, max_retries=patience))
    return session


@contextmanager
def ask(session: requests.Session, url: str, timeout: float, **headers: str) -> Iterator[requests.Response]:
    """Give the answer (200, 206 or 416) of a server, whose body the block reads.

    `Again` is raised for a web page, or where the connection fails while the body is read.
    """
    response = None
    try:
        headers = {"Accept-Encoding": "identity"} | headers
        with session.get(url, headers=headers, stream=True, timeout=(min(timeout, CONNECTION), timeout)) as response:
            status, wait = response.status_code, _asked_to_wait(response)
            reason = f"{url}: HTTP {status} {response.reason}{f', asks to wait {wait:.0f} s' if wait else ''}."
            if status not in (200, 206, 416):
                own = status in range(400, 500) and status not in (*_BUSY, *_SIGN_IN)
                mirrored = os.environ.get("CAPTIONING_MIRROR") and mirror(url) == url
                layout = " Check that the mirror has it at this address." if mirrored else ""
                raise RefusedError(reason + layout) if own else UnreachableError(f"{reason} {WAY_OUT}")
            if response.headers.get("Content-Type", "").lower().startswith("text/html"):
                refuse_page(b"<html>")
            yield response
    except (requests.RequestException, faults.HTTPError, ValueError) as error:  # some addresses are a ValueError
        if response is not None:
            raise Again(f"the connection failed ({_innermost(error)!r}).") from error
        raise UnreachableError(f"{url}: {_failure(error, session, urlsplit(url).netloc)} {WAY_OUT}") from error


def _failure(error: Exception, session: requests.Session, host: str) -> str:
    """Say why there is no answer."""
    if isinstance(error, requests.TooManyRedirects):
        return f"it redirects more than {session.max_redirects} times."
    if isinstance(error, requests.exceptions.InvalidSchema) and "adapters" in str(error):  # not of a proxy
        return "it leads to an address that is neither http nor https."
    return f"{host} cannot be reached, the connection failed ({_innermost(error)!r})."


def refuse_page(beginning: bytes) -> None:
    """Raise Again when these first bytes of a file are those of a web page, or none at all."""
    if not beginning:
        raise Again("it is empty.", once=True)
    if beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise Again("it is a web page, perhaps of a sign-in or a proxy, and not the file.", once=True)


def pieces(response: requests.Response, timeout: float) -> Iterator[bytes]:
    """Yield what comes as soon as it comes, so that a break loses nothing; raise Again when it is too slow."""
    since, received = time.monotonic(), 0
    while piece := response.raw.read1(BUFFER, decode_content=True):
        yield piece
        received += len(piece)
        if time.monotonic() - since >= timeout:
            if received < SLOWEST * timeout:
                raise Again(f"only {received:,} bytes in {timeout:g} s.")
            since, received = time.monotonic(), 0


def whole(response: requests.Response, timeout: float, largest: int) -> bytes:
    """Return a body of at most so many bytes; raise Again when it has more."""
    body, too_large = bytearray(), Again(f"it has more than {largest / 1e6:,.0f} MB.", once=True)
    if (response.raw.length_remaining or 0) > largest:
        raise too_large
    for piece in pieces(response, timeout):
        body += piece
        if len(body) > largest:
            raise too_large
    return bytes(body)


def accept(arrive: Callable[[Path], object] | None, file: Path) -> None:
    """Call `arrive`; raise Again when it refuses the file."""
    try:
        if arrive:
            arrive(file)
    except (ValueError, OSError) as error:
        if getattr(error, "errno", None) in DISK_FULL:
            raise
        raise Again(f"not accepted: {error!r}.", once=True) from error


def persist(
    attempt: Callable[[], None],
    url: str,
    retries: int,
    sleep: Callable[[float], object],
    say: Callable[[str], object] = str,
    reached: Callable[[], int] = int,
) -> None:
    """Call `attempt` until it succeeds; `say` tells of failures of the address.

    Give up after `retries` failures in a row; a try that brings at least a buffer more of bytes starts the count again.
    `reached` returns how many are there; 0 where a try starts from the beginning.
    """
    failures, furthest, refused = 0, reached(), False
    while True:
        try:
            attempt()
            return
        except (Again, UnreachableError) as error:
            failure, once = error, getattr(error, "once", False)
        have = reached()
        failures = failures + 1 if have < furthest + BUFFER else 1
        furthest = max(furthest, have)
        if isinstance(failure, UnreachableError) and (failures == 1 or failures > retries):
            raise failure  # the session has been patient; but a host that was interrupted before may come back
        if failures > retries or (once and refused):
            raise UnusableError(f"{url}: {failure} Given up after {failures} tries; run again to continue.")
        refused |= once
        wait = min(60, SLOWNESS * 2**failures)
        say(f"{url}: {failure} Again in {wait:.0f} s.")
        sleep(wait)


def _asked_to_wait(response: Any) -> float:
    try:
        return 0.0 if response is None else urllib3.Retry().get_retry_after(response) or 0.0  # seconds
    except faults.InvalidHeader:
        return 0.0


def _innermost(error: object) -> object:
    """Return what has happened: requests and urllib3 wrap it up to four times."""
    while isinstance(inner := getattr(error, "reason", None) or (getattr(error, "args", None) or [0])[-1], Exception):
        error = inner
    return error
