"""A folder of one's own photos with a file of captions, in the layouts that people have them in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from captioning.datasets import rows
from captioning.datasets.coco import read_captions
from captioning.datasets.dataset import SPLITS, UNSPLIT, CaptionDataset, DatasetError, Record, assemble
from captioning.datasets.photos import CONVERT, Photos, look_for, nearest
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
        root: holds photos, in folders as deep as you like, and one of `CAPTION_FILES`, for example
            `captions.csv` with the columns `image,caption` and, if you like, `split`; see `rows`;
            `captions.jsonl` with lines {"image": ..., "caption": ..., "split": ...};
            `captions.json` in COCO's captions layout;
            `metadata.jsonl` of Hugging Face, `results.csv` of Flickr30k.
            An image is named by its path below `root`, or by its file name where only one photo has it; see
            `Photos.find`. Where no row has a split, the pictures are in no split yet.

    Returns:
        The dataset; its findings list rows without a photo, each with its line and for each reason by itself, captions
        that are no text, what was dropped from captions, photos without a caption, duplicate rows and captions of more
        than `TOO_LONG` words.

    Raises:
        DatasetError: no captions file, more than one, or lines that cannot be read; a photo in two splits.
    """
    source, photos, findings = _captions_file(root), Photos(root), Findings(list)
    read = list(_captions(source, findings))
    found = photos.find(caption.image for caption in read)
    captions: dict[str, list[str]] = defaultdict(list)
    placed = []
    for place, image, text, split in read:
        photo, why, more = found[image]
        if not photo:
            findings[why].append(f"{place}: {image}" + (f" ({more})" if more else ""))
            continue
        placed.append((place.partition(", ")[2], photo, split))
        if text in captions[photo]:
            findings["duplicate rows"].append(f"{place}: {photo}: {text}")
        captions[photo].append(text)
    rows.refuse(source, _wrong_splits(placed))
    split_of = {photo: split for _, photo, split in placed}
    records = [
        Record(photo, root / photo, tuple(dict.fromkeys(texts)), split_of[photo]) for photo, texts in captions.items()
    ]
    findings["photos without a caption"] += sorted(set(photos.paths) - captions.keys())
    findings["pictures in a format that is not read"] += [f"{path}: {CONVERT}" for path in sorted(photos.unread)]
    findings["files that cannot be looked at"] += photos.unreadable
    findings[f"captions of more than {TOO_LONG} words"] += [
        f"{r.image_id}: {text}" for r in records for text in r.captions if len(text.split()) > TOO_LONG
    ]
    splits_from = "captions file" if any(record.split for record in records) else HASH
    return assemble("folder", records, findings, splits_from, [source])


def _captions_file(root: Path) -> Path:
    present = look_for(root, *CAPTION_FILES)
    if not present:
        raise DatasetError(
            f"{root} holds none of {', '.join(CAPTION_FILES)}; {nearest(root)}. Write captions.csv: a first line "
            '`image,caption`, then one line per caption, for example `beach/dog.jpg,"A dog runs, fast."`.'
        )
    if len(present) > 1:
        raise DatasetError(
            f"{root} holds {' and '.join(str(file.relative_to(root)) for file in present)}: join them, keep one."
        )
    return present[0]


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
    wrong, lines, first = [], {}, {}
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
