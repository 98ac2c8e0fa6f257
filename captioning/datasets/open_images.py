"""Open Images with the captions of Localized Narratives (Pont-Tuset et al. 2020): long; most photos have one."""

import json
from functools import partial
from pathlib import Path

from captioning.datasets.dataset import UNSPLIT, CaptionDataset, DatasetError, assemble, shuffled
from captioning.datasets.fetching import Wanted, bare_name, fetch_photos, fetch_readable, is_bare
from captioning.datasets.needs import Need, megabytes
from captioning.datasets.photos import nearest
from captioning.datasets.records import Record
from captioning.datasets.rows import json_lines
from captioning.datasets.splits import HASH
from captioning.datasets.texts import Findings, shown, usable
from captioning.fetching.download import URLS
from captioning.fetching.download import fetch as fetch_file
from captioning.files import beside
from captioning.images import shrink

PHOTOS = 200_000  # of the 504,000 with a caption, where no limit is set
CAPTIONS = "open_images_train_v6_captions.jsonl"
_CAPTIONS_MB = 130
_PHOTO_MB = 0.3  # on average, as the bucket has it
_PIXELS_PER_MB = 4e6  # of a JPEG as it is written here


def needs(root: Path, wanted: Wanted) -> list[Need]:
    """Return what `fetch` brings."""
    captions, folder = root / CAPTIONS, _folder(root, wanted.long_side)
    try:
        left, missing = 0.0, sum(not _photo(folder, name).exists() for name in _first(captions, wanted.limit))
    except (FileNotFoundError, ValueError):
        left, missing = _CAPTIONS_MB - megabytes([beside(captions, ".part")]), wanted.limit or PHOTOS
    disk = min(_PHOTO_MB, 0.75 * wanted.long_side**2 / _PIXELS_PER_MB)
    return [Need("captions", left, left), Need(f"{missing:,} photos", missing * _PHOTO_MB, missing * disk)]


def fetch(root: Path, wanted: Wanted) -> dict[Path, str]:
    """Download captions and photos, keep what is there; return photos that cannot be had -> why.

    Args:
        root: gets the captions file and `train/<image id>.jpg`; for another `long_side` than the usual one, for example
            `train-1024/<image id>.jpg`, so that it can be changed and changed back.
        wanted: the first so many photos of the fixed shuffled order, `PHOTOS` without a limit.

    Raises:
        DatasetError: the captions name a photo as no photo is named.
        DownloadError: the captions or too many photos cannot be had.
    """
    captions, folder = root / CAPTIONS, _folder(root, wanted.long_side)
    bring = partial(fetch_file, URLS["open-images-train"]["url"], captions, arrive=partial(_first, limit=1))
    first = fetch_readable(bring, partial(_first, captions, wanted.limit), [captions])
    address = URLS["open-images-photo"]["url"].format
    photos = [(address(split="train", id=image_id), _photo(folder, image_id)) for image_id in first]
    return fetch_photos(photos, wanted, partial(shrink, long_side=wanted.long_side), workers=32)


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
    return list(map(str, shuffled(ids)[: limit or PHOTOS]))


def read(root: Path, long_side: int = Wanted.long_side) -> CaptionDataset:
    """Read the photos that are on the disk; they are in no split yet.

    Args:
        root: holds the captions file of Localized Narratives and `train/<image id>.jpg`.
        long_side: photos that were fetched for this size are preferred.

    Raises:
        DatasetError: the captions file is missing or a line is not in its layout.
    """
    if not (root / CAPTIONS).is_file():
        raise DatasetError(
            f"{root / CAPTIONS} is missing: it belongs to the Localized Narratives release; {nearest(root)}."
        )
    findings = Findings(list)
    captions = _read_captions(root / CAPTIONS, findings)
    folder = _folder(root, long_side)
    folder = folder if folder.is_dir() else root / "train"
    records = [Record(image_id, _photo(folder, image_id), tuple(c), UNSPLIT) for image_id, c in captions.items()]
    return assemble("open-images", records, findings, HASH, [root / CAPTIONS])


def _folder(root: Path, long_side: int) -> Path:
    return root / ("train" if long_side == Wanted.long_side else f"train-{long_side}")


def _photo(folder: Path, image_id: str) -> Path:
    return folder / f"{image_id}.jpg"


def _read_captions(path: Path, findings: Findings) -> dict[str, list[str]]:
    """Return image id -> captions; most photos have one. Rows that cannot be used are listed."""
    captions: dict[str, list[str]] = {}
    for place, row in json_lines(path, "Delete it: notebook 01 fetches it again."):
        image_id = row.get("image_id") if isinstance(row, dict) else None
        if not is_bare(image_id):
            findings["rows without an image id"].append(f"{place}: {shown(row)}")
        elif text := usable(row.get("caption"), place, findings):
            captions.setdefault(image_id, []).append(text)
    if not captions:
        raise DatasetError(
            f'{path} has no line {{"image_id": ..., "caption": ...}}. Delete it: notebook 01 fetches it again.'
        )
    return captions
