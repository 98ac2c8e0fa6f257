"""Fetch files, resumed and checked, in parallel: `python -m captioning.fetching.download URL PATH`."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from captioning.fetching.resumable import DownloadError, Transfer

__all__ = ["URLS", "DownloadError", "FetchReport", "fetch", "fetch_many", "mirror"]

_COCO = "http://images.cocodataset.org"  # no https: the certificate there is for another name
_FLICKR8K = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_NARRATIVES = "https://storage.googleapis.com/localized-narratives/annotations"
# Every address of the project; CAPTIONING_MIRROR points all of them elsewhere. The sums and sizes are second-hand, from
# other projects that fetch these files: whoever fetches an archive warns of a difference; unpacking it finds damage.
URLS: dict[str, dict] = {
    "coco-train2014": {
        "url": f"{_COCO}/zips/train2014.zip",
        "md5": "0da8c0bd3d6becc4dcb32757491aca88",
        "size": 13_510_573_713,
    },
    "coco-val2014": {
        "url": f"{_COCO}/zips/val2014.zip",
        "md5": "a3d79f5ed8d289b7a7554ce06a5782b3",
        "size": 6_645_013_297,
    },
    "coco-annotations": {
        "url": f"{_COCO}/annotations/annotations_trainval2014.zip",
        "md5": "0a379cfc70b0e71301e0f377548639bd",
        "size": 252_872_794,
    },
    "karpathy-splits": {"url": "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"},
    "flickr8k-photos": {"url": f"{_FLICKR8K}/Flickr8k_Dataset.zip", "md5": "f18a1e2920de5bd84dae7cf08ec78978"},
    "flickr8k-text": {"url": f"{_FLICKR8K}/Flickr8k_text.zip", "md5": "bf6c1abcb8e4a833b7f922104de18627"},
    "open-images-train": {"url": f"{_NARRATIVES}/open_images_train_v6_captions.jsonl"},
    # One photo each: fill in the address with `str.format`.
    "coco-photo": {"url": _COCO + "/{folder}/{name}"},
    "open-images-photo": {"url": "https://open-images-dataset.s3.amazonaws.com/{split}/{id}.jpg"},
}


def mirror(url: str, base: str | None = None) -> str:
    """Return the address under which a mirror serves a file: `base`/host/path.

    Args:
        url: the original address.
        base: address of the mirror; default: the setting CAPTIONING_MIRROR; without one the address stays.

    Raises:
        DownloadError: the setting is no http address.
    """
    base = (os.environ.get("CAPTIONING_MIRROR", "") if base is None else base).rstrip("/")
    if not base or url.startswith(base + "/"):
        return url
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).netloc:
        raise DownloadError(f"CAPTIONING_MIRROR is {base!r}: give an address like https://mirror.example/files.")
    parts = urlsplit(url)
    return f"{base}/{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def fetch(
    url: str,
    path: Path | str,
    *,
    md5: str | None = None,
    size: int | None = None,
    retries: int = 5,
    timeout: float = 30.0,
    progress: bool = True,
    arrive: Callable[[Path], None] | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Path:
    """Fetch one file; do nothing when it is already there.

    The bytes go to `<path>.part`; the file gets its name only when it is whole, so that what has the name is right.
    A partial file is continued (RFC 9110: Range with If-Range) as long as the server still has the same file.

    Args:
        url: the original address; `mirror` is applied to it.
        path: where the file goes; missing folders are made.
        md5: its published MD5 sum in hexadecimal digits.
        size: its published size in bytes.
        retries: how many tries in a row may fail without getting further.
        timeout: seconds without data after which a connection counts as broken.
        progress: show a bar with rate and time left on stdout.
        arrive: called with the whole `.part` file before it gets its name, for example to shrink a photo in place;
            it refuses the file with ValueError or OSError.
        sleep: how to wait, in seconds.

    Returns:
        The path.

    Raises:
        DownloadError: the file cannot be had, or is not the published one.
    """
    with requests.Session() as session:
        Transfer(
            mirror(url), Path(path), session, md5=md5, size=size, retries=retries, timeout=timeout,
            progress=progress, arrive=arrive, sleep=sleep,
        ).run()  # fmt: skip
    return Path(path)


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
    timeout: float = 30.0,
    progress: bool = True,
    arrive: Callable[[Path], None] | None = None,
    sleep: Callable[[float], object] | None = None,
) -> FetchReport:
    """Fetch many files, several at a time; one that cannot be had does not stop the others.

    Args:
        files: (url, path) pairs; taken one by one; what became of each is kept, about 550 bytes a file.
        workers: how many at a time.
        retries, timeout, sleep: as in `fetch`, for each file.
        progress: show a bar that counts files on stdout.
        arrive: as in `fetch`; called from several threads.

    Returns:
        Which files were fetched, which were there, which failed and why.

    Raises:
        ValueError: two different addresses have the same path.
        DownloadError: the setting CAPTIONING_MIRROR is no http address.
    """
    mirror("http://any/")  # a wrong setting is one error, not one for each file
    queue, stop = _Queue(files, progress), threading.Event()
    patience = {"retries": retries, "timeout": timeout, "arrive": arrive, "sleep": sleep or stop.wait, "stop": stop}
    with ThreadPoolExecutor(workers) as pool:
        try:
            tasks = [pool.submit(_work, queue, patience) for _ in range(workers)]
            wait(tasks, return_when=FIRST_EXCEPTION)
        finally:
            queue.close()
            stop.set()  # matters after an error and Ctrl-C only: then the others are still at work
    for task in tasks:
        task.result()
    return queue.report()


class _Queue:
    """The files to fetch, handed out to the workers, and what became of them."""

    def __init__(self, files: Iterable[tuple[str, Path | str]], progress: bool):
        self._files, self._lock = iter(files), threading.Lock()
        self._urls: dict[Path, str] = {}
        self._outcomes: dict[Path, bool | str] = {}
        self._bar = tqdm(files, desc="files", unit="file", file=sys.stdout, disable=not progress)

    def take(self) -> tuple[str, Path] | None:
        """Return the next file, None after the last."""
        with self._lock:
            for url, path in self._files:
                path = Path(path)
                if self._urls.setdefault(path, url) != url:
                    raise ValueError(f"{path} is asked for from two addresses: {self._urls[path]} and {url}.")
                if path not in self._outcomes:
                    self._outcomes[path] = "stopped"
                    return url, path
                self._bar.update()
        return None

    def put(self, path: Path, outcome: bool | str) -> None:
        """Note whether a file was fetched (True), was there (False), or the reason why it failed."""
        with self._lock:
            self._outcomes[path] = outcome
            self._bar.update()

    def close(self) -> None:
        """Hand out no more files."""
        with self._lock:
            self._files = iter(())
            self._bar.close()

    def report(self) -> FetchReport:
        report = FetchReport()
        for path, outcome in self._outcomes.items():
            if isinstance(outcome, str):
                report.failed[path] = outcome
            else:
                (report.fetched if outcome else report.present).append(path)
        return report


def _work(queue: _Queue, patience: dict) -> None:
    with requests.Session() as session:
        while taken := queue.take():
            url, path = taken
            try:
                outcome = Transfer(mirror(url), path, session, **patience).run()
            except (DownloadError, OSError) as error:
                outcome = str(error)
            queue.put(path, outcome)


def _listed(file: Path) -> Iterator[tuple[str, str]]:
    """Return the pairs of a text file: an address, white space, a path; lines that start with # are left out."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split(maxsplit=1)
        if words and not words[0].startswith("#"):
            if len(words) != 2:
                raise DownloadError(f"{file}, line {number}: an address and a path belong there, not {line!r}.")
            yield words[0], words[1].strip()


def main(arguments: list[str] | None = None) -> int:
    """Fetch what the command line asks for; return 0 when all is there, else 1."""
    parser = argparse.ArgumentParser(prog="python -m captioning.fetching.download", description=main.__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--list", type=Path, metavar="FILE", help='lines "url path", instead of one url and path')
    parser.add_argument("--md5", help="of the one file")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--retries", type=int, default=5)
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds")
    options = parser.parse_args(arguments)
    if (options.list is None) == (options.path is None):
        parser.error("give an address and a path, or --list FILE")
    patience = {"retries": options.retries, "timeout": options.timeout}
    try:
        if options.list is None:
            print(fetch(options.url, options.path, md5=options.md5, **patience))
            return 0
        report = fetch_many(list(_listed(options.list)), options.workers, **patience)
    except (DownloadError, OSError) as error:
        print(error)
        return 1
    print(report)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
