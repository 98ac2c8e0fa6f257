"""What notebook 01 does with any dataset: fetched or drawn, read, checked, saved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from captioning.datasets import coco, flickr8k, folder, needs, open_images, photo_check
from captioning.datasets.dataset import NOT_ON_DISK, SPLITS, UNSPLIT, CaptionDataset, DatasetError
from captioning.datasets.fetching import Wanted
from captioning.datasets.scenes import scenes
from captioning.settings import Project, SettingError, require

QUICK_PHOTOS = 120  # in quick runs on photos, where no limit is set
FEWEST = {"train": 1, "val": 2, "test": 2}  # pictures: captions are also dealt to *other* ones


def cost(project: Project, long_side: int = Wanted.long_side) -> str:
    """Return what `obtain` fetches where nothing is there yet: bytes, disk, minutes.

    Raises:
        DatasetError: the disk is too small.
    """
    fetched = project.dataset in _DOWNLOADS and project.root is None
    wanted = Wanted(_limit(project), long_side)
    items = _DOWNLOADS[project.dataset].needs(project.originals, wanted) if fetched else []
    return needs.state(items, project.originals)


def obtain(project: Project, long_side: int = Wanted.long_side, delete_zips: bool = False) -> CaptionDataset:
    """Draw the pictures, read them from CAPTIONING_ROOT, or fetch what is missing; and read them.

    Args:
        project: dataset, root and limit.
        long_side: pixels; larger photos of Open Images are shrunk when they arrive.
        delete_zips: remove each zip once it is unpacked.

    Returns:
        The pictures within the limit, in their fixed shuffled order; `left_out` and `findings` tell of the others.
        Where the source has no splits, nine tenths are for training and validation, one for the test.

    Raises:
        SettingError: this dataset needs a folder that is not set.
        DatasetError: the files are not as they should be.
        DownloadError: something cannot be fetched.
        UnpackError: a zip is damaged.
    """
    if project.dataset in _DOWNLOADS:
        dataset = _download(project, Wanted(_limit(project), long_side, delete_zips))
    else:
        dataset = {"scenes": _scenes, "folder": _folder}[project.dataset](project)
    dataset = dataset.first(_limit(project))
    return dataset.resplit(0.9) if any(record.split == UNSPLIT for record in dataset.records) else dataset


def arrange(dataset: CaptionDataset, split: str = "official", cleaning: str = "none") -> CaptionDataset:
    """Return the dataset split and cleaned as it is, or as the classic Flickr8k notebooks do.

    Args:
        dataset: as `obtain` returns it.
        split: "official", or "90/10": nine tenths of the pictures for train and val, one for test.
        cleaning: "none", or "letters": see `CaptionDataset.letters_only`.

    Raises:
        SettingError: an unknown choice; another split of scenes, whose test split holds what train never shows.
    """
    for name, value, known in (("SPLIT", split, ("official", "90/10")), ("CLEANING", cleaning, ("none", "letters"))):
        if value not in known:
            raise SettingError(f"Unknown {name} {value!r}; known: {', '.join(known)}.")
    if split == "90/10":
        if any(record.truth for record in dataset.records):
            raise SettingError(
                "SPLIT = '90/10' is for photos: the test split of scenes is made of unseen combinations."
            )
        dataset = dataset.resplit(0.9)
    return dataset.letters_only() if cleaning == "letters" else dataset


def check(project: Project, dataset: CaptionDataset) -> CaptionDataset:
    """Return the dataset without the pictures that cannot be decoded; see `photo_check.check`."""
    return photo_check.check(dataset, project.data / "checked_photos.jsonl")


def save(project: Project, dataset: CaptionDataset) -> Path:
    """Write data/<dataset>/captions.json, which the later notebooks read, and report.txt with all findings.

    Returns:
        The report's path.

    Raises:
        DatasetError: a split has too few pictures.
    """
    too_few = [
        f"{split} ({len(dataset.split(split))})" for split in SPLITS if len(dataset.split(split)) < FEWEST[split]
    ]
    if too_few:
        way_out = f" with CAPTIONING_LIMIT={project.limit}; raise the limit" if project.limit else ""
        raise DatasetError(f"{project.dataset} has too few pictures for {' and '.join(too_few)}{way_out}.")
    dataset.save(project.data / "captions.json")
    report = project.data / "report.txt"
    report.write_text(dataset.report(), encoding="utf-8")
    return report


def load(project: Project) -> CaptionDataset:
    """Return what notebook 01 prepared.

    Raises:
        FileNotFoundError: notebook 01 has not been run for this dataset.
    """
    return CaptionDataset.load(require(project.data / "captions.json", made_by="01_download"))


def _limit(project: Project) -> int | None:
    quick_photos = QUICK_PHOTOS if project.quick and project.dataset != "scenes" else None
    return project.limit or quick_photos


def _download(project: Project, wanted: Wanted) -> CaptionDataset:
    """Fetch what is missing, unless a folder is named, and read."""
    source = _DOWNLOADS[project.dataset]
    failed = source.fetch(project.originals, wanted) if project.root is None else None
    dataset = source.read(project.originals)
    if failed is None:
        return dataset
    # Photos that nobody asked for are not missing.
    left_out = {reason: count for reason, count in dataset.left_out.items() if reason != NOT_ON_DISK}
    left_out |= {"photos that could not be fetched": len(failed)} if failed else {}
    dataset = dataclasses.replace(dataset, left_out=left_out)
    return dataset.found("photos that could not be fetched", (f"{path.name}: {why}" for path, why in failed.items()))


def _scenes(project: Project) -> CaptionDataset:
    sizes = {"train": 48, "val": 12, "test": 12} if project.quick else {}
    scenes.draw(project.data, **sizes)
    return scenes.read(project.data)


def _folder(project: Project) -> CaptionDataset:
    if project.root is None:
        raise SettingError(
            "CAPTIONING_ROOT is not set: name your folder of photos. It also holds captions.csv, with the columns "
            "`image,caption`, or captions.jsonl, or captions.json in COCO's layout."
        )
    return folder.read(Path(project.root))


# Sources with `needs`, `fetch` and `read`.
_DOWNLOADS = {"coco2014": coco, "flickr8k": flickr8k, "open-images": open_images}
