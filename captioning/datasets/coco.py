"""COCO 2014: official captions, and the splits that researchers use."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from captioning.datasets.dataset import SPLITS, CaptionDataset, DatasetError, Record, assemble, shuffled
from captioning.datasets.fetching import Wanted, bare_name, fetch_archive, fetch_photos, fetch_readable, note_of
from captioning.datasets.needs import Need, archive, photos_to_fetch
from captioning.fetching.download import URLS, DownloadError
from captioning.fetching.unpack import UnpackError
from captioning.files import read_json

_PARTS = ("train2014", "val2014")
_SPLIT_FILES = ("splits.json", "dataset_coco.json")  # ours, Karpathy's
PHOTOS = 123_287
_PHOTO_MB = 0.165  # on average
_ANOTHER = "Fetch or make it again: deleted, it is fetched by notebook 01."


class Captioned(NamedTuple):
    """One image of a captions file."""

    image_id: int
    file_name: str
    captions: list[str]
    url: str  # empty where the file gives none


def needs(root: Path, wanted: Wanted) -> list[Need]:
    """Return what `fetch` brings."""
    captions = archive("coco-annotations", root, 253, 99, [root / "annotations"], wanted.delete_zips)
    splits = Need("splits", 37, 144, 37) if _splits_file(root) is None else Need("splits")
    if wanted.limit is None:
        parts = [(part, URLS[f"coco-{part}"]["size"] / 1e6) for part in _PARTS]
        zips = [archive(f"coco-{part}", root, mb, mb, [root / part], wanted.delete_zips) for part, mb in parts]
        return [captions, splits, *zips]
    try:
        missing = sum(not path.exists() for _, path in _photos(root, wanted.limit))
    except (FileNotFoundError, ValueError):
        missing = wanted.limit
    return [captions, splits, photos_to_fetch(missing, _PHOTO_MB, _PHOTO_MB)]


def fetch(root: Path, wanted: Wanted) -> dict[Path, str]:
    """Download COCO 2014 into its official layout; what is there is kept.

    Args:
        root: gets `annotations/captions_{train,val}2014.json`, the photos in `{train,val}2014/`, and Karpathy's
            `dataset_coco.json` where it can be had.
        wanted: with a limit, the first so many photos of the fixed shuffled order, one by one; else both zips, 20 GB,
            and one by one what is missing after that.

    Returns:
        Photos that could not be had -> why.

    Raises:
        DatasetError: the captions name a photo as no photo is named.
        DownloadError: the captions, a zip or too many photos cannot be had.
        UnpackError: a zip is damaged.
    """
    only = "annotations/captions_*2014.json"
    captions = partial(fetch_archive, "coco-annotations", root, only=only, delete=wanted.delete_zips)
    files = [note_of(root / "annotations_trainval2014.zip"), *(_captions_file(root, part) for part in _PARTS)]
    photos = fetch_readable(captions, partial(_photos, root, wanted.limit), files)
    _fetch_karpathys_splits(root)
    for part in _PARTS if wanted.limit is None else ():
        fetch_archive(f"coco-{part}", root, delete=wanted.delete_zips)
    return fetch_photos(photos, wanted)


def _photos(root: Path, limit: int | None) -> list[tuple[str, Path]]:
    """Return address and path of each photo asked for. The addresses in the file are not used: it may be forged."""
    address, photos = URLS["coco-photo"]["url"].format, {}
    for part in _PARTS:
        file = _captions_file(root, part)
        try:
            for image in read_json(file, _ANOTHER)["images"]:
                name = bare_name(image["file_name"], file, (".jpg", ".jpeg", ".png"))
                photos[image["id"]] = address(folder=part, name=name), root / part / name
        except (KeyError, TypeError) as error:
            raise DatasetError(f"{file} is not in COCO's captions layout ({error!r}). {_ANOTHER}") from error
    return [photos[image_id] for image_id in shuffled(photos)[:limit]]


def _fetch_karpathys_splits(root: Path) -> None:
    """Fetch the splits that papers use; they are on a private page that may go: then do without."""
    file, note = root / _SPLIT_FILES[1], note_of(root / "caption_datasets.zip")
    if _splits_file(root) not in (None, file):
        return
    if file.exists():
        note.touch()  # also where somebody has put it there
    fetch_them = partial(fetch_archive, "karpathy-splits", root, only=file.name, delete=True, retries=1)
    try:
        fetch_readable(fetch_them, partial(read_splits, file), [note, file])
    except (DownloadError, UnpackError, FileNotFoundError, ValueError) as error:
        file.unlink(missing_ok=True)
        print(f"{error} Without Karpathy's splits, val2014 is halved into val and test.")


def read(root: Path) -> CaptionDataset:
    """Read COCO 2014 in its official layout.

    Args:
        root: holds `annotations/captions_{train,val}2014.json` (either may be absent), the photos in
            `{train,val}2014/`, and optionally `splits.json` or Karpathy's `dataset_coco.json`, which fix the
            splits. Without these, train2014 is train, even ids of val2014 are val and odd ids test.

    Raises:
        DatasetError: a file is missing or not in COCO's layout.
    """
    parts = [part for part in _PARTS if _captions_file(root, part).is_file()]
    if not parts:
        raise DatasetError(
            f"{root} holds neither annotations/captions_train2014.json nor annotations/captions_val2014.json: "
            "set CAPTIONING_ROOT to the folder that holds `annotations`."
        )
    splits_file = _splits_file(root)
    splits = read_splits(splits_file) if splits_file else None
    records, unused = [], []
    for part in parts:
        for image_id, file_name, captions, _ in read_captions(_captions_file(root, part)):
            split = _default_split(part, image_id) if splits is None else splits.get(image_id)
            if split is None:
                unused.append(file_name)
            else:
                records.append(Record(image_id, root / part / file_name, tuple(captions), split))
    sources = [*(_captions_file(root, part) for part in parts), *filter(None, [splits_file])]
    splits_from = splits_file.name if splits_file else "val2014 halved"
    return assemble("coco2014", records, {"photos in no split": unused}, splits_from, sources)


def read_captions(path: Path) -> Iterator[Captioned]:
    """Yield each image of a captions file.

    Layout: the "Image Captioning" section of COCO's data format page.

    Raises:
        DamagedError: the file is not JSON.
        DatasetError: the file is not in COCO's layout, or captions an image that it does not list.
    """
    content = read_json(path, _ANOTHER)
    try:
        images = {i["id"]: Captioned(i["id"], i["file_name"], [], i.get("coco_url", "")) for i in content["images"]}
        for annotation in content["annotations"]:
            images[annotation["image_id"]].captions.append(annotation["caption"].strip())
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is not in COCO's captions layout ({error!r}): it needs "
            '"images": [{"id", "file_name"}] and "annotations": [{"image_id", "caption"}].'
        ) from error
    yield from images.values()


def read_splits(path: Path) -> dict[int, str]:
    """Return image id -> split from a `splits.json` or `dataset_coco.json`.

    Karpathy's "restval" (val2014 photos given to training) counts as train.

    Raises:
        DamagedError: the file is not JSON.
        DatasetError: the file is not in its layout, or puts a photo into two splits.
    """
    content = read_json(path, _ANOTHER)
    try:
        if path.name == _SPLIT_FILES[0]:
            pairs = [(image_id, split) for split in SPLITS for image_id in content[split]]
        else:
            pairs = [(image["cocoid"], image["split"].replace("restval", "train")) for image in content["images"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is not in its usual layout: {error!r}.") from error
    splits = dict(pairs)
    if len(splits) != len(pairs):
        raise DatasetError(f"{path} puts the same image into two splits or names it twice.")
    return splits


def _splits_file(root: Path) -> Path | None:
    return next((root / name for name in _SPLIT_FILES if (root / name).is_file()), None)


def _captions_file(root: Path, part: str) -> Path:
    return root / "annotations" / f"captions_{part}.json"


def _default_split(part: str, image_id: int) -> str:
    return "train" if part == "train2014" else "test" if image_id % 2 else "val"
