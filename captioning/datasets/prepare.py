"""What notebook 01 does with any dataset: fetched or drawn, read, checked, split, saved."""

import dataclasses
from pathlib import Path
from typing import Any

from captioning.datasets import captions_file, folder, needs, open_images, photo_check, splits
from captioning.datasets.coco import coco2014, coco2017
from captioning.datasets.dataset import NOT_ON_DISK, SPLITS, CaptionDataset, DatasetError
from captioning.datasets.fetching import Wanted, require_most
from captioning.datasets.flickr import flickr8k, flickr30k
from captioning.datasets.photos import Photos
from captioning.datasets.scenes import scenes
from captioning.files import DamagedError, write_text
from captioning.provenance import StaleError, require_same
from captioning.settings import Project, SettingError, require
from captioning.tokenizer import Tokenizer

QUICK_PHOTOS = 120  # in quick runs on photos, where no limit is set
MISSING = 100  # one of so many photos may be missing since the last time; more look like a drive that is away


def download(project: Project) -> float:
    """Return how many MB `obtain` fetches, less what is there."""
    source = _DOWNLOADS.get(project.dataset) if project.root is None else None
    return sum(need.download for need in source.needs(project.originals, Wanted(_limit(project)))) if source else 0.0


def cost(project: Project, long_side: int = Wanted.long_side, delete_zips: bool = False) -> str:
    """Return what `obtain` fetches, less what is there: bytes, disk, minutes; and the disk that later notebooks need.

    Raises:
        DatasetError: the disk is too small for the download.
    """
    wanted = Wanted(_limit(project), long_side, delete_zips)
    source = _DOWNLOADS.get(project.dataset) if project.root is None else None
    if source:
        fetched, pictures = source.needs(project.originals, wanted), source.PHOTOS
    elif project.dataset == "scenes":
        fetched, pictures = [], sum(_SCENES[project.quick].values())
    else:
        fetched, pictures = [], len(Photos(project.originals).paths)
    features = needs.features(project, min(pictures, wanted.limit or pictures))
    return needs.state(fetched, features, project.originals if source else project.data)


def obtain(
    project: Project,
    long_side: int = Wanted.long_side,
    delete_zips: bool = False,
    missing_share: float = Wanted.missing_share,
) -> CaptionDataset:
    """Draw the pictures, read them from CAPTIONING_ROOT, or fetch what is missing, see `Wanted`; and read them.

    Returns:
        The pictures within the limit, in their fixed shuffled order; the findings tell of the others.

    Raises:
        SettingError: this dataset needs a folder that is not set, or an argument cannot be used.
        DatasetError: the files are not as they should be, or many photos of the last time are missing.
        DamagedError: a file of the dataset is not JSON.
        NoSpaceError: the disk is too small.
        DownloadError: something cannot be fetched, or too many photos cannot.
        UnpackError: a zip is damaged.
    """
    if project.root:
        _require_present(project)
    if project.dataset in _DOWNLOADS:
        dataset = _download(project, Wanted(_limit(project), long_side, delete_zips, missing_share))
    elif project.dataset == "scenes":
        scenes.draw(project.data, **_SCENES[project.quick])
        dataset = scenes.read(project.data)
    elif project.root is None:
        raise SettingError(f"CAPTIONING_ROOT is not set: {_WAY_TO_ROOT[project.dataset]}")
    else:
        source = flickr30k if project.dataset == "flickr30k" else folder
        dataset = source.read(Path(project.root))
    return dataclasses.replace(dataset.first(_limit(project)), made_from=_made_from(project))


def check(project: Project, dataset: CaptionDataset) -> CaptionDataset:
    """Return the dataset without the pictures that cannot be decoded; see `photo_check.check`.

    Raises:
        DatasetError: many photos of the last time are missing.
    """
    _require_present(project)
    return photo_check.check(dataset, _known(project), project.home)


def arrange(
    project: Project, dataset: CaptionDataset, split: str = "official", cleaning: str = "none"
) -> CaptionDataset:
    """Return the dataset split and cleaned as it is, or as the classic Flickr8k notebooks do.

    Args:
        project: its data folder holds the splits that were used before; see `splits.settle`.
        dataset: as `check` returns it.
        split: "official", or "90/10": nine tenths of the pictures for train and val, one for test. Where the source
            has no splits, both are ours.
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
        dataset = dataclasses.replace(dataset, splits_from=splits.HASH)
    dataset = splits.settle(dataset, _splits_file(project), split)
    dataset = dataset.found("the same photo in two splits", splits.leaks(dataset))
    dataset = dataclasses.replace(dataset, made_from=dataset.made_from | {"split": split, "cleaning": cleaning})
    return dataset.letters_only() if cleaning == "letters" else dataset


def save(project: Project, dataset: CaptionDataset) -> Path:
    """Write data/<dataset>/captions.json, which the later notebooks read, splits.json and report.txt; return the last.

    Raises:
        DatasetError: a split has too few pictures.
        StaleError: the pictures were obtained with other settings.
    """
    counts = {split: len(dataset.split(split)) for split in SPLITS}
    too_few = [f"{split} ({count})" for split, count in counts.items() if count < splits.FEWEST[split]]
    if too_few:
        raise DatasetError(
            f"{dataset.name} has too few pictures for {' and '.join(too_few)}{_way_out(project, dataset)}."
        )
    made_from = {"split": "official", "cleaning": "none"} | (dataset.made_from or _made_from(project))
    captions = project.data / "captions.json"
    require_same(captions, _without_choices(made_from), _made_from(project), made_by="01_download")
    splits.write(_splits_file(project), made_from["split"], dataset)
    captions_file.write(captions, project.home, dataclasses.replace(dataset, made_from=made_from))
    report = project.data / "report.txt"
    write_text(report, dataset.report())
    return report


def load(project: Project) -> CaptionDataset:
    """Return what notebook 01 prepared; captions without spaces between words have their characters marked as units.

    Raises:
        FileNotFoundError: notebook 01 has not been run for this dataset.
        DamagedError: its file does not hold what it should.
        StaleError: it was run with other settings or files; see `captions_file.unchanged`.
    """
    path = require(project.data / "captions.json", made_by="01_download")
    dataset = captions_file.read(path, project.home)
    require_same(path, _without_choices(dataset.made_from), _made_from(project), made_by="01_download")
    return captions_file.unchanged(path, dataset).in_units()


def load_tokenizer(project: Project, dataset: CaptionDataset) -> Tokenizer:
    """Return the vocabulary that notebook 02 fitted on these pictures' train captions.

    Raises:
        FileNotFoundError: notebook 02 has not been run for this dataset.
        DamagedError: its file does not hold what it should.
        StaleError: it was fitted on other captions.
    """
    path = require(project.data / "tokenizer.json", made_by="02_explore")
    return Tokenizer.load(path, dataset.captions("train"))


def _made_from(project: Project) -> dict:
    """Return the settings that decide on the pictures."""
    root = captions_file.Paths(project.home).written(Path(project.root)) if project.root else None
    return {"dataset": project.dataset, "root": root, "limit": project.limit, "quick": project.quick}


def _without_choices(made_from: dict) -> dict:
    """Return the settings without the knobs that only notebook 01 has."""
    return {name: value for name, value in made_from.items() if name not in ("split", "cleaning")}


def _splits_file(project: Project) -> Path:
    return project.data / "splits.json"


def _known(project: Project) -> Path:
    return project.data / "checked_photos.jsonl"


def _way_out(project: Project, dataset: CaptionDataset) -> str:
    if project.limit:
        return f" with CAPTIONING_LIMIT={project.limit}; raise the limit"
    ours = dataset.splits_from == splits.HASH
    return f": at least {sum(splits.FEWEST.values())} different photos with captions are needed" if ours else ""


def _require_present(project: Project) -> None:
    """Refuse to make a smaller dataset while a drive is away."""
    path = project.data / "captions.json"
    try:
        before = captions_file.read(path, project.home)
    except (FileNotFoundError, DamagedError, StaleError):  # nothing is known from before
        return
    if _without_choices(before.made_from) != _made_from(project):
        return
    missing = [record.file for record in before.records if not record.file.exists()]
    if len(missing) > max(1, len(before.records) // MISSING):
        raise DatasetError(
            f"{len(missing):,} of {len(before.records):,} photos are missing since the last time, for example "
            f"{missing[0].name} in {missing[0].parent}: is a drive not mounted? Nothing was changed. Bring them back; "
            f"if you removed them, delete {path} and run 01 again."
        )


def _limit(project: Project) -> int | None:
    quick_photos = QUICK_PHOTOS if project.quick and project.dataset != "scenes" else None
    return project.limit or quick_photos


def _download(project: Project, wanted: Wanted) -> CaptionDataset:
    """Read; unless a folder is named, fetch what is missing before, and again what turns out to be broken."""
    source, root = _DOWNLOADS[project.dataset], project.originals
    failed = source.fetch(root, wanted) if project.root is None else {}
    dataset = source.read(root, **({"long_side": wanted.long_side} if source is open_images else {}))
    if project.root is not None:
        return dataset
    asked = dataset.first(wanted.limit)
    if broken := photo_check.damaged(asked, _known(project), project.home):
        print(f"{len(broken):,} photos are broken and are fetched again: {next(iter(broken.values()))} ...")
        failed = source.fetch(root, dataclasses.replace(wanted, again=frozenset(broken)))
        broken = photo_check.damaged(asked, _known(project), project.home)
        require_most(failed | broken, len(asked.records), wanted.missing_share)
    # Photos that nobody asked for are not missing.
    asked_for = {reason: names for reason, names in dataset.findings.items() if reason != NOT_ON_DISK}
    dataset = dataclasses.replace(dataset, findings=asked_for)
    return dataset.found("photos that could not be fetched", (f"{path.name}: {why}" for path, why in failed.items()))


# Quick or not -> how many scenes.
_SCENES = {False: {"train": 1500, "val": 200, "test": 200}, True: {"train": 48, "val": 12, "test": 12}}
# Sources with `PHOTOS` (how many there are), `needs`, `fetch` and `read`.
_DOWNLOADS: dict[str, Any] = {
    "coco2014": coco2014,
    "coco2017": coco2017,
    "flickr8k": flickr8k,
    "open-images": open_images,
}
# What is only read -> what its folder holds, and where to get it.
_WAY_TO_ROOT = {
    "folder": "name your folder of photos. It also holds captions.csv, with the columns `image,caption`, or "
    "captions.jsonl, or captions.json in COCO's layout.",
    "flickr30k": "Flickr30k has no public address, since its photos are given out for research only. Get them with the "
    "form at https://shannon.cs.illinois.edu/DenotationGraph/ or from a copy at Kaggle or Hugging Face (with "
    f"captions, {flickr30k.texts[0]} or results.csv), if you can Karpathy's {flickr30k.karpathy} too (for the splits), "
    "unpack all into one folder and name it.",
}
