"""Rows of the files that people keep captions in: strict, each with its file and line."""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from captioning.datasets.dataset import UNSPLIT, DatasetError
from captioning.datasets.texts import Findings, shown, usable
from captioning.files import read_json
from captioning.images import EXTENSIONS

# Names of columns, the first one that is there counts. A number or an "s" may follow those of captions.
IMAGE = (
    "image", "file_name", "filename", "image_name", "image_path", "photo", "img", "path", "filepath", "file", "image_id"
)  # fmt: skip
CAPTION = ("caption", "text", "comment", "sentence", "description", "raw")
AS_JSON = "Save it as JSON in UTF-8; a file with one object per line is called captions.jsonl."
UNUSED = "columns that are not read"
MOST = 10  # bad lines that one error names
_AS_TEXT = "Save it as UTF-8 (in Excel: `CSV UTF-8`)."
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a pipe"}
_QUOTE = 'Put a caption with separators or quotes into quotes, and double those inside: a.jpg,"A ""stop"" sign, red"'
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
        findings: gets the values that are not text, what was dropped from captions, and the columns that are not read.

    Raises:
        DatasetError: it is not text, or lines of it cannot be read without losing something; all are named.
        DamagedError: a `.json` is not JSON.
    """
    if (ending := source.suffix.lower()) == ".json":
        return list(_captions(_items(source), findings))
    text = text_of(source)
    if ending == ".jsonl":  # or a whole JSON array that has this name
        rows = _items(source) if text.lstrip().startswith("[") else json_lines(source)
    elif ".token" in source.name.lower() or re.match(r"\s*[^\t\n]+#\d+\t", text):
        rows = _tokens(source, text)
    else:
        rows = _csv(source, text)
    return list(_captions(rows, findings))


def refuse(source: Path, problems: list[str], way_out: str = "") -> None:
    """Raise one `DatasetError` that names all bad lines, at most `MOST` of them; none where there are no problems."""
    if len(problems) > 1:
        named = "\n  ".join([f"{len(problems)} lines cannot be read:", *problems[:MOST]])
        more = "\n  more of the same kind" if len(problems) > MOST else ""
        raise DatasetError(f"{source}, {named}{more}\n{way_out}".rstrip())
    if problems:
        raise DatasetError(f"{source}, {problems[0]}. {way_out}".rstrip())


def path_of(name: str) -> str:
    """Return the name of a photo as any system can take it: forward slashes, no half of a surrogate pair."""
    return name.strip().replace("\\", "/").encode(errors="backslashreplace").decode()


def split_of(value: Any) -> str:
    """Return the name that we have for a split; another one stays as it is."""
    name = UNSPLIT if value is None else str(value).strip().lower()
    return _SPLITS.get(name, name)


def text_of(source: Path, way_out: str = _AS_TEXT) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 that says so; line ends stay as they are.

    Raises:
        DatasetError: it is something else; the message names the line.
    """
    content = source.read_bytes()
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = 1 + content.count(b"\n", 0, error.start), content[error.start]
        raise DatasetError(f"{source}, line {line}: not a text file in UTF-8 (byte {byte:#x}). {way_out}") from error
    if (at := text.find("\0")) >= 0:
        raise DatasetError(f"{source}, line {1 + text.count(chr(10), 0, at)}: a NUL byte. {way_out}")
    return text


def content_of(source: Path, way_out: str) -> Any:
    """Return the content of a JSON file; a DamagedError where it is not JSON, or gives one name two values."""
    return read_json(source, way_out, hook=_object)


def json_lines(source: Path, way_out: str = "") -> Iterator[tuple[str, Any]]:
    """Yield place and content of each line of JSON; blank lines are skipped.

    Raises:
        DatasetError: lines are not JSON, or it is not text.
    """
    problems: list[str] = []
    for number, line in enumerate(text_of(source, way_out or _AS_TEXT).split("\n"), start=1):
        try:
            if line.strip() and len(problems) <= MOST:
                yield f"{source.name}, line {number}", json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            problems.append(f"line {number}: not JSON ({error}): {shown(line.strip())}")
    refuse(source, problems, way_out)


def _object(pairs: list[tuple[str, Any]]) -> dict:
    """Keep JSON from dropping all but the last of the values that have one name."""
    content = dict(pairs)
    if len(content) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"two values are called {shown(twice)}; several captions of a photo are a list")
    return content


def _items(source: Path) -> Iterator[tuple[str, Any]]:
    content = content_of(source, AS_JSON)
    if isinstance(content, dict) and isinstance(content.get("images"), list):
        content = content["images"]
    elif isinstance(content, dict):
        content = [{"image": image, "captions": captions} for image, captions in content.items()]
    for number, row in enumerate(content if isinstance(content, list) else [content], start=1):
        yield f"{source.name}, item {number}", row


def _tokens(source: Path, text: str) -> Iterator[tuple[str, dict]]:
    problems = []
    for number, line in enumerate(text.split("\n"), start=1):
        key, tab, caption = line.partition("\t")
        name, mark, index = key.rpartition("#")
        if tab and mark and index.isdecimal():
            yield f"{source.name}, line {number}", {"image": name, "caption": caption}
        elif line.strip():
            problems.append(f"line {number}: not `photo.jpg#0<tab>caption`: {line[:60]!r}")
    refuse(source, problems)


def _csv(source: Path, text: str) -> Iterator[tuple[str, dict]]:
    lines = [f"{line}\n" for line in re.split("\r\n?|\n", text)]
    start = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("sep=")), None)
    if start is None:
        raise DatasetError(f"{source} is empty: its first line is `image,caption`.")
    separator, header = _header(source, lines[start], start + 1)
    at, names, problems, spread = header.index(_columns(header)[0]), set(), [], []
    for number, cells, end in _records(lines, start + 1, separator):
        if isinstance(cells, str):
            problems.append(f"line {number}: a quote that is never closed, or text after a closing quote ({cells})")
        elif len(cells := _fitted(cells, header)) != len(header):
            found = f"{len(cells)} instead of {len(header)} columns, which {_SEPARATORS[separator]} separates"
            problems.append(f"line {number}: {found}: {shown(separator.join(cells))}")
        elif any(map(str.strip, cells)):
            yield f"{source.name}, line {number}", dict(zip(header, cells, strict=True))
            names.add(cells[at].strip())
            spread += [(number, end, cells[at])] if end > number else []
        if len(problems) > MOST:
            break
    for number, end, name in spread:
        begun = [line for line in lines[number - 1 : end] if _begins(line, separator, len(header), names)]
        if len(begun) > 1:
            problems.append(f"line {number}: the quote that opens here swallows the row {begun[1].strip()[:60]!r}")
        elif "\n" in name.strip():
            problems.append(f"line {number}: a line break in the photo's name: {shown(name)}")
    refuse(source, problems, _QUOTE)


def _header(source: Path, line: str, number: int) -> tuple[str, tuple[str, ...]]:
    """Return the separator by which the first line names both columns, and all its columns."""
    for separator in _SEPARATORS:
        try:
            (cells,) = csv.reader([line.rstrip().rstrip(separator)], delimiter=separator, skipinitialspace=True)
        except (csv.Error, ValueError):
            continue
        header = tuple(_plain(cell) for cell in cells)
        image, captions, _ = _columns(header)
        if image and captions:
            if twice := [name for name in header if name and header.count(name) > 1]:
                raise DatasetError(f"{source}, line {number}: two columns are called {twice[0]!r}.")
            return separator, header
    most = max(_SEPARATORS, key=line.count)
    how = f"with {_SEPARATORS[most]} as separator" if most in line else "with no separator that is known"
    raise DatasetError(
        f"{source}, line {number}: the first line has to name the columns, for example `image,caption`. "
        f"Found {line.strip()[:80]!r}, {how}."
    )


def _records(lines: list[str], start: int, separator: str) -> Iterator[tuple[int, list[str] | str, int]]:
    """Yield first line, cells (or what is wrong with them) and last line of each record.

    After an error, reading resumes with the very next line: what an open quote has swallowed is looked at.
    """
    while start < len(lines):
        reader = csv.reader(
            islice(lines, start, None), delimiter=separator, skipinitialspace=separator in ",;", strict=True
        )
        begin, number = start, start + 1
        try:
            for cells in reader:
                yield number, cells, (start := begin + reader.line_num)
                number = start + 1
        except csv.Error as error:
            yield number, str(error), number
            start = number


def _fitted(cells: list[str], header: tuple[str, ...]) -> list[str]:
    """Drop empty cells at the end, as of Excel, fill blank lines, mend Flickr30k's `2199200615.jpg| 4   A dog ...`."""
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if not any(map(str.strip, cells)):
        return [""] * len(header)
    short = header[1:] == ("comment_number", "comment") and len(cells) == 2
    mixed = re.fullmatch(r"\s*(\d)\s+(\S.*)", cells[1]) if short else None
    return [cells[0], *mixed.groups()] if mixed else cells


def _begins(line: str, separator: str, columns: int, names: Iterable[str]) -> bool:
    """Return whether a line looks like a whole row, or the beginning of one: it has the cells, and names a photo."""
    cells = [cell.strip(' \n"') for cell in line.split(separator)]
    return len(cells) >= columns and any(c in names or PurePosixPath(c.lower()).suffix in EXTENSIONS for c in cells)


def _captions(rows: Iterable[tuple[str, Any]], findings: Findings) -> Iterator[Caption]:
    columns: dict[tuple, tuple] = {}
    for place, row in rows:
        names = tuple(row) if isinstance(row, dict) else ()
        if names not in columns:
            columns[names] = _columns(names)
        image, texts, split = columns[names]
        if image is None or not texts:
            findings["rows without `image` and `caption`"].append(f"{place}: found {shown([*names] or row)}")
        elif not isinstance(row[image], str) or not row[image].strip():
            findings["rows whose photo has no name"].append(f"{place}: {shown(row[image])}")
        else:
            for value in _values(row, texts):
                if text := usable(value, place, findings):
                    yield Caption(place, path_of(row[image]), text, split_of(row.get(split)))
    used = {name for image, texts, split in columns.values() if image and texts for name in (image, *texts, split, "")}
    if unused := {name for names in columns if used.intersection(names) for name in names} - used:
        findings[UNUSED] += sorted(unused)


def _values(row: dict, names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the captions of a row: one, several columns, a list, or Karpathy's [{"raw": ...}]."""
    for name in names:
        value = _listed(row[name])
        for one in value if isinstance(value, list) and value else [value]:
            yield one["raw"] if isinstance(one, dict) and "raw" in one else one


def _listed(value: Any) -> Any:
    """Return a list that is written as text, by JSON or Python; inside another list where it cannot be read."""
    if not isinstance(value, str) or value[:2] not in ('["', "['"):
        return value
    with suppress(ValueError):
        return json.loads(value)
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        if repr(found := ast.literal_eval(value)) == value:  # not numpy's, without commas: Python joins its texts
            return found
    return [[value]]


def _columns(names: tuple[str, ...]) -> tuple[str | None, tuple[str, ...], str | None]:
    """Return the names of the columns with photo, captions and split."""
    plain = {_plain(name): name for name in reversed(names)}
    image = next((plain[name] for name in IMAGE if name in plain), None)
    kinds = [tuple(name for name in names if re.sub(r"s?_?\d*$", "", _plain(name)) == kind) for kind in CAPTION]
    return image, next(filter(None, kinds), ()), plain.get("split")


def _plain(name: Any) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().strip('"').strip().lower())
