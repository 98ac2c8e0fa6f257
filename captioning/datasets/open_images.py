"""Open Images with the captions of Localized Narratives (Pont-Tuset et al. 2020): long, and one per photo."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from captioning.datasets.dataset import UNSPLIT, CaptionDataset, DatasetError, Record, assemble, shuffled
from captioning.datasets.fetching import Wanted, bare_name, fetch_photos, fetch_readable
from captioning.datasets.needs import Need, megabytes, photos_to_fetch
from captioning.datasets.photos import nearest
from captioning.datasets.rows import json_lines
from captioning.datasets.splits import HASH
from captioning.datasets.texts import Findings, shown, usable
from captioning.fetching.download import URLS
from captioning.fetching.download import fetch as fetch_file
from captioning.files import beside, write_text
from captioning.images import shrink

PHOTOS = 200_000  # of the 507,000 with a caption, where no limit is set
CAPTIONS = "open_images_train_v6_captions.jsonl"
_CAPTIONS_MB = 130
_PHOTO_MB = 0.3  # on average, as the bucket has it
_PIXELS_PER_MB = 4e6  # of a JPEG as it is written here
_SIZE = "train/.long_side"


def needs(root: Path, wanted: Wanted) -> list[Need]:
    """Return what `fetch` brings."""
    captions, long_side = root / CAPTIONS, max(wanted.long_side, _noted(root))
    try:
        photos = [_photo(root, image_id) for image_id in _first(captions, wanted.limit)]
    except (FileNotFoundError, ValueError):
        photos = []
    there = sum(path.exists() for path in photos) - len(_smaller(photos, root, long_side))
    disk = min(_PHOTO_MB, 0.75 * long_side**2 / _PIXELS_PER_MB)
    left = 0 if photos else _CAPTIONS_MB - megabytes([beside(captions, ".part")])
    missing = photos_to_fetch((len(photos) or wanted.limit or PHOTOS) - there, _PHOTO_MB, disk)
    return [Need("captions", left, left), missing]


def fetch(root: Path, wanted: Wanted) -> dict[Path, str]:
    """Download captions and photos; what is there is kept, unless it was shrunk to less than is asked for now.

    Args:
        root: gets the captions file, `train/<image id>.jpg`, and beside these a note of the size that they have.
        wanted: the first so many photos of the fixed shuffled order, `PHOTOS` without a limit.

    Returns:
        Photos that could not be had -> why.

    Raises:
        DatasetError: the captions name a photo as no photo is named.
        DownloadError: the captions or too many photos cannot be had.
    """
    captions, long_side = root / CAPTIONS, max(wanted.long_side, _noted(root))
    bring = partial(fetch_file, URLS["open-images-train"]["url"], captions, arrive=partial(_first, limit=1))
    first = fetch_readable(bring, partial(_first, captions, wanted.limit), [captions])
    address = URLS["open-images-photo"]["url"].format
    photos = {_photo(root, image_id): address(split="train", id=image_id) for image_id in first}
    smaller = _smaller(photos, root, long_side)
    if long_side > wanted.long_side:
        print(f"Photos have up to {long_side} pixels, as before; for less, delete {root / 'train'} and run 01 again.")
    if long_side != _noted(root):
        write_text(root / _SIZE, str(long_side))  # before the first photo: older ones are smaller
    wanted = dataclasses.replace(wanted, again=wanted.again | smaller)
    arrive = partial(shrink, long_side=long_side)
    return fetch_photos([(url, path) for path, url in photos.items()], wanted, arrive, workers=32)


def _first(captions: Path, limit: int | None) -> list[str]:
    """Return the ids of the photos asked for; all ids in the file are checked."""
    ids = set()
    with captions.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                ids.add(bare_name(json.loads(line)["image_id"], captions))
            except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
                raise DatasetError(f'{captions}, line {number}: not {{"image_id": ...}} ({error!r}).') from error
    if not ids:
        raise DatasetError(f"{captions} is empty.")
    return shuffled(ids)[: limit or PHOTOS]


def _noted(root: Path) -> int:
    """Return the long side that photos have here; 0 where none are, the default where nobody noted it."""
    note = root / _SIZE
    return int(note.read_text()) if note.exists() else Wanted.long_side if note.parent.exists() else 0


def _smaller(photos: Iterable[Path], root: Path, long_side: int) -> frozenset[Path]:
    """Return the photos here that were shrunk to less than `long_side` pixels, which `_noted` does not exceed."""
    note = root / _SIZE
    since = math.inf if long_side > _noted(root) else note.stat().st_mtime_ns if note.exists() else 0
    return frozenset(photo for photo in photos if photo.exists() and photo.stat().st_mtime_ns < since)


def read(root: Path) -> CaptionDataset:
    """Read the photos that are on the disk; they are in no split yet.

    Args:
        root: holds the captions file of Localized Narratives and `train/<image id>.jpg`.

    Raises:
        DatasetError: the captions file is missing or a line is not in its layout.
    """
    if not (root / CAPTIONS).is_file():
        raise DatasetError(
            f"{root / CAPTIONS} is missing: it belongs to the Localized Narratives release; {nearest(root)}."
        )
    findings = Findings(list)
    captions = _read_captions(root / CAPTIONS, findings)
    records = [Record(image_id, _photo(root, image_id), tuple(c), UNSPLIT) for image_id, c in captions.items()]
    return assemble("open-images", records, findings, HASH, [root / CAPTIONS])


def _photo(root: Path, image_id: str) -> Path:
    return root / "train" / f"{image_id}.jpg"


def _read_captions(path: Path, findings: Findings) -> dict[str, list[str]]:
    """Return image id -> captions; most photos have one. What is no caption of a bare id is listed."""
    captions: dict[str, list[str]] = {}
    for place, row in json_lines(path, "Delete it: notebook 01 fetches it again."):
        image_id = row.get("image_id") if isinstance(row, dict) else None
        if not isinstance(image_id, str) or not image_id.isalnum():
            findings["rows without an image id"].append(f"{place}: {shown(row)}")
        elif text := usable(row.get("caption"), place, findings):
            captions.setdefault(image_id, []).append(text)
    if not captions:
        raise DatasetError(
            f'{path} has no line {{"image_id": ..., "caption": ...}}. Delete it: notebook 01 fetches it again.'
        )
    return captions
