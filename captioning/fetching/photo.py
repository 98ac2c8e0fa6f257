"""A photo, or another file, at an address: fetched as it is read, within limits, from public hosts only."""

import http.client
import io
import ipaddress
import os
import re
import socket
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import requests
import urllib3
from urllib3 import exceptions as faults

from captioning.fetching import asking
from captioning.fetching.asking import Again, DownloadError, RefusedError, UnreachableError
from captioning.lines import printable

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # how an address begins, also as `pathlib.Path` has it
LARGEST = 50_000_000  # bytes of a photo, unpacked
LONGEST = 30.0  # seconds for all of a photo: connections, redirects, a second try
SILENCE = 10.0  # seconds to wait for a connection, and without data
REDIRECTS = 5
AGENT = "Mozilla/5.0 (compatible; captioning)"  # some hosts refuse the names of programming libraries
_UNPACKED = ("", "identity", "gzip", "x-gzip", "deflate")  # packings that swell to a thousand times the size at most
_UNICAST, _NAT64 = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("64:ff9b::/96")  # RFC 4291, RFC 6052


class WebPhotoError(ValueError):
    """A photo cannot be fetched; the message names its address and the reason."""


@dataclass(frozen=True)
class WebPhoto:
    """A photo at an http or https address; like a file open for reading, it is fetched when it is read.

    The host's address is checked, not its name: that of each connection, before anything is sent. What is sent holds
    no cookies and no referrer. The environment's proxies are used with `allow_private` only, because the address that
    a proxy connects to cannot be checked.
    """

    address: str
    allow_private: bool = False  # also from hosts of this machine and its local network, and through a proxy
    largest: int | None = None  # bytes; None: `LARGEST`
    longest: float | None = None  # seconds; None: `LONGEST`

    @property
    def name(self) -> str:
        """What messages call it: the address without user and password, in one line."""
        return printable(self._url)

    @property
    def _url(self) -> str:
        return re.sub(r"(?<=//)[^/?#]*@", "", self._whole)

    @property
    def _whole(self) -> str:
        return re.sub(r"^(https?):/+", r"\1://", self.address.strip(), flags=re.IGNORECASE)

    def read(self, limit: int = -1) -> bytes:
        """Fetch it, or raise a WebPhotoError; it may have `limit` bytes where that is less than `largest`."""
        largest = self.largest or LARGEST
        largest = min(limit, largest) if limit >= 0 else largest
        try:
            with _session(self) as session:
                try:
                    return _body(session, self._url, largest)
                except Again as error:
                    if error.once:
                        raise
                    return _body(session, self._url, largest)  # the connection was dropped
        except (Again, DownloadError) as error:
            reason = str(error).removeprefix(f"{self._url}: ").removesuffix(asking.WAY_OUT)
            unused = not self.allow_private and isinstance(error, UnreachableError)
            if unused and requests.utils.get_environ_proxies(self._url):
                reason += "The proxy that is set is used with --allow-private (allow_private=True) only."
            raise WebPhotoError(f"{self.name}: {textwrap.shorten(printable(reason), 400, placeholder=' …')}") from error


def _body(session: requests.Session, url: str, largest: int) -> bytes:
    with asking.ask(session, url, SILENCE) as response:
        packed = response.headers.get("Content-Encoding", "").lower()
        if packed not in _UNPACKED:
            raise RefusedError(f"it is packed as {packed!r}, although it was asked for as it is.")
        return asking.whole(response, SILENCE, largest)


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet: not of this machine, a local network, a group of hosts."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        inner = ip.ipv4_mapped or ip.sixtofour or (ipaddress.ip_address(ip.packed[12:]) if ip in _NAT64 else None)
        if not inner:
            return ip.is_global and ip in _UNICAST
        ip = inner
    return ip.is_global and not ip.is_multicast


class _Connection:
    """What a photo's connections do otherwise: they go to public hosts only, and they end in time."""

    photo: WebPhoto
    left: Callable[[], float]
    host: str  # these three are those of urllib3's connection
    port: int
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        fault: OSError = OSError("it has no address")
        try:
            found: list[Any] = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
            for *_, (address, port, *_) in found:  # a name may have another address the next time: it is asked once
                if not (self.photo.allow_private or is_public(address)):
                    where = address if address == self.host else f"{self.host} ({address})"
                    raise RefusedError(
                        f"it leads to {where}, on this machine or a private network: permitted with --allow-private "
                        "(allow_private=True) only."
                    )
                try:
                    return socket.create_connection((address, port), self.left())
                except OSError as error:
                    fault = error
        except OSError as error:
            fault = error
        refused: Any = faults.NewConnectionError(cast(Any, self), str(fault))
        refused.reason = fault  # what `asking` tells
        raise refused from fault

    def response_class(self, sock: socket.socket, *args: Any, **options: Any) -> http.client.HTTPResponse:
        """Return a response whose headers and body are read in time."""
        response: Any = http.client.HTTPResponse(sock, *args, **options)
        response.fp = io.BufferedReader(_InTime(response.fp.detach(), sock, self.left))
        return response


class _InTime(io.RawIOBase):
    """What comes out of a socket as long as there is time; a byte now and then does not prolong it."""

    def __init__(self, raw: Any, sock: socket.socket, left: Callable[[], float]):
        self._raw, self._sock, self._left = raw, sock, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes such connections; a connection that is dropped is made once more."""

    def __init__(self, **connection: Any):
        self._connection = connection
        super().__init__(max_retries=urllib3.Retry(1, connect=0, other=0, respect_retry_after_header=False))

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return self._watch(super().proxy_manager_for(*args, **options))

    def _watch(self, manager: Any) -> Any:
        manager.pool_classes_by_scheme = {}
        pools: dict[str, Any] = urllib3.poolmanager.pool_classes_by_scheme
        for scheme, pool in pools.items():
            connection = type("Connection", (_Connection, pool.ConnectionCls), self._connection)
            manager.pool_classes_by_scheme[scheme] = type("Pool", (pool,), {"ConnectionCls": connection})
        return manager


def _session(photo: WebPhoto) -> requests.Session:
    """Return a session for one photo, which ends in time."""
    longest = photo.longest or LONGEST
    end = time.monotonic() + longest
    if not asking.is_address(photo._url):
        raise RefusedError(
            "no http or https address that can be asked, like https://host.example/dog.jpg; give a file by its path."
        )

    def left() -> float:
        if (seconds := end - time.monotonic()) <= 0:
            raise RefusedError(f"it takes longer than {longest:g} s.")
        return min(seconds, SILENCE)

    session, adapter = requests.Session(), _Adapter(photo=photo, left=staticmethod(left))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = photo.allow_private
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    user = requests.utils.get_auth_from_url(photo._whole)
    session.auth = user if any(user) else None
    session.max_redirects = REDIRECTS
    session.headers["User-Agent"] = AGENT
    session.hooks["response"].append(_without_body)
    return session


def _without_body(response: requests.Response, **_: Any) -> None:
    """Leave the body of a redirect unread, which requests would read to its end, and its cookies."""
    if response.is_redirect:
        response.close()
        response.raw = io.BytesIO()
