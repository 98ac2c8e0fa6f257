"""Open Images with the captions of Localized Narratives (Pont-Tuset et al. 2020): long, and one per photo."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from captioning.datasets.dataset import UNSPLIT, CaptionDataset, DatasetError, Record, assemble, shuffled
from captioning.datasets.fetching import Wanted, fetch_photos
from captioning.datasets.needs import Need, photos_to_fetch
from captioning.datasets.photos import nearest
from captioning.datasets.rows import json_lines
from captioning.datasets.splits import HASH
from captioning.datasets.texts import Findings, shown, usable
from captioning.fetching.download import URLS
from captioning.fetching.download import fetch as fetch_file
from captioning.images import shrink

PHOTOS = 200_000  # of the 507,000 with a caption, where no limit is set
CAPTIONS = "open_images_train_v6_captions.jsonl"
_PHOTO_MB = 0.3  # on average, as the bucket has it
_PIXELS_PER_MB = 4e6  # of a JPEG as it is written here


def needs(root: Path, wanted: Wanted) -> list[Need]:
    """Return what `fetch` brings."""
    disk = min(_PHOTO_MB, 0.75 * wanted.long_side**2 / _PIXELS_PER_MB)
    photos = photos_to_fetch(wanted.limit or PHOTOS, [root / "train"], download=_PHOTO_MB, disk=disk)
    return [Need("captions", 130, 130, root / CAPTIONS), photos]


def fetch(root: Path, wanted: Wanted) -> dict[Path, str]:
    """Download captions and photos; what is there is kept.

    Args:
        root: gets the captions file and `train/<image id>.jpg`.
        wanted: the first so many photos of the fixed shuffled order, `PHOTOS` without a limit.

    Returns:
        Photos that could not be had -> why.

    Raises:
        DownloadError: the captions cannot be had.
    """
    captions = fetch_file(URLS["open-images-train"]["url"], root / CAPTIONS)
    first = shuffled(_read_captions(captions))[: wanted.limit or PHOTOS]
    address = URLS["open-images-photo"]["url"].format
    photos = [(address(split="train", id=image_id), _photo(root, image_id)) for image_id in first]
    return fetch_photos(photos, arrive=partial(shrink, long_side=wanted.long_side), workers=32)


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


def _read_captions(path: Path, findings: Findings | None = None) -> dict[str, list[str]]:
    """Return image id -> captions; most photos have one. What is no caption of a bare id is listed."""
    captions: dict[str, list[str]] = {}
    findings = Findings(list) if findings is None else findings
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
