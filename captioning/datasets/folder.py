"""A folder of one's own photos with a file of captions: CSV, JSON lines, or COCO's JSON."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from captioning.datasets.coco import read_captions
from captioning.datasets.dataset import SPLITS, UNSPLIT, CaptionDataset, DatasetError, Record, assemble
from captioning.datasets.splits import HASH

CAPTION_FILES = ("captions.csv", "captions.jsonl", "captions.json")
TOO_LONG = 50  # words; longer captions are listed, not left out
_PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
Row = tuple[str, str, str]  # image, caption, split


def read(root: Path) -> CaptionDataset:
    """Read a folder and list what is wrong with it.

    Args:
        root: holds photos, in folders as deep as you like, and one of
            `captions.csv` with the columns `image,caption` and, if you like, `split`;
            `captions.jsonl` with lines {"image": ..., "caption": ..., "split": ...};
            `captions.json` in COCO's captions layout.
            An image is named by its path below `root`, or by its file name where only one photo has it. Where no row
            has a split, the pictures are in no split yet.

    Returns:
        The dataset; its findings list rows without a photo, photos without a caption, duplicate rows and
        captions of more than `TOO_LONG` words.

    Raises:
        DatasetError: no captions file, more than one, or a row that cannot be read; a photo in two splits.
    """
    source = _captions_file(root)
    photos = _photos(root)
    captions: dict[str, list[str]] = defaultdict(list)
    splits: dict[str, set[str]] = defaultdict(set)
    lost, twice = [], []
    for image, caption, split in _rows(source):
        photo = photos.get(image)
        if photo is None:
            lost.append(image)
        elif caption in captions[photo]:
            twice.append(f"{photo}: {caption}")
        else:
            captions[photo].append(caption)
            splits[photo].add(split)
    torn = [photo for photo, names in splits.items() if len(names) > 1]
    if torn:
        raise DatasetError(f"{source} puts {torn[0]} into two splits; a split is made by photo, not by caption.")
    records = [Record(photo, root / photo, tuple(texts), *splits[photo]) for photo, texts in captions.items()]
    _check_splits(records, source)
    findings = {
        "rows without a photo": lost,
        "photos without a caption": sorted(set(photos.values()) - captions.keys()),
        "duplicate rows": twice,
        f"captions of more than {TOO_LONG} words": [
            f"{r.image_id}: {text}" for r in records for text in r.captions if len(text.split()) > TOO_LONG
        ],
    }
    splits_from = "captions file" if any(record.split for record in records) else HASH
    return assemble("folder", records, findings, splits_from, [source])


def _captions_file(root: Path) -> Path:
    present = [root / name for name in CAPTION_FILES if (root / name).is_file()]
    if not present:
        raise DatasetError(
            f"{root} holds none of {', '.join(CAPTION_FILES)}. Write captions.csv: a first line `image,caption`, "
            'then one line per caption, for example `beach/dog.jpg,"A dog runs, fast."`.'
        )
    if len(present) > 1:
        raise DatasetError(f"{root} holds {' and '.join(path.name for path in present)}: keep one.")
    return present[0]


def _photos(root: Path) -> dict[str, str]:
    """Return every name that a row may use -> path below the root."""
    paths = [p.relative_to(root).as_posix() for p in sorted(root.rglob("*")) if p.suffix.lower() in _PHOTOS]
    counts = Counter(PurePosixPath(path).name for path in paths)
    by_name = {PurePosixPath(path).name: path for path in paths}
    return {name: path for name, path in by_name.items() if counts[name] == 1} | {path: path for path in paths}


def _rows(source: Path) -> Iterator[Row]:
    """Yield the rows of a captions file, whichever its layout."""
    try:
        if source.suffix == ".json":
            images = read_captions(source)
            yield from ((image.file_name, caption, UNSPLIT) for image in images for caption in image.captions)
        elif source.suffix == ".jsonl":
            yield from _checked_rows(source, _json_lines(source))
        else:
            with source.open(encoding="utf-8-sig", newline="") as file:
                yield from _checked_rows(source, csv.DictReader(file))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not a text file in UTF-8 ({error}): save it as UTF-8.") from error


def _json_lines(source: Path) -> Iterator[dict]:
    with source.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise DatasetError(f"{source}, line {number}: not JSON ({error}).") from error


def _checked_rows(source: Path, rows: Iterable[dict]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        row = {str(key).strip().lower(): value for key, value in row.items()} if isinstance(row, dict) else {}
        image, caption, split = (row.get(name) for name in ("image", "caption", "split"))
        if not isinstance(image, str) or not isinstance(caption, str):
            raise DatasetError(f"{source}, row {number}: `image` and `caption` are needed, found {list(row)}.")
        yield image.strip().replace("\\", "/").removeprefix("./"), caption.strip(), (split or UNSPLIT).strip()


def _check_splits(records: list[Record], source: Path) -> None:
    """Let all rows have a split of ours, or none."""
    names = {record.split for record in records}
    if unknown := sorted(names - {*SPLITS, UNSPLIT}):
        raise DatasetError(f"{source}: unknown split {unknown[0]!r}; known: {', '.join(SPLITS)}.")
    if UNSPLIT in names and len(names) > 1:
        raise DatasetError(f"{source}: some rows have a split and some have none; give all of them one, or none.")
