"""Decode every photo once, before a training run meets the broken one hours later."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from captioning.datasets.captions_file import Paths
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.fetching import NEAR
from captioning.files import only_one
from captioning.images import ImageError, open_image
from captioning.provenance import FileState, content_digest

WINDOW = 1024  # photos handed to the threads at a time: a queue of 200,000 takes 370 MB
THREADS = 8  # each holds a photo in memory
LARGEST = 1 << 28  # bytes of a photo, 268 MB


class _Seen(NamedTuple):
    """What is known about one file."""

    state: FileState | None = None  # as it was before it was read
    content: str = ""  # digest of its bytes
    problem: str = ""  # empty for a good photo
    damaged: bool = False  # its bytes could be read, and are no picture
    scaled: str = ""  # how values of more than 8 bits are read


def check(dataset: CaptionDataset, known: Path, home: Path) -> CaptionDataset:
    """Return the dataset without the photos that cannot be decoded.

    Args:
        known: a file of JSON lines that remembers the good photos by size and times; only others are read, in parallel.
            It grows while the check runs, so an interrupted one resumes.
        home: the project's folder; paths below it are noted relative to it.

    Returns:
        The good photos, each with the digest of its contents; the findings list the broken ones with their reason.
    """
    seen = _check_files(dataset, known, home)
    pairs = [(record, seen[record.file]) for record in dataset.records]
    good = tuple(
        dataclasses.replace(record, content=found.content, state=found.state)
        for record, found in pairs
        if not found.problem
    )
    broken = (found.problem for _, found in pairs if found.problem)
    scaled = (f"{record.file.name}: {found.scaled}" for record, found in pairs if found.scaled)
    dataset = dataclasses.replace(dataset, records=good).found("broken photos", broken)
    return dataset.found("photos whose values are scaled", scaled)


def damaged(dataset: CaptionDataset, known: Path, home: Path) -> dict[Path, str]:
    """Return the photos that can be read and not decoded -> what is wrong; for the arguments see `check`."""
    seen = _check_files(dataset, known, home)
    return {file: found.problem for file, found in seen.items() if found.damaged}


def _check_files(dataset: CaptionDataset, known: Path, home: Path) -> dict[Path, _Seen]:
    known.parent.mkdir(parents=True, exist_ok=True)
    with only_one(known, wait=True):
        paths, remembered = Paths(home), _read(known)
        kept = {record.file: remembered.get(paths.written(record.file)) for record in dataset.records}
        seen = {file: found for file, found in kept.items() if found and found.state == FileState.seen(file)}
        new = [file for file in kept if file not in seen]
        if not new:
            return seen
        bar = tqdm(_look_at(new), "Checking photos", len(new), unit=" photos", file=sys.stdout)
        with known.open("a", encoding="utf-8") as log:
            if log.tell():
                log.write("\n")  # ends a line that a kill has cut off
            for file, found in zip(new, bar, strict=True):
                seen[file] = found
                if not found.problem:  # what is broken here may be fine for the next version of the decoder
                    log.write(json.dumps([paths.written(file), found.state, found.content, found.scaled]) + "\n")
    return seen


def _look_at(files: Sequence[Path]) -> Iterator[_Seen]:
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:  # Pillow lets others run while it decodes
        for start in range(0, len(files), WINDOW):
            yield from pool.map(_look, files[start : start + WINDOW])


def _look(file: Path) -> _Seen:
    """Read a photo once, for its digest and for its picture."""
    try:
        state = FileState.of(file)  # before its bytes: a later change is never missed
        if not file.is_file() or state.size > LARGEST:
            return _Seen(problem=f"{file} is a folder, a device or larger than {LARGEST / 1e6:,.0f} MB: not a photo.")
        content = file.read_bytes()
        scaled = open_image(content, near=NEAR, name=str(file)).info.get("scaled", "")
    except ImageError as error:
        return _Seen(problem=str(error), damaged=True)
    except OSError as error:
        return _Seen(problem=f"{file} cannot be read: {error.strerror}")
    return _Seen(state, content_digest(content), scaled=scaled)


def _read(known: Path) -> dict[str, _Seen]:
    """Return the good photos of earlier checks; lines that a kill has cut off, or of an older form, are forgotten."""
    remembered = {}
    lines = known.read_text(encoding="utf-8", errors="replace").splitlines() if known.is_file() else []
    for line in lines:
        try:
            file, state, content, scaled = json.loads(line)
            remembered[file] = _Seen(FileState(*state), content, scaled=scaled)
        except (ValueError, TypeError):
            continue
    return remembered
