"""A folder of one's own photos with a file of captions, in the layouts that people have them in."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from captioning.datasets import rows
from captioning.datasets.coco import read_captions
from captioning.datasets.dataset import SPLITS, UNSPLIT, CaptionDataset, DatasetError, assemble
from captioning.datasets.photos import CONVERT, Photos, look_for, nearest
from captioning.datasets.records import Record
from captioning.datasets.rows import Caption
from captioning.datasets.splits import HASH
from captioning.datasets.texts import Findings

CAPTION_FILES = (
    "captions.csv", "captions.jsonl", "captions.json", "captions.tsv", "captions.txt", "captions.token",
    "metadata.jsonl", "metadata.csv", "results.csv", "results_20130124.token", "dataset_flickr30k.json",
)  # fmt: skip
TOO_LONG = 50  # words; longer captions are listed, not left out


def read(root: Path) -> CaptionDataset:
    """Read a folder and list what is wrong with it.

    Args:
        root: holds photos, in folders as deep as you like, and one of `CAPTION_FILES` in a layout of `rows.read` or
            that of COCO; or a `metadata` file of Hugging Face in each of the folders `train`, `validation` and `test`.
            A photo is named as in `Photos.find`. Where no row has a split, the pictures are in no split yet.

    Returns:
        The dataset; its findings list, by reason and with their lines, rows without a photo, captions
        that are no text, what was dropped from captions, photos without a caption, duplicate rows and captions of more
        than `TOO_LONG` words.

    Raises:
        DatasetError: no captions file, more than one, or lines that cannot be read; a photo in two splits.
    """
    sources, photos, findings = _captions_files(root), Photos(root), Findings(list)
    if len(sources) == 1:
        rows_read = list(_captions(sources[0], findings))
    else:
        rows_read = [caption for source in sources for caption in _of_split(root, source, findings)]
    found = photos.find(row.image for row in rows_read)
    captions: dict[str, list[str]] = defaultdict(list)
    placed = []
    for place, image, text, split in rows_read:
        photo, why, more = found[image]
        if not photo:
            findings[why].append(f"{place}: {image}" + (f" ({more})" if more else ""))
            continue
        placed.append((place.removeprefix(f"{sources[0].name}, "), photo, split))
        if text in captions[photo]:
            findings["duplicate rows"].append(f"{place}: {photo}: {text}")
        captions[photo].append(text)
    rows.refuse(sources[0] if len(sources) == 1 else root, _wrong_splits(placed))
    split_of = {photo: split for _, photo, split in placed}
    records = [
        Record(photo, root / photo, tuple(dict.fromkeys(texts)), split_of[photo]) for photo, texts in captions.items()
    ]
    findings["photos without a caption"] += sorted(set(photos.paths) - captions.keys())
    findings["pictures in a format that is not read"] += [f"{path}: {CONVERT}" for path in sorted(photos.unread)]
    findings["files that cannot be accessed"] += photos.unreadable
    findings[f"captions of more than {TOO_LONG} words"] += [
        f"{r.image_id}: {text}" for r in records for text in r.captions if len(text.split()) > TOO_LONG
    ]
    splits_from = "captions file" if any(record.split for record in records) else HASH
    return assemble("folder", records, findings, splits_from, sources)


def _captions_files(root: Path) -> list[Path]:
    present = look_for(root, *CAPTION_FILES)
    if not present:
        raise DatasetError(
            f"{root} holds none of {', '.join(CAPTION_FILES)}; {nearest(root)}. Write captions.csv: a first line "
            '`image,caption`, then one line per caption, for example `beach/dog.jpg,"A dog runs, fast."`.'
        )
    splits = {rows.split_of(file.parent.name) for file in present}
    by_split = len(splits) == len(present) and splits <= {*SPLITS} and present[0].stem.lower() == "metadata"
    if len(present) > 1 and not by_split:
        raise DatasetError(
            f"{root} holds {' and '.join(str(file.relative_to(root)) for file in present)}: join them, keep one."
        )
    return present


def _of_split(root: Path, source: Path, findings: Findings) -> Iterable[Caption]:
    """Read one of several files: each names the photos of its own folder, which is called like a split."""
    folder, own = source.parent.relative_to(root).as_posix(), Findings(list)
    for place, image, text, _ in _captions(source, own):
        yield Caption(f"{folder}/{place}", f"{folder}/{image}", text, rows.split_of(source.parent.name))
    for reason, names in own.items():
        findings[reason] += [f"{folder}/{name}" for name in names]


def _captions(source: Path, findings: Findings) -> Iterable[Caption]:
    """Read a captions file, whichever its layout."""
    if source.suffix.lower() == ".json":
        content = rows.content_of(source, rows.AS_JSON)
        if isinstance(content, dict) and "annotations" in content:
            images = read_captions(source, findings, rows.AS_JSON)
            texts = ((image, text) for image in images for text in image.captions)
            return [Caption(f"{source.name}, id {i.image_id}", i.file_name, text, UNSPLIT) for i, text in texts]
    return rows.read(source, findings)


def _wrong_splits(placed: list[tuple[str, str, str]]) -> list[str]:
    """Let all rows (line, photo, split) have a split of ours, or none; and a photo one."""
    wrong: list[str] = []
    lines: dict[Any, Any] = {}
    first: dict[Any, Any] = {}
    for line, photo, split in placed:
        if split not in lines and split not in (*SPLITS, UNSPLIT):
            wrong.append(f"{line}: unknown split {split!r}; known: {', '.join(SPLITS)}")
        lines.setdefault(split, line)
        there, other = first.setdefault(photo, (line, split))
        if split != other:
            here = f"{photo} is of {split or 'no split'}, in {there} of {other or 'no split'}"
            wrong.append(f"{line}: {here}; a split is made by photo, not by caption")
    if UNSPLIT in lines and len(lines) > 1:
        wrong.append(f"{lines[UNSPLIT]}: some rows have a split and some have none; give all of them one, or none")
    return wrong
