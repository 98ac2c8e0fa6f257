"""Rows of numbers on disk: shards that only grow, and an index that says which row is whose."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captioning.files import write_text

BROKEN, UNSEEN = "-", "?"  # what a line of the index has for a row that will never be, or that is not there yet
_KEY = r'([0-9a-f]*\t(?:-?\d+|"[^\t\n]*"))'
_ROW = re.compile(rf"^(\d{{1,12}})\t{_KEY}$", re.MULTILINE | re.ASCII)
_NO_ROW = re.compile(rf'^([{BROKEN}{UNSEEN}])\t{_KEY}\t("[^\t\n]*")$', re.MULTILINE | re.ASCII)


class FeatureError(ValueError):
    """A feature folder does not hold what is asked of it."""


class Entry(NamedTuple):
    """What the store is to know about one picture."""

    key: str
    row: np.ndarray | None = None
    mark: str = ""  # where there is no row: BROKEN or UNSEEN
    reason: str = ""


def key_of(image_id: int | str, content: str) -> str:
    """Return what a row is found by: the digest of the picture's bytes and its id, on one line of ASCII."""
    return f"{content}\t{json.dumps(image_id)}"


class Shards:
    """The rows of one folder.

    Row n is in shard n // `per_shard`, at a fixed place. `index.tsv` has one line per picture: the row's number and the
    key, or why there is no row. A row is on the disk before its line is written, so all that a kill can leave is half a
    line at the end, which does not count, and rows without a line: free places, which the next rows take.
    """

    def __init__(self, folder: Path, header: str, shape: tuple[int, ...], per_shard: int):
        """Read the index.

        Args:
            folder: where the files are.
            header: first line of the index; tells what made the rows.
            shape: of one row of float16.
            per_shard: rows per shard.
        """
        self.folder, self.header, self.shape, self.per_shard = folder, header, shape, per_shard
        self.row_bytes = 2 * int(np.prod(shape))
        self.index = folder / "index.tsv"
        content = self.index.read_bytes() if self.index.is_file() else b""
        self._end = content.rfind(b"\n") + 1  # bytes of whole lines
        self.found_header, _, lines = content[: self._end].decode("ascii", "replace").partition("\n")
        rows, without = _ROW.findall(lines), _NO_ROW.findall(lines)
        self.rows = {key: int(row) for row, key in rows}
        self.broken = {key: json.loads(reason) for mark, key, reason in without if mark == BROKEN}
        self.unseen = {key: json.loads(reason) for mark, key, reason in without if mark == UNSEEN}
        garbled = lines.count("\n") - len(rows) - len(without)
        self.damage = [*self._index_damage(garbled), *self._lost_rows()]
        self._gaps: list[int] | None = None

    def _index_damage(self, garbled: int) -> Iterable[str]:
        if not self._end:
            if any(self.folder.glob("rows-*.f16")):
                yield f"{self.index} is {'empty' if self.index.is_file() else 'missing'}"
        elif garbled or self.found_header != self.header:
            yield f"{self.index} is damaged in {garbled + (self.found_header != self.header)} lines"

    def _lost_rows(self) -> Iterable[str]:
        """Take the rows that are not whole, or that two keys claim, out of `rows`; yield which files are to blame."""
        used = np.fromiter(self.rows.values(), np.int64, len(self.rows))
        numbers, shard_of = np.unique(used // self.per_shard, return_inverse=True)
        sizes = [self._size(shard) for shard in numbers]
        whole = np.array([size // self.row_bytes for size in sizes], np.int64)
        lost = used % self.per_shard >= whole[shard_of] if len(used) else np.zeros(0, bool)
        for place in np.unique(shard_of[lost]):
            yield f"{self._shard(numbers[place])} is damaged: it holds {sizes[place]:,} bytes and should hold more"
        _, row_of, times = np.unique(used, return_inverse=True, return_counts=True)
        if (times > 1).any():
            yield f"{self.index} is damaged: it gives {(times > 1).sum()} rows to two pictures"
            lost |= times[row_of] > 1
        if lost.any():
            self.rows = {key: row for (key, row), gone in zip(self.rows.items(), lost, strict=True) if not gone}

    def _size(self, shard: int) -> int:
        try:
            return self._shard(shard).stat().st_size
        except FileNotFoundError:
            return 0

    def _shard(self, number: int) -> Path:
        return self.folder / f"rows-{number:05d}.f16"

    def __contains__(self, key: str) -> bool:
        return key in self.rows or key in self.broken

    def read(self, numbers: Sequence[int], way_out: str) -> np.ndarray:
        """Return rows by number: float16 (rows, *shape); one file is open at a time.

        Args:
            numbers: in any order.
            way_out: the end of the error's message.

        Raises:
            FeatureError: a shard is missing or too short; the message names it.
        """
        rows = np.empty((len(numbers), *self.shape), np.float16)
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        for shard, places in itertools.groupby(order, lambda place: numbers[place] // self.per_shard):
            try:
                with self._shard(shard).open("rb") as file:
                    for place in places:
                        file.seek(numbers[place] % self.per_shard * self.row_bytes)
                        if file.readinto(rows[place]) != self.row_bytes:
                            raise FeatureError(f"{self._shard(shard)} is damaged: it ends too early. {way_out}")
            except FileNotFoundError as error:
                raise FeatureError(f"{self._shard(shard)} is missing. {way_out}") from error
        return rows

    def mend(self) -> None:
        """Prepare for writing: give up what is lost, and nothing else; the places of lost rows become free."""
        if self.damage or not self._end:
            lines = [f"{row}\t{key}\n" for key, row in self.rows.items()]
            for mark, reasons in ((BROKEN, self.broken), (UNSEEN, self.unseen)):
                lines += [f"{mark}\t{key}\t{json.dumps(reason)}\n" for key, reason in reasons.items()]
            text = f"{self.header}\n{''.join(lines)}"
            write_text(self.index, text)
            self._end, self.damage = len(text), []
        used = np.fromiter(self.rows.values(), np.int64, len(self.rows))
        self._next = int(used.max(initial=-1)) + 1
        self._gaps = np.setdiff1d(np.arange(self._next), used).tolist()

    def add(self, entries: Sequence[Entry]) -> None:
        """Write rows, then their lines; after an error the same call may be made again.

        Raises:
            OSError: the disk; what was there before is untouched.
        """
        if self._gaps is None:
            self.mend()
        rows = [entry.row for entry in entries if entry.row is not None]
        places = (self._gaps + list(range(self._next, self._next + len(rows))))[: len(rows)]
        parts = [(place % self.per_shard * self.row_bytes, row) for place, row in zip(places, rows, strict=True)]
        for shard, pairs in itertools.groupby(zip(places, parts, strict=True), lambda p: p[0] // self.per_shard):
            _write(self._shard(shard), [part for _, part in pairs])
        numbers = iter(places)
        lines = [
            f"{next(numbers)}\t{entry.key}\n" if entry.row is not None
            else f"{entry.mark}\t{entry.key}\t{json.dumps(entry.reason)}\n"
            for entry in entries
        ]  # fmt: skip
        text = "".join(lines).encode("ascii")
        _write(self.index, [(self._end, text)], cut=True)
        self._end += len(text)
        self._gaps, self._next = self._gaps[len(places) :], max([self._next, *(place + 1 for place in places)])
        self.rows |= zip((entry.key for entry in entries if entry.row is not None), places, strict=True)
        for mark, reasons in ((BROKEN, self.broken), (UNSEEN, self.unseen)):
            reasons |= {entry.key: entry.reason for entry in entries if entry.row is None and entry.mark == mark}


def _write(path: Path, parts: Iterable[tuple[int, bytes | np.ndarray]], cut: bool = False) -> None:
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
