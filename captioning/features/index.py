"""Which row is whose: the lines of a feature store's index, hundreds of thousands of them, in a few NumPy arrays."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

BROKEN, UNSEEN = "-", "?"  # what a line of the index has for a row that will never be, or that is not there yet
_BLOCK = 1 << 20  # bytes that are looked at together; bounds the memory
_KEY = rb'[0-9a-f]*+\t(?:-?\d++|"[ -~]*")'
_ROW = rb"(?:\d{1,12}\t" + _KEY + rb"\n)"
_ROWS = re.compile(_ROW + b"*+")
_NO_ROW = re.compile(rf"([{BROKEN}{UNSEEN}])\t(".encode() + _KEY + rb')\t("[ -~]*")\n')


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
    """The rows of pictures and the reasons of those that have none.

    The lines with rows stay one text. Beside it are, in the order of marks that nearly always differ, where each key is
    in it and which row is its own. Keys that are added later are in a dictionary.
    """

    def __init__(self, text: bytes):
        """Read whole lines as `Entry.line` gives them; `garbled` counts those that are something else."""
        self._added: dict[str, int] = {}  # key -> row
        self.without: dict[str, Entry] = {}  # of the pictures that have no row
        self.garbled = 0
        self._text = self._take_rows(text)
        buffer = np.frombuffer(self._text, np.uint8)
        self._stops = np.flatnonzero(buffer == ord("\n"))  # (keys,), as the others
        begins = np.concatenate([[0], self._stops + 1])[:-1]
        self._starts = np.flatnonzero(buffer == ord("\t"))[::2] + 1
        self._rows = _numbers(buffer, begins, self._starts - 1)
        self._marks = _marks(buffer, self._starts, self._stops)
        self._keep(np.argsort(self._marks, kind="stable"))
        self._keep(self._last_of_each())

    def _take_rows(self, text: bytes) -> bytes:
        """Return the lines with rows; take in the others."""
        kept, place = [], 0
        while place < len(text):
            end = text.rfind(b"\n", place, place + _BLOCK) + 1 or text.find(b"\n", place) + 1
            while place < end:
                rows = _ROWS.match(text, place, end).end()
                kept.append((place, rows))
                place = text.find(b"\n", rows) + 1 if rows < end else end
                if rows < end:
                    self._take_other(text[rows:place])
        return text if kept and sum(b - a for a, b in kept) == len(text) else b"".join(text[a:b] for a, b in kept)

    def _take_other(self, line: bytes) -> None:
        if found := _NO_ROW.fullmatch(line):
            mark, key, reason = (part.decode("ascii") for part in found.groups())
            self.without[key] = Entry(key, mark=mark, reason=json.loads(reason))
        else:
            self.garbled += 1

    def _keep(self, chosen: np.ndarray) -> None:
        for name in ("_starts", "_stops", "_rows", "_marks"):
            setattr(self, name, getattr(self, name)[chosen])

    def _last_of_each(self) -> np.ndarray:
        """Return which lines stay where a key has several: the last."""
        stay = np.ones(len(self._rows), bool)
        same = np.flatnonzero(self._marks[1:] == self._marks[:-1])
        last: dict[bytes, int] = {}
        for place in np.union1d(same, same + 1).tolist():
            key = self._key(place)
            if key in last:
                stay[last[key]] = False
            last[key] = place
        return stay

    def _key(self, place: int) -> bytes:
        return self._text[self._starts[place] : self._stops[place]]

    def __len__(self) -> int:
        return len(self._rows) + len(self._added)

    def rows(self) -> np.ndarray:
        """Return the numbers of all rows, in no order: int64 (rows,)."""
        return np.concatenate([self._rows, np.fromiter(self._added.values(), np.int64)])

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """Return the row of each key, -1 where there is none: int64 (keys,)."""
        found = np.full(len(keys), -1, np.int64)
        first, last = (np.array(ends, "S8").view(np.uint64) for ends in (keys, [key[-8:] for key in keys]))
        place, end = (np.searchsorted(self._marks, _mixed(first, last), side) for side in ("left", "right"))
        asked = np.flatnonzero(place < end)
        while len(asked):  # rarely more than once: the marks nearly always differ
            at = place[asked]
            texts = zip(self._starts[at].tolist(), self._stops[at].tolist(), asked.tolist(), strict=True)
            right = np.array([self._text[a:b] == keys[number].encode("ascii") for a, b, number in texts])
            found[asked[right]] = self._rows[at[right]]
            asked = asked[~right & (at + 1 < end[asked])]
            place[asked] += 1
        if self._added:
            return np.array(
                [self._added.get(key, row) for key, row in zip(keys, found.tolist(), strict=True)], np.int64
            )
        return found

    def drop(self, rows: np.ndarray) -> None:
        """Give up these rows."""
        self._keep(~np.isin(self._rows, rows))

    def add(self, rows: dict[str, int], without: dict[str, Entry]) -> None:
        """Take in new keys."""
        self._added |= rows
        self.without |= without

    def lines(self) -> Iterator[str]:
        """Yield the lines that say all this."""
        for place in np.argsort(self._rows).tolist():
            yield Entry(self._key(place).decode("ascii")).line(self._rows[place])
        yield from (Entry(key).line(row) for key, row in self._added.items())
        yield from (entry.line() for entry in self.without.values())

    def newest_content(self, image_id: int | str) -> str:
        """Return the content digest of the newest row under an id, else of the newest line without one, else ""."""
        ending = key_of(image_id, "")
        for keys in (reversed(self._added), self._read_under(ending), reversed(self.without)):
            for key in keys:
                if key.endswith(ending):
                    return key.removesuffix(ending)
        return ""

    def has_row_under(self, image_id: int | str) -> bool:
        """Tell whether a picture of any content has a row under this id."""
        ending = key_of(image_id, "")
        return any(self._read_under(ending)) or any(key.endswith(ending) for key in self._added)

    def _read_under(self, ending: str) -> Iterator[str]:
        """Yield the keys in the text with this ending that have a row, the newest first."""
        line_end, place = ending.encode("ascii") + b"\n", len(self._text)
        while (place := self._text.rfind(line_end, 0, place)) >= 0:
            start = self._text.rfind(b"\t", 0, place) + 1
            key = self._text[start:place].decode("ascii") + ending
            if self.find([key])[0] >= 0:
                yield key


def _numbers(buffer: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return the decimal numbers of at most 12 digits that are between these places: int64 (lines,)."""
    numbers = np.zeros(len(starts), np.int64)
    for place in range(12):
        there = stops - 1 - place >= starts
        numbers += np.where(there, buffer[stops - 1 - place] - np.int64(ord("0")), 0) * 10**place
    return numbers


def _marks(buffer: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return a number for each text of two letters or more between these places: uint64 (lines,)."""
    first, last = np.zeros((2, len(starts), 8), np.uint8)
    behind = np.maximum(stops - 8, starts)
    for place in range(8):
        for letters, start in ((first, starts), (last, behind)):
            letters[:, place] = np.where(start + place < stops, buffer[np.minimum(start + place, stops)], 0)
    return _mixed(first.view(np.uint64)[:, 0], last.view(np.uint64)[:, 0])


def _mixed(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return one number for the first and the last eight letters of a key, both as numbers."""
    return first * np.uint64(0x9E3779B97F4A7C15) + last
