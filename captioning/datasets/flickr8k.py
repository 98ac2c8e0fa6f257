"""Flickr8k: captions in a text file, official lists for the splits."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from pathlib import Path

from captioning.datasets.dataset import UNSPLIT, CaptionDataset, DatasetError, Record, assemble
from captioning.datasets.fetching import Wanted, fetch_archive
from captioning.datasets.needs import Need

PHOTO_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
PHOTOS, SIZES = 8091, {"train": 6000, "val": 1000, "test": 1000}  # of the release
LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}


def needs(root: Path, wanted: Wanted) -> list[Need]:
    """Return what `fetch` brings."""
    return [
        Need("flickr8k-text", 2, 12, root / ".Flickr8k_text.unpacked"),
        Need("flickr8k-photos", 1115, 2240, root / ".Flickr8k_Dataset.unpacked"),
    ]


def fetch(root: Path, wanted: Wanted) -> None:
    """Download the release's two zips and unpack them, whatever the limit; what is there is kept.

    Raises:
        DownloadError: a zip cannot be had.
        UnpackError: a zip is damaged.
    """
    for name in ("flickr8k-text", "flickr8k-photos"):
        fetch_archive(name, root, delete=wanted.delete_zips)


def read(root: Path) -> CaptionDataset:
    """Read Flickr8k as it lies on disk.

    Args:
        root: holds a photo folder (`Flicker8k_Dataset`, the release's own spelling, or `Images`) and, there or in
            `Flickr8k_text`, `Flickr8k.token.txt` with the official lists `Flickr_8k.{train,dev,test}Images.txt`, or
            the `captions.txt` of Kaggle, with the lists or without: then the pictures are in no split yet.

    Raises:
        DatasetError: a file is missing or a line is not in the release's layout.
    """
    photos = _photo_folder(root)
    text = root / "Flickr8k_text" if (root / "Flickr8k_text").is_dir() else root
    captions, splits = _captions(text), _splits(text)
    on_disk = {path.name for path in photos.iterdir()}
    left_out: Counter = Counter()
    records = []
    for name, captions_of_one in captions.items():
        if name in splits or not splits:
            split = splits.get(name, UNSPLIT)
            records.append(Record(Path(name).stem, photos / name, tuple(captions_of_one), split))
        elif name in on_disk:
            left_out["photos in no official split"] += 1
        else:
            left_out["captions of photos that do not exist"] += len(captions_of_one)
    return _compared_with_the_release(assemble("flickr8k", records, left_out), len(on_disk), splits)


def _compared_with_the_release(dataset: CaptionDataset, photos: int, splits: dict[str, str]) -> CaptionDataset:
    """Note where there are other numbers of photos than in the release."""
    listed = Counter(splits.values())
    counts = {"photos": (photos, PHOTOS)} | {f"listed for {split}": (listed[split], SIZES[split]) for split in listed}
    counts |= {f"usable for {split}": (len(dataset.split(split)), SIZES[split]) for split in listed}
    fewer = [f"{what}: {have:,} of {all_:,}" for what, (have, all_) in counts.items() if have != all_]
    return dataset.found("other numbers than in the release", fewer)


def _splits(text: Path) -> dict[str, str]:
    """Return file name -> split; empty where Kaggle's captions come without the lists."""
    if (text / "captions.txt").is_file() and not any((text / file).exists() for file in LISTS.values()):
        return {}
    return {name: split for split, file in LISTS.items() for name in _text(text / file).splitlines()}


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
