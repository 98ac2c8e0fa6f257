"""Flickr8k: captions in a text file, official lists for the splits."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from pathlib import Path

from captioning.datasets.dataset import CaptionDataset, DatasetError, Record, assemble

PHOTO_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}


def read(root: Path) -> CaptionDataset:
    """Read Flickr8k as it lies on disk.

    Args:
        root: holds a photo folder (`Flicker8k_Dataset`, the release's own spelling, or `Images`) and, there or in
            `Flickr8k_text`, `Flickr8k.token.txt` (or the `captions.txt` of Kaggle) and the official lists
            `Flickr_8k.{train,dev,test}Images.txt`.

    Raises:
        DatasetError: a file is missing or a line is not in the release's layout.
    """
    photos = _photo_folder(root)
    text = root / "Flickr8k_text" if (root / "Flickr8k_text").is_dir() else root
    splits = {name: split for split, file in LISTS.items() for name in _text(text / file).splitlines()}
    left_out: Counter = Counter()
    records = []
    for name, captions in _captions(text).items():
        if name in splits:
            records.append(Record(Path(name).stem, photos / name, tuple(captions), splits[name]))
        else:
            left_out["photos in no official split"] += 1
    return assemble("flickr8k", records, left_out)


def _captions(text: Path) -> dict[str, list[str]]:
    """Return file name -> captions from whichever of the two caption files is there."""
    captions: dict[str, list[str]] = defaultdict(list)
    token_file, csv_file = text / "Flickr8k.token.txt", text / "captions.txt"
    if token_file.is_file():
        for number, line in enumerate(_text(token_file).split("\n"), start=1):
            if not line.strip():
                continue
            key, tab, caption = line.partition("\t")
            name, mark, index = key.rpartition("#")
            if not (tab and mark and index.isdecimal()):
                raise DatasetError(f"{token_file}, line {number}: not `photo.jpg#0<tab>caption`: {line[:60]!r}")
            captions[name].append(caption)
    else:
        # The captions hold commas and line breaks inside quotes: only a CSV reader splits them rightly.
        for row in csv.DictReader(io.StringIO(_text(csv_file))):
            if row.get("image") is None or row.get("caption") is None:
                raise DatasetError(f"{csv_file}: not a CSV file with the columns `image,caption`.")
            captions[row["image"]].append(row["caption"])
    return captions


def _photo_folder(root: Path) -> Path:
    for name in PHOTO_FOLDERS:
        if (root / name).is_dir():
            return root / name
    raise DatasetError(f"{root} holds no photo folder; looked for {', '.join(PHOTO_FOLDERS)}.")


def _text(path: Path) -> str:
    if not path.is_file():
        raise DatasetError(f"{path} is missing: it belongs to the Flickr8k text release.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a text file in UTF-8 ({error}): fetch it again.") from error
