"""Rows of numbers on disk: shards that only grow, and an index that says which row is whose."""

import itertools
import math
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from captioning.features.index import Entry, Index
from captioning.files import write_text

ALIGNED = 64  # bytes; EIGEN_MAX_ALIGN_BYTES with AVX-512, the most that TensorFlow asks for
KEPT = 1 << 27  # bytes of memory for rows that are kept to be filled again
_KEPT: list[np.ndarray] = []
_LOCK = threading.Lock()


class FeatureError(ValueError):
    """A feature folder does not hold what is asked of it."""


class Shards:
    """The rows of one folder.

    Row n is in shard n // `per_shard`, at a fixed place. `index.tsv` has one line per picture: the row's number and the
    key, or why there is no row. A row is on the disk before its line is written, so all that a kill can leave is half a
    line at the end, which does not count, and rows without a line: free places, which the next rows take.
    """

    def __init__(self, folder: Path, header: str, shape: tuple[int, ...], per_shard: int):
        """Read the index, whose first line, the header, tells what made the rows; `shape` is that of a row."""
        self.folder, self.header, self.shape, self.per_shard = folder, header, shape, per_shard
        self.row_bytes = 2 * math.prod(shape)
        self.index = folder / "index.tsv"
        self._end = 0  # bytes of whole lines
        self.damage = [*self._read_index(), *self._give_up_lost_rows()]

    def _read_index(self) -> Iterator[str]:
        """Take what the index says; yield what is wrong with it."""
        content = self.index.read_bytes() if self.index.is_file() else b""
        self._end = content.rfind(b"\n") + 1
        behind = content.find(b"\n") + 1
        self.known = Index(content[behind : self._end])
        garbled = self.known.garbled + (content[: behind - 1] != self.header.encode())
        if not self._end:
            if any(self.folder.glob("rows-*.f16")):
                yield f"{self.index} is {'empty' if self.index.is_file() else 'missing'}"
        elif garbled:
            yield f"{self.index} is damaged in {garbled} lines"

    def _give_up_lost_rows(self) -> Iterator[str]:
        """Give up the rows that are not whole, or that two keys claim; yield which files are to blame."""
        rows, counts = np.unique(self.known.rows(), return_counts=True)
        shards, shard_of = np.unique(rows // self.per_shard, return_inverse=True)
        files = [self._shard(number) for number in shards.tolist()]
        sizes = [file.stat().st_size if file.is_file() else 0 for file in files]
        lost = rows % self.per_shard >= np.array(sizes, np.int64)[shard_of] // self.row_bytes
        for number in np.unique(shard_of[lost]).tolist():
            yield f"{files[number]} is damaged: it holds {sizes[number]:,} bytes and should hold more"
        twice = counts > 1
        if twice.any():
            yield f"{self.index} is damaged: it gives {twice.sum()} rows to two pictures"
        if (lost | twice).any():
            self.known.drop(rows[lost | twice])

    def _shard(self, number: int) -> Path:
        return self.folder / f"rows-{number:05d}.f16"

    def read(self, numbers: np.ndarray, way_out: str) -> np.ndarray:
        """Return rows by number, in any order: float16 (rows, *shape); one file is open at a time.

        Raises:
            FeatureError: a shard is missing or too short; the message names it, and the way out.
        """
        rows = _aligned((len(numbers), *self.shape))
        order = np.argsort(numbers, kind="stable").tolist()
        for shard, places in itertools.groupby(order, lambda place: int(numbers[place]) // self.per_shard):
            try:
                with self._shard(shard).open("rb", buffering=0) as file:
                    for place in places:
                        file.seek(int(numbers[place]) % self.per_shard * self.row_bytes)
                        if file.readinto(rows[place]) != self.row_bytes:
                            raise FeatureError(f"{self._shard(shard)} is damaged: it ends too early. {way_out}")
            except FileNotFoundError as error:
                raise FeatureError(f"{self._shard(shard)} is missing. {way_out}") from error
        return rows

    def mend(self) -> None:
        """Prepare for `add`: give up what is lost, and nothing else; the places of lost rows become free."""
        if self.damage or not self._end:
            text = "".join([f"{self.header}\n", *self.known.lines()])
            write_text(self.index, text)
            self._end, self.damage = len(text), []
        used = np.sort(self.known.rows())
        self._next = int(used[-1]) + 1 if len(used) else 0
        self._gaps = np.setdiff1d(np.arange(self._next), used, assume_unique=True).tolist()

    def add(self, entries: Sequence[Entry]) -> None:
        """Write rows, then their lines; after an error the same call may be made again.

        Raises:
            OSError: the disk; what was there before is untouched.
        """
        new = [entry for entry in entries if entry.row is not None]
        gaps = self._gaps[: len(new)]
        behind = range(self._next, self._next + len(new) - len(gaps))
        places = {entry.key: place for entry, place in zip(new, [*gaps, *behind], strict=True)}
        for shard, part in itertools.groupby(new, lambda entry: places[entry.key] // self.per_shard):
            rows = ((places[key] % self.per_shard * self.row_bytes, row) for key, row, *_ in part)
            _write(self._shard(shard), [(place, row.data) for place, row in rows if row is not None])
        text = "".join(entry.line(places.get(entry.key)) for entry in entries).encode("ascii")
        _write(self.index, [(self._end, text)], cut=True)
        self._end += len(text)
        self._gaps, self._next = self._gaps[len(gaps) :], behind.stop
        self.known.add(places, {entry.key: entry for entry in entries if entry.row is None})


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Return an empty float16 array that begins where TensorFlow wants it: it takes such an array without a copy.

    Its memory is that of an earlier one that nobody holds any more, where there is one of this size: memory that is new
    to the process takes several times as long to fill.
    """
    size = 2 * math.prod(shape)
    with _LOCK:
        # Three hold it: the list, the loop and the question. A fourth is an array, or a tensor, that lies in it.
        memory = next((one for one in _KEPT if len(one) == size + ALIGNED and sys.getrefcount(one) == 3), None)
        if memory is None:
            memory = np.empty(size + ALIGNED, np.uint8)
            _KEPT.append(memory)
            while sum(map(len, _KEPT)) > KEPT:
                _KEPT.pop(0)
        start = -memory.ctypes.data % ALIGNED
        return memory[start : start + size].view(np.float16).reshape(shape)


def _write(path: Path, parts: Iterable[tuple[int, bytes | memoryview]], cut: bool = False) -> None:
    """Write bytes at places of a file and wait until they are on the disk; `cut` ends the file behind them."""
    path.touch()
    with path.open("r+b") as file:
        for place, content in parts:
            file.seek(place)
            file.write(content)
        if cut:
            file.truncate()
        file.flush()
        os.fsync(file.fileno())
