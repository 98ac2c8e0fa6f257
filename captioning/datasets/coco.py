"""COCO, as split in 2014 and in 2017: official captions, and the splits that researchers use."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from captioning.datasets.dataset import SPLITS, CaptionDataset, DatasetError, assemble, shuffled
from captioning.datasets.fetching import (
    Wanted,
    bare_name,
    fetch_archive,
    fetch_photos,
    fetch_readable,
    is_done,
    note_of,
)
from captioning.datasets.needs import Need, archive
from captioning.datasets.photos import NOT_THERE, Photos, look_for, nearest
from captioning.datasets.records import Record
from captioning.datasets.rows import content_of, path_of, split_of
from captioning.datasets.texts import Findings, shown, usable
from captioning.fetching.download import URLS, DownloadError
from captioning.fetching.unpack import UnpackError
from captioning.files import read_json

_SPLIT_FILES = ("splits.json", "dataset_coco.json")  # ours, Karpathy's
_PHOTO_MB = 0.165  # of a photo, on average
_ANOTHER = "Replace it; a downloaded one may be deleted, then notebook 01 fetches it again."


class Captioned(NamedTuple):
    """One image of a captions file."""

    image_id: int | str
    file_name: str
    captions: list[str]


class Coco(NamedTuple):
    """COCO of one year. The photos, their ids and captions are the same; parts and file names are not."""

    year: str
    PHOTOS: int = 123_287

    @property
    def parts(self) -> tuple[str, str]:
        """The official parts, which are also the names of the photos' folders."""
        return f"train{self.year}", f"val{self.year}"

    def needs(self, root: Path, wanted: Wanted) -> list[Need]:
        """Return what `fetch` brings."""
        captions = archive(f"coco-annotations{self.year}", 253, 99, root / "annotations", wanted.delete_zips)
        splits = Need("splits", 37, 144, 37) if _splits_file(root) is None else Need("splits")
        parts = self.parts if wanted.limit is None else ()
        sizes = {part: URLS[f"coco-{part}"]["size"] / 1e6 for part in parts}
        zips = [archive(f"coco-{part}", mb, mb, root / part, wanted.delete_zips) for part, mb in sizes.items()]
        packed = [part for part in parts if not is_done(root / f"{part}.zip")]
        try:
            photos = [path for _, path in _photos(root, self.parts, wanted.limit) if path.parent.name not in packed]
            missing = sum(not path.exists() for path in photos)
        except (FileNotFoundError, ValueError):
            missing = wanted.limit or 0
        return [captions, splits, *zips, Need(f"{missing:,} photos", missing * _PHOTO_MB, missing * _PHOTO_MB)]

    def fetch(self, root: Path, wanted: Wanted) -> dict[Path, str]:
        """Download COCO into its official layout, keep what is there; return photos that cannot be had -> why.

        Args:
            root: gets `annotations/captions_{train,val}<year>.json`, the photos in `{train,val}<year>/`, and Karpathy's
                `dataset_coco.json` where it can be had.
            wanted: with a limit, the first so many photos of the fixed shuffled order, one by one; else both zips,
                20 GB, and one by one what is missing after that.

        Raises:
            DatasetError: the captions name a photo as no photo is named.
            DownloadError: the captions, a zip or too many photos cannot be had.
            UnpackError: a zip is damaged.
        """
        name, only = f"coco-annotations{self.year}", f"annotations/captions_*{self.year}.json"
        captions = partial(fetch_archive, name, root, only=only, delete=wanted.delete_zips)
        zip_ = root / f"annotations_trainval{self.year}.zip"
        files = [note_of(zip_), *(_captions_file(root, part) for part in self.parts)]
        photos = fetch_readable(captions, partial(_photos, root, self.parts, wanted.limit), files)
        _fetch_karpathys_splits(root)
        for part in self.parts if wanted.limit is None else ():
            here = (root / f"{part}.zip").exists()  # else a photo by itself costs less
            of_part = [path for _, path in photos if here and path.parent.name == part]
            again = partial(_missing, of_part)
            fetch_archive(f"coco-{part}", root, delete=wanted.delete_zips, again=again)
        return fetch_photos(photos, wanted)

    def read(self, root: Path) -> CaptionDataset:
        """Read COCO in its official layout, that of this year or, where only that is there, of the other.

        Args:
            root: holds `annotations/captions_{train,val}<year>.json` (either may be absent), the photos in
                `{train,val}<year>/` or anywhere else, and optionally `splits.json` or Karpathy's `dataset_coco.json`,
                which fix the splits by COCO's ids. Without these, train<year> is train, even ids of val<year> are val
                and odd ids test.

        Raises:
            DatasetError: a file is missing or not in COCO's layout.
        """
        years = (self, *_RELEASES)
        year, files = next(((coco.year, files) for coco in years if (files := _captions_files(root, coco))), ("", {}))
        if not files:
            names = " nor ".join(f"annotations/captions_{part}.json" for part in self.parts)
            raise DatasetError(
                f"{root} holds neither {names}, nor those of another year; {nearest(root / 'annotations')}. "
                "Set CAPTIONING_ROOT to the folder that holds `annotations`."
            )
        splits_file = _splits_file(root)
        splits = read_splits(splits_file) if splits_file else None
        findings, listed, records = Findings(list), [], []
        for part, file in files.items():
            for image in read_captions(file, findings):
                split = _default_split(part, image.image_id) if splits is None else splits.get(image.image_id)
                whole = image.file_name[:1] == "/" or image.file_name[1:2] == ":"
                if split is None:
                    findings["photos in no split"].append(image.file_name)
                else:
                    listed.append((image.file_name if whole else f"{part}/{image.file_name}", image, split))
        found = Photos(root).find(name for name, _, _ in listed)
        for name, image, split in listed:
            path, why, more = found[name]
            if path or (why == NOT_THERE and not more):  # what is nowhere stays where it should be
                records.append(Record(image.image_id, root / (path or name), tuple(image.captions), split))
            else:
                findings[why].append(f"{name} ({more})")
        sources = [*files.values(), *filter(None, [splits_file])]
        splits_from = splits_file.name if splits_file else f"val{year} halved"
        return assemble(f"coco{self.year}", records, findings, splits_from, sources)


def _missing(photos: list[Path]) -> list[Path]:
    return [photo for photo in photos if not photo.exists()]


def _photos(root: Path, parts: tuple[str, str], limit: int | None) -> list[tuple[str, Path]]:
    """Return address and path of each photo asked for. The addresses in the file are not used: it may be forged."""
    address, photos = URLS["coco-photo"]["url"].format, {}
    for part in parts:
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

    def bring() -> None:
        if not file.exists():  # somebody may have put it there
            fetch_archive("karpathy-splits", root, only=file.name, delete=True, retries=1)

    try:
        fetch_readable(bring, partial(read_splits, file), [note, file])
    except (DownloadError, UnpackError, FileNotFoundError, ValueError) as error:
        file.unlink(missing_ok=True)
        print(f"{error} Without Karpathy's splits, COCO's val part is split in half into val and test.")


def read_captions(path: Path, findings: Findings | None = None, way_out: str = _ANOTHER) -> Iterator[Captioned]:
    """Yield each image of a captions file.

    Layout: the "Image Captioning" section of COCO's data format page.

    Args:
        findings: gets the annotations that are no captions or of no image, and what was dropped from captions.
        way_out: the end of the message for a damaged file.

    Raises:
        DamagedError: the file is not JSON.
        DatasetError: the file is not in COCO's layout, or has no caption of an image that it lists.
    """
    content = content_of(path, way_out)
    findings = Findings(list) if findings is None else findings
    try:
        images = _images(path, content["images"], findings)
        some = [
            _add(images, row, f"{path.name}, annotation {n}", findings) for n, row in enumerate(content["annotations"])
        ]
        if some and not any(some):
            raise KeyError("no annotation has an image_id that is listed and a caption")
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is not in COCO's captions layout ({error!r}): it needs "
            '"images": [{"id", "file_name"}] and "annotations": [{"image_id", "caption"}].'
        ) from error
    yield from images.values()


def _images(path: Path, rows: list[dict], findings: Findings) -> dict[int | str, Captioned]:
    images: dict[int | str, Captioned] = {}
    for row in rows:
        image_id, name = _id(row["id"]), row["file_name"]
        if not isinstance(name, str) or not name.strip():
            findings["images without a file name"].append(f"{path.name}, id {image_id}: {shown(name)}")
            continue
        image = Captioned(image_id, path_of(name), [])
        if images.setdefault(image_id, image) != image:
            raise DatasetError(f"{path}: the id {image_id} is given to two images; one of them is {name}.")
    return images


def _add(images: dict[int | str, Captioned], row: Any, place: str, findings: Findings) -> str:
    """Add a caption to its image and return it; empty where there is none."""
    if not isinstance(row, dict) or (image_id := _id(row.get("image_id"))) not in images:
        findings["annotations of images that are not listed"].append(f"{place}: {shown(row)}")
        return ""
    if text := usable(row.get("caption"), place, findings):
        images[image_id].captions.append(text)
    return text


def _id(value: Any) -> int | str:
    """Return an id as a number, also where it is written as text; as text where it is none."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else str(value)


def read_splits(path: Path) -> dict[int | str, str]:
    """Return image id -> split from a `splits.json` or `dataset_coco.json`.

    Raises:
        DamagedError: the file is not JSON.
        DatasetError: the file is not in its layout, or puts a photo into two splits.
    """
    content = content_of(path, _ANOTHER)
    try:
        if path.name == _SPLIT_FILES[0]:
            pairs = [(_id(image_id), split) for split in SPLITS for image_id in content[split]]
        else:
            pairs = [(_id(image["cocoid"]), split_of(image["split"])) for image in content["images"]]
        for unknown in {split for _, split in pairs} - {*SPLITS}:
            raise KeyError(unknown)
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


def _captions_files(root: Path, coco: Coco) -> dict[str, Path]:
    """Return part -> captions file, for what there is; also where a zip was unpacked into a folder of its own."""
    files = {part: _captions_file(root, part) for part in coco.parts}
    found = {part: [file] if file.is_file() else look_for(root, file.name) for part, file in files.items()}
    return {part: nearest_first[0] for part, nearest_first in found.items() if nearest_first}


def _default_split(part: str, image_id: int | str) -> str:
    return "train" if part.startswith("train") else "test" if str(image_id)[-1:] in "13579" else "val"


_RELEASES = coco2014, coco2017 = Coco("2014"), Coco("2017")
