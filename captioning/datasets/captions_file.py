"""The file captions.json: pictures, captions and splits, and what all of it was made from."""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from captioning.datasets.dataset import CaptionDataset, Source
from captioning.datasets.records import Record, Records
from captioning.files import DamagedError, read_json, write_text
from captioning.provenance import FileState, StaleError

FORMAT = 1
MOST_READ = 64  # files; where more were written to, notebook 01 has to look at them all
_AGAIN = "Run notebooks/01_download.ipynb again."


class Paths:
    """Paths as they are written down: below the project's folder relative to it, so that it may move; else whole."""

    def __init__(self, home: Path | str):
        self._home = Path(os.path.abspath(home))
        self._folders: dict[Path, str] = {}

    def written(self, path: Path) -> str:
        folder = self._folders.get(path.parent)
        if folder is None:  # once per folder, not for each of 120,000 photos
            whole = Path(os.path.abspath(path.parent))
            below = whole.relative_to(self._home) if whole.is_relative_to(self._home) else whole
            folder = self._folders[path.parent] = below.as_posix()
        return f"{folder}/{path.name}"

    def read(self, written: str) -> Path:
        return self._home / written


def write(path: Path, home: Path, dataset: CaptionDataset) -> None:
    """Write a dataset, one line per picture, paths relative to `home`; its findings have a file of their own."""
    paths = Paths(home)
    head = {
        "format": FORMAT,
        "name": dataset.name,
        "splits_from": dataset.splits_from,
        "made_from": dataset.made_from,
        "sources": [[paths.written(file), *noted] for file, *noted in dataset.sources],
    }
    lines = (
        _line({field: getattr(record, field) for field in _FIELDS} | {"file": paths.written(record.file)})
        for record in dataset.records
    )
    write_text(path, _line(head)[:-1] + ', "records": [\n' + ",\n".join(lines) + "\n]}\n")


_FIELDS = [field.name for field in dataclasses.fields(Record)]


def _line(content: dict) -> str:
    return json.dumps(content, ensure_ascii=False)


def read(path: Path, home: Path) -> CaptionDataset:
    """Read what `write` wrote, whatever has become of the photos.

    Raises:
        FileNotFoundError: it is not there.
        DamagedError: it is not such a file.
        StaleError: another version of the project wrote it.
    """
    paths = Paths(home)

    def as_record(pairs: list) -> Record | dict:
        # At once: the dictionaries of all rows together would take as much memory as the records again.
        row = dict(pairs)
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            return _record(paths, row) if [*row] == _FIELDS else row
        return row

    content = read_json(path, _AGAIN, as_record)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StaleError(f"{path} was written by another version of this project. {_AGAIN}")
    try:
        return CaptionDataset(
            content["name"],
            Records.of(row if isinstance(row, Record) else _record(paths, row) for row in content["records"]),
            splits_from=content["splits_from"],
            sources=tuple(
                Source(paths.read(file), FileState(*state), sum_) for file, state, sum_ in content["sources"]
            ),
            made_from=dict(content["made_from"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path} is damaged ({error!r}). {_AGAIN}") from error


def _record(paths: Paths, row: dict) -> Record:
    state = FileState(*row["state"]) if row["state"] else None
    found = {"file": paths.read(row["file"]), "captions": tuple(row["captions"]), "state": state}
    return Record(**(row | found | {"split": sys.intern(row["split"])}))


def unchanged(path: Path, dataset: CaptionDataset) -> CaptionDataset:
    """Return the dataset once no file that can be seen holds anything else than notebook 01 found in it.

    A file that nobody has written to since is not read, and one that cannot be seen, for example on a drive that is
    away, has not changed. A file with another time and the same contents is fine; its record gets the new state.

    Raises:
        StaleError: a photo or a file of captions or splits has changed, or more than `MOST_READ` were written to.
    """
    touched = list(_touched(dataset))
    if len(touched) > MOST_READ:
        raise StaleError(
            f"{len(touched):,} files that {path} was made from were written to or copied since notebook 01 looked at "
            f"them, for example {touched[0].file}. {_AGAIN} It looks again, and what is still right stays valid."
        )
    states = {}
    for noted in touched:
        try:
            now = Source.of(noted.file)
        except OSError:  # cannot look
            continue
        if now.content != noted.content:
            raise StaleError(f"{path} is out of date: {noted.file} has changed since. {_AGAIN}")
        states[noted.file] = now.state
    if not states:
        return dataset
    records = (dataclasses.replace(r, state=states.get(r.file, r.state)) for r in dataset.records)
    return dataclasses.replace(dataset, records=Records.of(records))


def _touched(dataset: CaptionDataset) -> Iterator[Source]:
    """Yield the files whose state is another one than was noted; one that cannot be seen has not changed."""
    photos = (Source(r.file, r.state, r.content) for r in dataset.records if r.state is not None)
    return (noted for noted in (*dataset.sources, *photos) if FileState.seen(noted.file) not in (noted.state, None))
