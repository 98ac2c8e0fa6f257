"""What notebooks take on this machine: minutes, memory and disk, measured while they run."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from captioning.catalog import megabytes
from captioning.files import DamagedError, read_json, write_json
from captioning.lines import Lines, aligned

FILE = "costs.json"  # beside the executed notebooks
EVERY = 0.5  # seconds between two looks at the memory


@contextlib.contextmanager
def measured(folders: Sequence[Path]) -> Iterator[dict[str, float]]:
    """Give a dictionary that is filled when the block ends, whatever ends it.

    `minutes`; `memory_GB`: the most that the processes started in the block, and those that they started, held together
    at one moment; `disk_MB`: how much larger the folders are than before.
    """
    costs: dict[str, float] = {}
    before, started, done = sum(map(megabytes, folders)), time.perf_counter(), threading.Event()
    earlier = {process.pid for process in psutil.Process().children(recursive=True)}
    seen = [0]

    def look() -> None:
        while not done.wait(EVERY):
            seen.append(_memory(earlier))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield costs
    finally:
        done.set()
        thread.join()
        grown = sum(map(megabytes, folders)) - before
        minutes = (time.perf_counter() - started) / 60
        costs.update(minutes=round(minutes, 2), memory_GB=round(max(seen) / 1e9, 2), disk_MB=round(max(0.0, grown), 1))


def _memory(earlier: set[int]) -> int:
    """Return the bytes that the processes below this one hold, without those that were there earlier."""
    held = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            held += process.memory_info().rss * (process.pid not in earlier)
    return held


def keep(folder: Path, name: str, costs: Mapping[str, float]) -> None:
    """Write what a notebook took beside its executed copy; what others took stays there."""
    write_json(folder / FILE, dict(sorted((read(folder) | {name: dict(costs)}).items())))


def read(folder: Path) -> dict[str, dict[str, float]]:
    """Return notebook -> what its last complete run took; nothing where none is kept."""
    with contextlib.suppress(FileNotFoundError, DamagedError):
        kept = read_json(folder / FILE, "")
        return kept if isinstance(kept, dict) else {}
    return {}


def table(costs: Mapping[str, Mapping[str, float]]) -> Lines:
    """Return a line per notebook, and one with all minutes, the largest memory, and the disk of all."""
    rows = {name: (each["minutes"], each["memory_GB"], each["disk_MB"]) for name, each in costs.items()}
    minutes, memory, disk = zip(*rows.values(), strict=True)
    rows["together"] = sum(minutes), max(memory), sum(disk)
    told = [(name, f"{row[0]:.1f}", f"{row[1]:.1f}", f"{row[2]:,.0f}") for name, row in rows.items()]
    return aligned([("", "minutes", "GB of memory", "MB of disk"), *told])
