"""Which row is whose: the lines of a feature store's index."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

BROKEN, UNSEEN = "-", "?"  # what a line of the index has for a row that will never be, or that is not there yet
_KEY = r'([0-9a-f]*+\t(?:-?[0-9]++|"[ -~]*"))'
_ROW = re.compile(r"([0-9]{1,12})\t" + _KEY)
_NO_ROW = re.compile(rf"([{BROKEN}{UNSEEN}])\t{_KEY}" + r'\t("[ -~]*")')


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
    return f"{content}\t{image_id if type(image_id) is int else json.dumps(image_id)}"


class Index:
    """The rows of pictures and the reasons of those that have none; of several lines with one key the last counts."""

    def __init__(self, text: bytes):
        """Read whole lines as `Entry.line` gives them; `garbled` counts those that are something else."""
        self._rows: dict[str, int] = {}  # key -> row, the newest last
        self.without: dict[str, Entry] = {}  # of the pictures that have no row
        self._newest: dict[str, str] = {}  # id -> content, made when it is first asked for
        self.garbled = 0
        for line in text.decode("latin-1").split("\n")[:-1]:
            if found := _ROW.fullmatch(line):
                self._rows.pop(found[2], None)
                self._rows[found[2]] = int(found[1])
            elif found := _NO_ROW.fullmatch(line):
                self.without[found[2]] = Entry(found[2], mark=found[1], reason=json.loads(found[3]))
            else:
                self.garbled += 1

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> np.ndarray:
        """Return the numbers of all rows, in no order: int64 (rows,)."""
        return np.fromiter(self._rows.values(), np.int64)

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """Return the row of each key, -1 where there is none: int64 (keys,)."""
        return np.array([self._rows.get(key, -1) for key in keys], np.int64)

    def drop(self, rows: np.ndarray) -> None:
        """Give up these rows."""
        dropped = set(rows.tolist())
        self._rows = {key: row for key, row in self._rows.items() if row not in dropped}
        self._newest.clear()

    def add(self, rows: dict[str, int], without: dict[str, Entry]) -> None:
        """Take in new keys."""
        self._rows |= rows
        self.without |= without
        self._newest.clear()

    def lines(self) -> Iterator[str]:
        """Yield the lines that say all this."""
        yield from (Entry(key).line(row) for key, row in self._rows.items())
        yield from (entry.line() for entry in self.without.values())

    def newest_content(self, image_id: int | str) -> str:
        """Return the content digest of the newest row under an id, else of the newest line without one, else ""."""
        if not self._newest:
            pairs = (key.split("\t") for keys in (self.without, self._rows) for key in keys)
            self._newest = {ending: content for content, ending in pairs}
        return self._newest.get(key_of(image_id, "")[1:], "")

    def has_row_under(self, image_id: int | str) -> bool:
        """Tell whether a picture of any content has a row under this id."""
        ending = key_of(image_id, "")
        return any(key.endswith(ending) for key in self._rows)
