"""Rows of the files that people keep captions in: strict, each with its file and line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from captioning.datasets.dataset import UNSPLIT, DatasetError
from captioning.datasets.texts import Findings, shown, usable
from captioning.files import DamagedError
from captioning.images import EXTENSIONS

# Names of columns, the first one that is there counts. A number or an "s" may follow those of captions.
IMAGE = ("image", "file_name", "filename", "image_name", "image_path", "photo", "img", "path", "file", "image_id")
CAPTION = ("caption", "text", "comment", "sentence", "description")
AS_JSON = "Save it as JSON in UTF-8; a file with one object per line is called captions.jsonl."
MOST = 10  # bad lines that one error names
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a pipe"}
_QUOTE = (
    'Put a caption that holds separators or quotes into quotes, and double those inside: a.jpg,"A ""stop"" sign, red"'
)
_ROW_BEGINS = re.compile(r'\s*"?([^,;|\t"]+)"?\s*[,;|\t]')
# What splits are called elsewhere; Karpathy's "restval" are photos of val2014 given to training.
_SPLITS = dict.fromkeys(["validation", "valid", "dev"], "val") | {"training": "train", "restval": "train"}


class Caption(NamedTuple):
    """One caption of a file."""

    place: str  # file and line
    image: str  # as the file names it, with forward slashes
    text: str
    split: str  # `UNSPLIT` where the row has none


def read(source: Path, findings: Findings) -> list[Caption]:
    """Read a file of captions by its layout: CSV, JSON lines, JSON, or the `photo.jpg#0<tab>caption` of Flickr.

    Args:
        source: the file; `.json` holds a list of rows, Karpathy's {"images": [...]}, or {photo: captions}.
        findings: gets the values that are not text, and what was dropped from captions.

    Raises:
        DatasetError: it is not text in UTF-8, or lines of it cannot be read without losing something; all are named.
        DamagedError: a `.json` is not JSON.
    """
    ending = source.suffix.lower()
    if ending == ".jsonl":
        rows = _json_lines(source)
    elif ending == ".json":
        rows = ((f"{source.name}, item {number}", row) for number, row in enumerate(_items(source), start=1))
    elif ".token" in source.name.lower():
        rows = _tokens(source)
    else:
        rows = _csv(source)
    return list(_captions(rows, findings))


def refuse(source: Path, problems: list[str], way_out: str = "") -> None:
    """Raise one error that names all bad lines, at most `MOST` of them; none where there are no problems.

    Args:
        source: the file.
        problems: each begins with its line.
        way_out: the end of the message.

    Raises:
        DatasetError: there are problems.
    """
    if len(problems) > 1:
        more = ["more of the same kind"] if len(problems) > MOST else []
        named = "\n  ".join([f"{len(problems)} lines cannot be read:", *problems[:MOST], *more])
        raise DatasetError(f"{source}, {named}\n{way_out}".rstrip())
    if problems:
        raise DatasetError(f"{source}, {problems[0]}. {way_out}".rstrip())


def path_of(name: str) -> str:
    """Return the name of a photo as any system can take it: forward slashes, no half of a surrogate pair."""
    return name.strip().replace("\\", "/").encode(errors="backslashreplace").decode()


def text_of(source: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark; line ends stay as they are.

    Raises:
        DatasetError: it is something else; the message names the line.
    """
    return _decoded(source, source.read_bytes())


def content_of(source: Path, way_out: str) -> Any:
    """Return the content of a JSON file, with or without a byte order mark; see `files.read_json`.

    Raises:
        DamagedError: it is not JSON in UTF-8.
    """
    try:
        return json.loads(source.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{source} is damaged ({error}). {way_out}") from error


def json_lines(source: Path, way_out: str = "") -> Iterator[tuple[str, Any]]:
    """Yield place and content of each line of JSON; blank lines are skipped.

    Raises:
        DatasetError: lines are not JSON, or not UTF-8.
    """
    problems = []
    with source.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            text = _decoded(source, line, number).strip()
            try:
                if text and len(problems) <= MOST:
                    yield f"{source.name}, line {number}", json.loads(text)
            except (ValueError, RecursionError) as error:
                problems.append(f"line {number}: not JSON ({error}): {shown(text)}")
    refuse(source, problems, way_out)


def _decoded(source: Path, content: bytes, line: int = 1) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DatasetError(f"{source} is text in UTF-16: save it as UTF-8 (in Excel: `CSV UTF-8`).")
    try:
        text = content.decode("utf-8-sig" if line == 1 else "utf-8")
        fault, at = "a NUL byte", content.find(b"\0")
    except UnicodeDecodeError as error:
        fault, at = f"not a text file in UTF-8 (byte {content[error.start]:#x})", error.start
    if at < 0:
        return text
    line += content.count(b"\n", 0, at)
    raise DatasetError(f"{source}, line {line}: {fault}. Save it as UTF-8 (in Excel: `CSV UTF-8`).")


def _json_lines(source: Path) -> Iterable[tuple[str, Any]]:
    """Yield the rows of JSON lines, or of a whole JSON array that has their name."""
    with source.open("rb") as file:
        first = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not first.startswith(b"["):
        return json_lines(source)
    return ((f"{source.name}, item {number}", row) for number, row in enumerate(_items(source), start=1))


def _items(source: Path) -> list:
    content = content_of(source, AS_JSON)
    if isinstance(content, dict) and isinstance(content.get("images"), list):
        return content["images"]
    if isinstance(content, dict):
        return [{"image": image, "captions": captions} for image, captions in content.items()]
    return content if isinstance(content, list) else [content]


def _tokens(source: Path) -> Iterator[tuple[str, dict]]:
    problems = []
    for number, line in enumerate(text_of(source).split("\n"), start=1):
        key, tab, caption = line.partition("\t")
        name, mark, index = key.rpartition("#")
        if tab and mark and index.isdecimal():
            yield f"{source.name}, line {number}", {"image": name, "caption": caption}
        elif line.strip():
            problems.append(f"line {number}: not `photo.jpg#0<tab>caption`: {line[:60]!r}")
    refuse(source, problems)


def _csv(source: Path) -> list[tuple[str, dict]]:
    lines = io.StringIO(text_of(source), newline="").readlines()
    start = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("sep=")), None)
    if start is None:
        raise DatasetError(f"{source} is empty: its first line is `image,caption`.")
    separator, header = _header(source, lines[start], start + 1)
    rows, problems, continued = [], [], []
    for number, cells, further in _records(lines, start + 1, separator):
        problem = _problem(cells, further, number, header, separator)
        if problem:
            problems.append(f"line {number}: {problem}")
        elif any(map(str.strip, cells)):
            rows.append((f"{source.name}, line {number}", dict(zip(header, _repaired(cells, header), strict=False))))
            continued += [(number, line) for line in further]
        if len(problems) > MOST:
            break
    names = {cell.strip() for _, row in rows for name, cell in row.items() if name == _columns(header)[0]}
    for number, line in continued:
        if (begins := _ROW_BEGINS.match(line)) and begins[1].strip() in names:
            problems.append(f"line {number}: the quote that opens here swallows the row {line.strip()[:60]!r}")
    refuse(source, problems, _QUOTE)
    return rows


def _header(source: Path, line: str, number: int) -> tuple[str, tuple[str, ...]]:
    """Return the separator by which the first line names both columns, and all its columns."""
    most = max(_SEPARATORS, key=line.count)
    for separator in _SEPARATORS:
        try:
            (cells,) = csv.reader([line.strip()], delimiter=separator, skipinitialspace=True)
        except (csv.Error, ValueError):
            continue
        header = tuple(_plain(cell) for cell in cells)
        image, captions, _ = _columns(header)
        if image and captions:
            if twice := [name for name in header if name and header.count(name) > 1]:
                raise DatasetError(f"{source}, line {number}: two columns are called {twice[0]!r}.")
            return separator, header
    raise DatasetError(
        f"{source}, line {number}: the first line has to name the columns `image` and `caption`, for example "
        f"`image,caption`. Found {line.strip()[:80]!r}"
        + (f", with {_SEPARATORS[most]} as separator." if most in line else ", with no separator that is known.")
    )


def _records(lines: list[str], start: int, separator: str) -> Iterator[tuple[int, list[str] | str, list[str]]]:
    """Yield line number, cells (or what is wrong with them) and further lines of each record.

    After an error, reading resumes with the very next line: what an open quote has swallowed is looked at.
    """
    while start < len(lines):
        done = 0
        reader = csv.reader(lines[start:], delimiter=separator, skipinitialspace=separator == ",", strict=True)
        try:
            for cells in reader:
                yield start + done + 1, cells, lines[start + done + 1 : start + reader.line_num]
                done = reader.line_num
            return
        except csv.Error as error:
            yield start + done + 1, str(error), []
            start += done + 1


def _problem(cells: list[str] | str, further: list[str], number: int, header: tuple, separator: str) -> str:
    """Return why a record cannot be taken as it is; empty where it can."""
    if isinstance(cells, str):
        return f"a quote that is never closed, or text after a closing quote ({cells})"
    for line in further:
        if (begins := _ROW_BEGINS.match(line)) and PurePosixPath(begins[1].strip().lower()).suffix in EXTENSIONS:
            return f"the quote that opens here swallows the row {line.strip()[:60]!r}"
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()  # as Excel leaves them
    if not any(map(str.strip, cells)):
        return ""
    if len(cells := _repaired(cells, header)) != len(header):
        found = f"{len(cells)} instead of {len(header)} columns, which {_SEPARATORS[separator]} separates"
        return f"{found}: {shown(separator.join(cells))}"
    image = cells[header.index(_columns(header)[0])]
    return f"a line break in the photo's name: {shown(image)}" if len(image.strip().splitlines()) > 1 else ""


def _repaired(cells: list[str], header: tuple) -> list[str]:
    """Mend the row of Flickr30k that lacks a separator: `2199200615.jpg| 4   A dog runs across the grass .`"""
    short = header[1:] == ("comment_number", "comment") and len(cells) == 2
    mixed = re.fullmatch(r"\s*(\d)\s+(\S.*)", cells[1]) if short else None
    return [cells[0], *mixed.groups()] if mixed else cells


def _captions(rows: Iterable[tuple[str, Any]], findings: Findings) -> Iterator[Caption]:
    for place, row in rows:
        image, texts, split = _columns(tuple(row)) if isinstance(row, dict) else (None, (), None)
        if image is None or not texts:
            found = list(row) if isinstance(row, dict) else row
            findings["rows without `image` and `caption`"].append(f"{place}: found {shown(found)}")
        elif not isinstance(row[image], str) or not row[image].strip():
            findings["rows whose photo has no name"].append(f"{place}: {shown(row[image])}")
        else:
            name = path_of(row[image])
            for value in _values(row, texts):
                if text := usable(value, place, findings):
                    yield Caption(place, name, text, _split(row.get(split), place))


def _values(row: dict, names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the captions of a row: one, several columns, a list, or Karpathy's [{"raw": ...}]."""
    for name in names:
        values = row[name] if isinstance(row[name], list) and row[name] else [row[name]]
        yield from (v["raw"] if isinstance(v, dict) and "raw" in v else v for v in values)


def _split(value: Any, place: str) -> str:
    if value is None:
        return UNSPLIT
    if not isinstance(value, str):
        raise DatasetError(f"{place}: the split is {shown(value)}; it has to be text: train, val or test.")
    return _SPLITS.get(name := value.strip().lower(), name)


@lru_cache(maxsize=64)
def _columns(names: tuple[str, ...]) -> tuple[str | None, tuple[str, ...], str | None]:
    """Return the names of the columns with photo, captions and split."""
    plain = {_plain(name): name for name in reversed(names)}
    image = next((plain[name] for name in IMAGE if name in plain), None)
    kinds = [tuple(name for name in names if re.sub(r"s?_?\d*$", "", _plain(name)) == kind) for kind in CAPTION]
    return image, next(filter(None, kinds), ()), plain.get("split")


def _plain(name: Any) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().strip('"').strip().lower())
