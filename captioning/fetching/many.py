"""Many photos over HTTP, several at a time: each in memory until it is whole, then checked and named."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from captioning.fetching import asking
from captioning.fetching.asking import DownloadError, UnreachableError, UnusableError, mirror
from captioning.files import beside, folded, only_one, require_space

IN_A_ROW = 5  # files that come to nothing before the others are not asked for


@dataclass
class FetchReport:
    """What became of many files, each list in the order asked for."""

    fetched: list[Path]
    present: list[Path]  # were there already
    failed: dict[Path, str]  # path -> reason

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
    """Fetch many small files, several at a time; one that cannot be had, or is gone, does not stop the others.

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
        DownloadError: CAPTIONING_MIRROR is wrong, or a host gives no answer or none of use, several times in a row.
        OSError: the disk is full.
    """
    mirror("http://any/")  # a wrong setting is one error, not one for each file
    outcomes, stop = _sort(files), threading.Event()
    missing = [(url, path) for path, url in outcomes.items() if isinstance(url, str) and not path.is_file()]
    rows = _Rows(len(outcomes) - len(missing))
    pause = sleep or stop.wait
    bar = tqdm(desc="files", unit="file", file=sys.stdout, disable=not progress, total=len(outcomes), initial=rows.had)
    try:  # the threads are daemons: after an error and Ctrl-C none that hears nothing is waited for
        with bar, asking.patient_session(retries, pause, workers) as session, ThreadPool(workers) as pool:
            work = partial(_fetch, stop, session, timeout, arrive, retries, pause)
            for url, path, outcomes[path] in pool.imap_unordered(work, missing):
                rows.note(urlsplit(mirror(url)).netloc, outcomes[path])
                bar.update()
    finally:
        stop.set()
    failed = {path: str(outcome) for path, outcome in outcomes.items() if isinstance(outcome, Exception)}
    fetched = [path for path, outcome in outcomes.items() if outcome is True]
    others = outcomes.keys() - failed.keys() - set(fetched)
    return FetchReport(fetched, [path for path in outcomes if path in others], failed)


def _sort(files: Iterable[tuple[str, Path | str]]) -> dict[Path, str | bool | Exception]:
    """Return path -> address in order, or the error where another path is the same file to Windows and macOS."""
    first, asked = {}, {}
    for url, path in ((url, Path(path)) for url, path in files):
        twin = first.setdefault(folded(path), path)
        if asked.setdefault(path, url) != url and twin == path:
            raise ValueError(f"{path} is asked for from two addresses: {asked[path]} and {url}.")
        if twin != path:
            asked[path] = DownloadError(f"{twin} differs from it in letter case or Unicode form alone.")
    return asked


class _Rows:
    """What became of files in a row, for each host: five that come to nothing are a fault of the network."""

    def __init__(self, had: int):
        self.had, self._rows = had, {}  # files that are there; host -> kind of the last outcome, how many of them

    def note(self, host: str, outcome: bool | Exception) -> None:
        """Count what became of a file; raise an error that is not the file's own."""
        kind, before = type(outcome), self._rows.get(host, (None, 0))
        self._rows[host] = kind, 1 + before[1] * (kind is before[0])
        self.had += kind is bool
        if not isinstance(outcome, bool | DownloadError | OSError) or getattr(outcome, "errno", 0) in asking.DISK_FULL:
            raise outcome
        # One percent of a dataset may be missing: so many broken photos must not hide those that can be had.
        limit = {UnreachableError: IN_A_ROW, UnusableError: IN_A_ROW + self.had // 100}.get(kind, float("inf"))
        if self._rows[host][1] >= limit:
            fault = "cannot be reached" if kind is UnreachableError else "sends no photos, a sign-in page perhaps"
            advice = "" if asking.WAY_OUT in str(outcome) else f" {asking.WAY_OUT}"
            raise DownloadError(f"{host} {fault}: several files in a row came to nothing. The last: {outcome}{advice}")


def _fetch(stop, session, timeout, arrive, retries, pause, job) -> tuple[str, Path, bool | Exception]:
    """Return address and path of a photo, and whether it had to be fetched, or the error."""
    url, path = mirror(job[0]), job[1]
    try:
        return *job, asking.persist(partial(_attempt, stop, session, timeout, arrive, url, path), url, retries, pause)
    except Exception as error:  # the thread that asked sees to it
        return *job, error


def _attempt(stop, session, timeout, arrive, url, path) -> bool:
    if stop.is_set():
        raise DownloadError("stopped")
    with asking.ask(session, url, timeout) as response:
        body = b"".join(asking.pieces(response, timeout))
    asking.refuse_page(body)
    path.parent.mkdir(parents=True, exist_ok=True)
    with only_one(path, wait=True):
        if path.is_file():  # another process has fetched it since
            return False
        require_space(path.parent, len(body), str(path), "set another folder")
        draft = beside(path, ".part")
        try:
            with open(draft, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            asking.accept(arrive, draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return True
