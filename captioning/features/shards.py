"""Rows of numbers on disk: shards that only grow, and an index that says which row is whose."""

import itertools
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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

    def line(self, number: int | None = None) -> str:
        """Return the line of the index: with the number of the row, or why there is none."""
        return f"{self.mark}\t{self.key}\t{json.dumps(self.reason)}\n" if number is None else f"{number}\t{self.key}\n"


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
        self.row_bytes = 2 * math.prod(shape)
        self.index = folder / "index.tsv"
        self.rows: dict[str, int] = {}  # key -> number
        self.without: dict[str, Entry] = {}  # of the pictures that have no row
        self.damage = [*self._read_index(), *self._give_up_lost_rows()]

    def _read_index(self) -> Iterator[str]:
        """Take what the index says; yield what is wrong with it."""
        content = self.index.read_bytes() if self.index.is_file() else b""
        self._end = content.rfind(b"\n") + 1  # bytes of whole lines
        header, _, lines = content[: self._end].decode("ascii", "replace").partition("\n")
        rows, without = _ROW.findall(lines), _NO_ROW.findall(lines)
        self.rows = {key: int(number) for number, key in rows}
        self.without = {key: Entry(key, mark=mark, reason=json.loads(reason)) for mark, key, reason in without}
        garbled = lines.count("\n") - len(rows) - len(without) + (header != self.header)
        if not self._end:
            if any(self.folder.glob("rows-*.f16")):
                yield f"{self.index} is {'empty' if self.index.is_file() else 'missing'}"
        elif garbled:
            yield f"{self.index} is damaged in {garbled} lines"

    def _give_up_lost_rows(self) -> Iterator[str]:
        """Take the rows that are not whole, or that two keys claim, out of `rows`; yield which files are to blame."""
        claims = Counter(self.rows.values())
        files = {number: self._shard(number) for number in sorted({row // self.per_shard for row in claims})}
        sizes = {number: file.stat().st_size if file.is_file() else 0 for number, file in files.items()}
        whole = {number: size // self.row_bytes for number, size in sizes.items()}
        lost = {row for row in claims if row % self.per_shard >= whole[row // self.per_shard]}
        for number in sorted({row // self.per_shard for row in lost}):
            yield f"{files[number]} is damaged: it holds {sizes[number]:,} bytes and should hold more"
        twice = {row for row, count in claims.items() if count > 1}
        if twice:
            yield f"{self.index} is damaged: it gives {len(twice)} rows to two pictures"
        self.rows = {key: row for key, row in self.rows.items() if row not in lost and row not in twice}

    def _shard(self, number: int) -> Path:
        return self.folder / f"rows-{number:05d}.f16"

    def __contains__(self, key: str) -> bool:
        """Tell whether the picture has a row, or never will."""
        return key in self.rows or (key in self.without and self.without[key].mark == BROKEN)

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
        """Prepare for `add`: give up what is lost, and nothing else; the places of lost rows become free."""
        if self.damage or not self._end:
            lines = [Entry(key).line(number) for key, number in self.rows.items()]
            lines += [entry.line() for entry in self.without.values()]
            text = f"{self.header}\n{''.join(lines)}"
            write_text(self.index, text)
            self._end, self.damage = len(text), []
        used = set(self.rows.values())
        self._next = max(used, default=-1) + 1
        self._gaps = sorted(set(range(self._next)) - used)

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
            rows = [(places[entry.key] % self.per_shard * self.row_bytes, entry.row) for entry in part]
            _write(self._shard(shard), rows)
        text = "".join(entry.line(places.get(entry.key)) for entry in entries).encode("ascii")
        _write(self.index, [(self._end, text)], cut=True)
        self._end += len(text)
        self._gaps, self._next = self._gaps[len(gaps) :], behind.stop
        self.rows |= places
        self.without |= {entry.key: entry for entry in entries if entry.row is None}


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
