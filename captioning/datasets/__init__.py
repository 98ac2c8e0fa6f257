"""One loader per source, all giving the same `CaptionDataset`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from captioning.datasets import coco, flickr8k, scenes
from captioning.datasets.dataset import SPLITS, CaptionDataset, DatasetError, Record
from captioning.settings import Project, SettingError, require

__all__ = ["CaptionDataset", "DatasetError", "Record", "advised_dropout", "load", "prepare"]


def prepare(project: Project) -> CaptionDataset:
    """Draw or find the pictures and captions, and write data/<dataset>/captions.json.

    Raises:
        SettingError: this dataset needs a folder that is not set, or cannot be prepared yet.
        DatasetError: the files are not as they should be.
    """
    dataset = _PREPARE[project.dataset](project).first(project.limit)
    empty = [split for split in SPLITS if not dataset.split(split)]
    if empty:
        limit = f" with CAPTIONING_LIMIT={project.limit}; raise the limit" if project.limit else ""
        raise DatasetError(f"{project.dataset} has no picture for {' and '.join(empty)}{limit}.")
    dataset.save(project.data / "captions.json")
    return dataset


def load(project: Project) -> CaptionDataset:
    """Return what notebook 01 prepared.

    Raises:
        FileNotFoundError: notebook 01 has not been run for this dataset.
    """
    return CaptionDataset.load(require(project.data / "captions.json", made_by="01_download"))


def advised_dropout(project: Project) -> float:
    """Return the share of values that decoders set to 0 in training, where a notebook does not say.

    Photos are few and varied: without strong dropout a decoder learns them by heart. Scenes come from one generator.
    """
    return 0.15 if project.dataset == "scenes" else 0.5


def _scenes(project: Project) -> CaptionDataset:
    sizes = {"train": 48, "val": 12, "test": 12} if project.quick else {}
    scenes.draw(project.data, **sizes)
    return scenes.read(project.data)


def _on_disk(read: Callable[[Path], CaptionDataset]) -> Callable[[Project], CaptionDataset]:
    def prepare(project: Project) -> CaptionDataset:
        if project.root is None:
            raise SettingError(
                f"CAPTIONING_ROOT is not set: name the folder with the files of {project.dataset}. "
                "Downloading it from here is not possible yet."
            )
        return read(Path(project.root))

    return prepare


def _not_yet(project: Project) -> CaptionDataset:
    raise SettingError(
        f"CAPTIONING_DATASET={project.dataset} cannot be prepared yet: use scenes, coco2014 or flickr8k."
    )


_PREPARE: dict[str, Callable[[Project], CaptionDataset]] = {
    "scenes": _scenes,
    "coco2014": _on_disk(coco.read),
    "flickr8k": _on_disk(flickr8k.read),
    "open-images": _not_yet,
    "folder": _not_yet,
}
