"""A picture with its captions, and many of them in a small amount of memory."""

from __future__ import annotations

import functools
import itertools
import json
import pickle
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from captioning import lines
from captioning.provenance import FileState

TOGETHER = 256  # records that are compressed together
UNPACKED = 16  # blocks that stay unpacked: all of a dataset of up to 4,000 pictures


@dataclass(frozen=True, slots=True)  # hundreds of thousands of them: without a dictionary each
class Record:
    """One picture with its captions."""

    image_id: int | str
    file: Path
    captions: tuple[str, ...]
    split: str
    truth: dict | None = None  # what is really in a drawn scene
    content: str = ""  # digest of the file's bytes; empty until the photo check has read them
    state: FileState | None = None  # of the file as the photo check read it

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show a field per line, a caption per line; of the digest the beginning."""
        rows = [("image_id", str(self.image_id)), ("file", lines.short_path(self.file)), ("split", self.split)]
        rows += [("" if number else "captions", caption) for number, caption in enumerate(self.captions)]
        rows += [("truth", textwrap.shorten(json.dumps(self.truth), 100, placeholder=" …"))] if self.truth else []
        rows += [("content", f"{self.content[:8]}… (digest of the file)")] if self.content else []
        lines.aligned(rows)._repr_pretty_(printer, cycle)


class Records(Sequence[Record]):
    """Records in order, which never change: those of 100,000 pictures with five captions take 15 MB instead of 130.

    A large part shares the memory of the whole, and is pickled with all of it: give other processes lists.
    """

    def __init__(self, blocks: tuple[bytes, ...], numbers: np.ndarray):
        """Take the blocks that `of` packed, and the numbers of the records to include, in order: int (records,)."""
        self._blocks, self._numbers = blocks, numbers

    @classmethod
    def of(cls, records: Iterable[Record]) -> Records:
        """Pack records; return those that are packed already as they are."""
        if isinstance(records, Records):
            return records
        blocks, given, count = [], iter(records), 0
        while block := list(itertools.islice(given, TOGETHER)):
            blocks.append(zlib.compress(pickle.dumps(block, pickle.HIGHEST_PROTOCOL), 1))
            count += len(block)
        return cls(tuple(blocks), np.arange(count, dtype=np.int32))

    def where(self, flags: Iterable[bool]) -> Records:
        """Return the records whose flag is true; there must be one flag per record."""
        found = Records(self._blocks, self._numbers[np.fromiter(flags, bool)])
        # A few from everywhere are packed again: else each look at all of them would unpack every block.
        return found if len(found) > len(self) / 2 else Records.of(iter(found))

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> Record | Records:
        if isinstance(place, slice):
            return Records(self._blocks, self._numbers[place])
        block, number = divmod(int(self._numbers[place]), TOGETHER)
        return _unpacked(self._blocks[block])[number]

    def __iter__(self) -> Iterator[Record]:
        for block, numbers in itertools.groupby(self._numbers.tolist(), lambda number: number // TOGETHER):
            records = _unpacked(self._blocks[block])
            yield from (records[number % TOGETHER] for number in numbers)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"<{len(self):,} records>"


@functools.lru_cache(maxsize=UNPACKED)
def _unpacked(block: bytes) -> list[Record]:
    return pickle.loads(zlib.decompress(block))
