"""Many photos over HTTP, several at a time: each in memory until it is whole, then checked and named."""

from __future__ import annotations

import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from captioning.fetching import asking
from captioning.fetching.addresses import mirror
from captioning.fetching.asking import DownloadError, UnreachableError, UnusableError
from captioning.fetching.partial import Partial
from captioning.files import only_one, require_space

IN_A_ROW = 5  # files that come to nothing before the others are not asked for


@dataclass
class FetchReport:
    """What became of many files, each list in the order asked for."""

    fetched: list[Path] = field(default_factory=list)
    present: list[Path] = field(default_factory=list)  # were there already
    failed: dict[Path, str] = field(default_factory=dict)  # path -> reason

    def __str__(self) -> str:
        lines = [f"{len(self.fetched)} fetched, {len(self.present)} present, {len(self.failed)} failed"]
        return "\n".join(lines + [f"{path}: {reason}" for path, reason in self.failed.items()])


def fetch_many(
    files: Iterable[tuple[str, Path | str]],
    workers: int = 8,
    *,
    retries: int = 5,
    timeout: float | tuple[float, float] = (10.0, 10.0),
    progress: bool = True,
    arrive: Callable[[Path], None] | None = None,
    sleep: Callable[[float], object] | None = None,
) -> FetchReport:
    """Fetch many small files, several at a time; one that cannot be had does not stop the others.

    A file that is gone (HTTP 403, 404, 410) is listed at once. A host that gives no answer, or none of use, for several
    files in a row ends it all.

    Args:
        files: (url, path) pairs.
        workers: how many at a time.
        retries, timeout, sleep: as in `fetch`, for each file.
        progress: show a bar that counts files on stdout.
        arrive: as in `fetch`; called from several threads.

    Returns:
        Which files were fetched, which were there, which failed and why.

    Raises:
        ValueError: two different addresses have the same path.
        DownloadError: a host cannot be reached or sends nothing of use, or CAPTIONING_MIRROR is no http address.
        OSError: the disk is full.
    """
    mirror("http://any/")  # a wrong setting is one error, not one for each file
    outcomes, stop = _sort(files), threading.Event()
    missing = [(url, path) for path, url in outcomes.items() if isinstance(url, str) and not path.is_file()]

    def pause(seconds: float) -> None:
        (sleep or stop.wait)(seconds)
        if stop.is_set():
            raise DownloadError("stopped")

    session = asking.patient_session(retries, pause, workers)
    photos = _Photos(session, retries, timeout, arrive, pause)
    rows = _Rows(len(outcomes) - len(missing))
    bar = tqdm(desc="files", unit="file", file=sys.stdout, disable=not progress, total=len(outcomes), initial=rows.had)
    try:
        with session, bar, ThreadPool(workers) as pool:  # of daemons: none is waited for after an error and Ctrl-C
            for url, path, outcome in pool.imap_unordered(photos.fetch, missing):
                outcomes[path] = outcome
                rows.note(urlsplit(mirror(url)).netloc, outcome)
                bar.update()
    finally:
        stop.set()
    report = FetchReport()
    for path, outcome in outcomes.items():
        if isinstance(outcome, Exception):
            report.failed[path] = str(outcome)
        else:
            (report.fetched if outcome is True else report.present).append(path)
    return report


def _sort(files: Iterable[tuple[str, Path | str]]) -> dict[Path, str | bool | Exception]:
    """Return path -> address in order, or the error where another path is the same file to Windows and macOS."""
    first, asked = {}, {}
    for url, path in ((url, Path(path)) for url, path in files):
        twin = first.setdefault(unicodedata.normalize("NFC", str(path)).casefold(), path)
        if asked.setdefault(path, url) != url and twin == path:
            raise ValueError(f"{path} is asked for from two addresses: {asked[path]} and {url}.")
        if twin != path:
            asked[path] = DownloadError(f"{twin} differs from it in letter case or Unicode form alone.")
    return asked


class _Rows:
    """Files in a row that came to nothing, for each host: the sign of a network's fault, not of a file's."""

    def __init__(self, had: int):
        self.had = had  # files that are there
        self._silent, self._useless = Counter(), Counter()

    def note(self, host: str, outcome: bool | Exception) -> None:
        """Count what became of a file; raise an error that is not the file's own."""
        if isinstance(outcome, UnreachableError):
            self._silent[host] += 1
        else:
            self._silent[host] = 0
        if isinstance(outcome, UnusableError):
            self._useless[host] += 1
        elif isinstance(outcome, bool):
            self._useless[host], self.had = 0, self.had + 1
        elif not isinstance(outcome, DownloadError | OSError) or getattr(outcome, "errno", None) in asking.DISK_FULL:
            raise outcome
        # One percent of a dataset may be missing: so many broken photos must not hide those that can be had.
        if self._silent[host] >= IN_A_ROW or self._useless[host] >= IN_A_ROW + self.had // 100:
            fault = "cannot be reached" if self._silent[host] else "sends no photos, a sign-in page perhaps"
            advice = "" if asking.WAY_OUT in str(outcome) else f" {asking.WAY_OUT}"
            raise DownloadError(f"{host} {fault}: several files in a row came to nothing. The last: {outcome}{advice}")


@dataclass
class _Photos:
    """How to fetch one of many."""

    session: requests.Session
    retries: int
    timeout: float | tuple[float, float]
    arrive: Callable[[Path], None] | None
    sleep: Callable[[float], object]

    def fetch(self, job: tuple[str, Path]) -> tuple[str, Path, bool | Exception]:
        """Return the job and whether its file had to be fetched, or the error."""
        try:
            url, path = mirror(job[0]), job[1]
            return *job, asking.persist(lambda: self._keep(self._body(url), path), url, self.retries, self.sleep)
        except Exception as error:  # the thread that asked sees to it
            return *job, error

    def _body(self, url: str) -> bytes:
        with asking.ask(self.session, url, self.timeout) as response:
            body = b"".join(asking.pieces(response, self.timeout))
        asking.refuse_page(body)
        return body

    def _keep(self, body: bytes, path: Path) -> bool:
        part = Partial(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with only_one(path, wait=True):
            if path.is_file():  # another process has fetched it since
                return False
            require_space(path.parent, len(body), str(path), "set another folder")
            try:
                part.path.write_bytes(body)
                asking.accept(self.arrive, part.path)
                part.finish()
            finally:
                part.tidy()
        return True
