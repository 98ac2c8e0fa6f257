"""Many photos over HTTP, several at a time: each in memory until it is whole, then checked and named."""

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from captioning.fetching import asking
from captioning.fetching.asking import DownloadError, RefusedError, UnusableError, mirror
from captioning.files import beside, require_space

LARGEST = 1 << 26  # bytes of a file, which is in memory until it is whole
IN_A_ROW = 5  # failures after which the other files are not asked for


class FetchReport(NamedTuple):
    """What became of many files, each list in the order asked for."""

    fetched: list[Path]
    present: list[Path]  # were there already
    failed: dict[Path, str]  # path -> reason

    def __str__(self) -> str:
        return f"{len(self.fetched)} fetched, {len(self.present)} present, {len(self.failed)} failed"


def fetch_many(
    files: Iterable[tuple[str, Path | str]],
    workers: int = 8,
    *,
    again: Collection[Path] = (),
    retries: int = 5,
    timeout: float = 10.0,
    arrive: Callable[[Path], object] | None = None,
    sleep: Callable[[float], object] | None = None,
) -> FetchReport:
    """Fetch many small files, several at a time; one that cannot be had, or is gone, does not stop the others.

    Args:
        files: (url, path) pairs.
        workers: how many at a time.
        again: paths whose files are there and broken; each keeps its place until the new one is whole.
        retries, timeout, sleep, arrive: as in `fetch`, for each file; called from several threads.

    Raises:
        DownloadError: CAPTIONING_MIRROR is wrong, or a host fails for several files in a row.
        OSError: the disk is full, or cannot be written to.
    """
    mirror("http://any/")  # a wrong setting is one error, not one for each file
    addresses: dict[Path, str] = {}
    for url, given in files:
        if addresses.setdefault(Path(given), url) != url:
            raise ValueError(f"{given} is asked for from two addresses: {addresses[Path(given)]} and {url}.")
    missing = [path for path in addresses if path in again or not path.is_file()]
    outcomes: dict[Path, Exception | None] = {}
    stop, streaks, total = threading.Event(), _Streaks(len(addresses) - len(missing)), len(addresses)
    pause = sleep or stop.wait
    bar = tqdm(desc="files", unit="file", file=sys.stdout, total=total, initial=streaks.had)
    try:  # the threads are daemons: an error or Ctrl-C does not wait for silent hosts
        with bar, asking.patient_session(retries, pause, workers) as session, ThreadPool(workers) as pool:

            def work(path: Path) -> tuple[Path, Exception | None]:
                url = mirror(addresses[path])
                attempt = partial(_attempt, stop, session, timeout, arrive, url, path)
                try:
                    asking.persist(attempt, url, retries, pause)
                    return path, None
                except Exception as error:  # the thread that asked sees to it
                    return path, error

            for path, outcome in pool.imap_unordered(work, missing):
                outcomes[path] = outcome
                streaks.note(urlsplit(mirror(addresses[path])).netloc, outcome)
                bar.update()
    finally:
        stop.set()
    failed = {path: str(outcomes[path]) for path in addresses if outcomes.get(path)}
    fetched = [path for path in addresses if path in outcomes and path not in failed]
    return FetchReport(fetched, [path for path in addresses if path not in outcomes], failed)


class _Streaks:
    """Failures in a row of each host: five of them are a fault of the network or the disk, not of the files."""

    def __init__(self, had: int):
        self.had = had  # files that are there
        self._streaks: dict[str, tuple[type, int]] = {}  # host -> kind of the last outcome, how many of them

    def note(self, host: str, outcome: Exception | None) -> None:
        """Count what became of a file, None for a good one; raise an error that is not the file's own."""
        kind = type(outcome)
        before, count = self._streaks.get(host, (kind, 0))
        self._streaks[host] = kind, 1 + count * (kind is before)
        if outcome is None:
            self.had += 1
        elif not isinstance(outcome, DownloadError | OSError) or getattr(outcome, "errno", 0) in asking.DISK_FULL:
            raise outcome
        elif kind is not RefusedError:
            # One percent of a dataset may be missing: so many broken photos must not hide those that can be had.
            limit = IN_A_ROW + self.had // 100 if kind is UnusableError else IN_A_ROW
            if self._streaks[host][1] < limit:
                return
            if isinstance(outcome, OSError):
                raise outcome
            advice = "" if asking.WAY_OUT in str(outcome) else f" {asking.WAY_OUT}"
            raise DownloadError(f"{host}: several files in a row could not be fetched. The last: {outcome}{advice}")


def _attempt(
    stop: threading.Event,
    session: requests.Session,
    timeout: float,
    arrive: Callable[[Path], object] | None,
    url: str,
    path: Path,
) -> None:
    if stop.is_set():
        raise RefusedError("stopped")
    with asking.ask(session, url, timeout) as response:
        body = asking.whole(response, timeout, LARGEST)
    asking.refuse_page(body[:512])
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent, len(body), str(path), "set another folder")
    draft = beside(path, f".{os.getpid()}.part")  # each process has its own: two of them need not wait
    try:
        draft.write_bytes(body)  # a photo that a loss of power leaves empty is found by `photo_check`
        asking.accept(arrive, draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
