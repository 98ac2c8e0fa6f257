"""Flickr8k: captions in a text file, official lists for the splits."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from captioning.datasets.dataset import UNSPLIT, CaptionDataset, DatasetError, Record, assemble
from captioning.datasets.fetching import Wanted, bare_name, fetch_archive, fetch_readable, note_of, require_most
from captioning.datasets.needs import Need, archive
from captioning.datasets.splits import HASH

PHOTO_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
TOKENS, KAGGLE = "Flickr8k.token.txt", "captions.txt"
PHOTOS, SIZES = 8091, {"train": 6000, "val": 1000, "test": 1000}  # of the release
LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}


def needs(root: Path, wanted: Wanted) -> list[Need]:
    """Return what `fetch` brings."""
    return [
        archive("flickr8k-text", root, 2, 10, [], wanted.delete_zips),
        archive("flickr8k-photos", root, 1115, 1125, [root / PHOTO_FOLDERS[0]], wanted.delete_zips),
    ]


def fetch(root: Path, wanted: Wanted) -> dict[Path, str]:
    """Download the release's two zips and unpack them, whatever the limit; what is there is kept.

    Returns:
        Photos in the official lists that are in no zip -> why.

    Raises:
        DatasetError: the text names a photo as no photo is named.
        DownloadError: a zip cannot be had, or too many photos are missing in it.
        UnpackError: a zip is damaged.
    """
    text = partial(fetch_archive, "flickr8k-text", root, delete=wanted.delete_zips)
    files = [root / name for name in (TOKENS, *LISTS.values())]
    names = fetch_readable(text, partial(_listed, root), [note_of(root / "Flickr8k_text.zip"), *files])
    photos = [root / PHOTO_FOLDERS[0] / name for name in names]
    again = wanted.again.union(photo for photo in photos if not photo.exists())
    fetch_archive("flickr8k-photos", root, delete=wanted.delete_zips, again=again)
    missing = {photo: "is not in the zip" for photo in photos if not photo.exists()}
    require_most(missing, len(photos), wanted.missing_share)
    return missing


def _listed(root: Path) -> list[str]:
    """Return the names in the official lists; each has captions."""
    lines = {
        file: (root / file).read_bytes().decode(errors="replace").split("\n") for file in (TOKENS, *LISTS.values())
    }
    tokens = [line.partition("\t")[0].rpartition("#")[0] for line in lines.pop(TOKENS) if line]
    captioned = {bare_name(name, root / TOKENS) for name in tokens}
    listed = {file: [name.strip() for name in names if name.strip()] for file, names in lines.items()}
    for file, names in listed.items():
        if not names or not captioned.issuperset(names):
            raise DatasetError(f"{root / file} is empty, or lists photos without captions in {TOKENS}.")
    return [name for names in listed.values() for name in names]


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
    source = text / (TOKENS if (text / TOKENS).is_file() else KAGGLE)
    lists = {split: text / name for split, name in LISTS.items()}
    if source.name == KAGGLE and not any(map(Path.exists, lists.values())):
        lists = {}
    captions: dict[str, list[str]] = defaultdict(list)
    for name, caption in (_token_lines if source.name == TOKENS else _csv_rows)(source):
        captions[name].append(caption)
    splits = {name: split for split, file in lists.items() for name in _text(file).splitlines()}
    on_disk = {path.name for path in photos.iterdir()}
    records, unused, nowhere = [], [], []
    for name, captions_of_one in captions.items():
        if name in splits or not splits:
            split = splits.get(name, UNSPLIT)
            records.append(Record(Path(name).stem, photos / name, tuple(captions_of_one), split))
        elif name in on_disk:
            unused.append(name)
        else:
            nowhere += [name] * len(captions_of_one)
    findings = {"photos in no official split": unused, "captions of photos that do not exist": nowhere}
    splits_from = "official lists" if splits else HASH
    dataset = assemble("flickr8k", records, findings, splits_from, [source, *lists.values()])
    return _compared_with_the_release(dataset, len(on_disk), splits)


def _compared_with_the_release(dataset: CaptionDataset, photos: int, splits: dict[str, str]) -> CaptionDataset:
    """Note where there are other numbers of photos than in the release."""
    listed = Counter(splits.values())
    counts = {"photos": (photos, PHOTOS)} | {f"listed for {split}": (listed[split], SIZES[split]) for split in listed}
    counts |= {f"usable for {split}": (len(dataset.split(split)), SIZES[split]) for split in listed}
    fewer = [f"{what}: {have:,} of {all_:,}" for what, (have, all_) in counts.items() if have != all_]
    return dataset.found("other numbers than in the release", fewer)


def _token_lines(source: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_text(source).split("\n"), start=1):
        if line.strip():
            key, tab, caption = line.partition("\t")
            name, mark, index = key.rpartition("#")
            if not (tab and mark and index.isdecimal()):
                raise DatasetError(f"{source}, line {number}: not `photo.jpg#0<tab>caption`: {line[:60]!r}")
            yield name, caption


def _csv_rows(source: Path) -> Iterator[tuple[str, str]]:
    # The captions hold commas and line breaks inside quotes: only a CSV reader splits them rightly.
    for row in csv.DictReader(io.StringIO(_text(source))):
        if row.get("image") is None or row.get("caption") is None:
            raise DatasetError(f"{source}: not a CSV file with the columns `image,caption`.")
        yield row["image"], row["caption"]


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
        raise DatasetError(f"{path} is not a text file in UTF-8 ({error}): delete it and run 01 again.") from error
