"""Decode every photo once, before a training meets the broken one hours later."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from captioning.datasets.dataset import CaptionDataset
from captioning.images import ImageError, open_image

BROKEN = "broken photos"
_NEAR = 256  # pixels: JPEGs are decoded at a fraction of their size, all their bytes are read nevertheless


class _Seen(NamedTuple):
    """What is known about one file."""

    size: int
    time: int  # of its last change, in nanoseconds
    content: str  # MD5 sum
    problem: str  # empty for a good photo


def check(dataset: CaptionDataset, known: Path) -> CaptionDataset:
    """Return the dataset without the photos that cannot be decoded.

    Args:
        dataset: as read.
        known: a file of JSON lines that remembers each photo by size and time of change; only new ones are decoded,
            in parallel. It grows while the check runs, so one that was broken off goes on.

    Returns:
        The good photos; the findings list the broken ones with their reason, and photos of the same content that
        stand in two splits.
    """
    seen = _check_files([record.file for record in dataset.records], known)
    broken = {record.image_id for record in dataset.records if seen[record.file].problem}
    good = tuple(record for record in dataset.records if record.image_id not in broken)
    left_out = dataset.left_out | ({BROKEN: len(broken)} if broken else {})
    checked = dataclasses.replace(dataset, records=good, left_out=left_out)
    checked = checked.found(BROKEN, (seen[r.file].problem for r in dataset.records if r.image_id in broken))
    return checked.found("the same photo in two splits", _leaks(checked, seen))


def _check_files(files: Iterable[Path], known: Path) -> dict[Path, _Seen]:
    remembered = _read(known)
    seen, new = {}, []
    for file in files:
        status, kept = file.stat(), remembered.get(str(file))
        if kept is not None and kept[:2] == (status.st_size, status.st_mtime_ns):
            seen[file] = kept
        else:
            new.append(file)
    if new:
        known.parent.mkdir(parents=True, exist_ok=True)
        # Pillow lets other threads run while it decodes.
        with ThreadPoolExecutor(os.cpu_count()) as pool, known.open("a", encoding="utf-8") as log:
            if log.tell() and not known.read_bytes().endswith(b"\n"):
                log.write("\n")  # ends a line that a kill has cut off
            results = tqdm(pool.map(_look, new), "Checking photos", len(new), unit=" photos", file=sys.stdout)
            for file, found in zip(new, results, strict=True):
                seen[file] = found
                log.write(json.dumps([str(file), *found]) + "\n")
    return seen


def _look(file: Path) -> _Seen:
    status = file.stat()
    try:
        open_image(file, near=_NEAR)
        problem = ""
    except ImageError as error:
        problem = str(error)
    return _Seen(status.st_size, status.st_mtime_ns, hashlib.md5(file.read_bytes()).hexdigest(), problem)


def _read(known: Path) -> dict[str, _Seen]:
    """Return what earlier checks found; a last line that a kill has cut off is forgotten."""
    remembered = {}
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    for line in lines:
        try:
            file, *found = json.loads(line)
            remembered[file] = _Seen(*found)
        except (ValueError, TypeError):
            continue
    return remembered


def _leaks(dataset: CaptionDataset, seen: dict[Path, _Seen]) -> list[str]:
    """Name groups of photos with the same bytes that stand in more than one split."""
    groups = defaultdict(list)
    for record in dataset.records:
        groups[seen[record.file].content].append(record)
    torn = [group for group in groups.values() if len({record.split for record in group}) > 1]
    return [", ".join(f"{record.file.name} ({record.split})" for record in group) for group in torn]
