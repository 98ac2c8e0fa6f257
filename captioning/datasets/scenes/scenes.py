"""Draw captioned pictures from a seed, in COCO's layout, with the truth beside them."""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from captioning.datasets.coco import read_captions, read_splits
from captioning.datasets.dataset import SPLITS, CaptionDataset, DatasetError, assemble
from captioning.datasets.records import Record
from captioning.datasets.scenes.captions import describe
from captioning.datasets.scenes.objects import render
from captioning.datasets.scenes.plan import SIZE, Scene, plan
from captioning.datasets.scenes.words import NAMES, PLACE_COLOURS
from captioning.files import only_one, read_json, write_atomically, write_json

__all__ = ["NAMES", "draw", "read"]

_VERSION = 3  # of the drawing: another number draws every folder again
_PARAMETERS = "scenes.json"
_RECORDS = ("annotations/captions_scenes.json", "splits.json", "truth.json")
_AGAIN = "Delete images/, annotations/, splits.json, truth.json and scenes.json there and run 01_download again."
_PICTURE = re.compile(r"\d{12}\.jpg")


def draw(folder: Path | str, train: int = 1500, val: int = 200, test: int = 200, seed: int = 0) -> None:
    """Draw pictures into `folder/images` and write captions, splits and truth beside them.

    A finished drawing with the same parameters is left alone, an interrupted one is continued, one with other
    parameters is replaced; of two processes at once, one waits for the other. Captions, splits and truth are the same
    on every machine.

    Args:
        folder: is made where missing. It gets `images/000000000001.jpg` and so on,
            `annotations/captions_scenes.json` (COCO's layout), `splits.json` (ids of train, val and test),
            `truth.json` (what each picture really shows), which come last, and `scenes.json`, the parameters.
        train, val, test: number of pictures, of train at least 40; a quarter of test shows combinations of place,
            object and color that occur nowhere else.
        seed: another seed draws other pictures.

    Raises:
        ValueError: a number is too small.
        FileExistsError: `folder` holds files of these names that were not drawn here.
    """
    folder = Path(folder)
    parameters = {"version": _VERSION, "train": train, "val": val, "test": test, "seed": seed, "size": SIZE}
    if _is_finished(folder, parameters, train + val + test):
        return
    scenes = plan(train, val, test, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / _PARAMETERS, wait=True):
        if not _is_finished(folder, parameters, len(scenes)):
            _draw_missing(folder, parameters, scenes)


def _draw_missing(folder: Path, parameters: dict, scenes: list[Scene]) -> None:
    _prepare(folder, parameters)
    paths = {folder / "images" / _file_name(scene): scene for scene in scenes}
    missing = {path: scene for path, scene in paths.items() if not path.exists()}
    # Pillow lets other threads run while it shrinks and encodes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        drawn = pool.map(_save_picture, missing.values(), missing)
        for _ in tqdm(drawn, "Drawing scenes", len(missing), unit="picture", file=sys.stdout):
            pass
    for name, content in zip(_RECORDS, _records(scenes), strict=True):
        write_json(folder / name, content)


def _is_finished(folder: Path, parameters: dict, count: int) -> bool:
    """Tell whether the folder holds this very drawing with all its files."""
    whole = len(_pictures(folder)) == count and all((folder / name).exists() for name in _RECORDS)
    return _drawn_with(folder) == parameters and whole


def _pictures(folder: Path) -> list[Path]:
    """List the pictures with a name as drawn here."""
    return [path for path in (folder / "images").glob("*.jpg") if _PICTURE.fullmatch(path.name)]


def _prepare(folder: Path, parameters: dict) -> None:
    """Make the folder ready: keep what an unfinished drawing of the same kind left, remove any other."""
    before = _drawn_with(folder)
    drawn = [path for path in (*(folder / name for name in _RECORDS), *_pictures(folder)) if path.exists()]
    if drawn and before is None:
        raise FileExistsError(f"{drawn[0]} was not drawn here: choose another folder, or empty {folder}.")
    drafts = (folder / "images").glob("partial-*")  # that a kill has left
    for path in [*(drawn if before != parameters else ()), *drafts]:
        path.unlink(missing_ok=True)
    write_json(folder / _PARAMETERS, parameters)


def _records(scenes: list[Scene]) -> tuple[dict, dict, dict]:
    """Return the contents of the three JSON files, in the order of `_RECORDS`."""
    captions = [(scene.image_id, caption) for scene in scenes for caption in describe(scene)]
    sizes = {"width": SIZE, "height": SIZE}
    images = [{"id": scene.image_id, "file_name": _file_name(scene)} | sizes for scene in scenes]
    annotations = [{"id": number, "image_id": of, "caption": text} for number, (of, text) in enumerate(captions, 1)]
    splits = {split: [scene.image_id for scene in scenes if scene.split == split] for split in SPLITS}
    return (
        {"images": images, "annotations": annotations},
        splits,
        {str(scene.image_id): _truth(scene) for scene in scenes},
    )


def _truth(scene: Scene) -> dict:
    """Return what a picture shows, in the names of `NAMES`; objects from left to right, boxes as shares of the size."""
    objects = [
        {"object": item.object, "colour": item.colour, "unseen": scene.is_unseen(item)}
        | {"box": [edge / SIZE for edge in item.box]}
        for item in scene.items
    ]
    return {"place": scene.place, "objects": objects, "place_colours": PLACE_COLOURS.get(scene.place, [])}


def _file_name(scene: Scene) -> str:
    return f"{scene.image_id:012d}.jpg"


def _save_picture(scene: Scene, path: Path) -> None:
    with write_atomically(path) as draft:
        render(scene).save(draft, "JPEG", quality=90)


def _drawn_with(folder: Path) -> dict | None:
    path = folder / _PARAMETERS
    return read_json(path, _AGAIN) if path.exists() else None


def read(folder: Path | str) -> CaptionDataset:
    """Read a finished drawing; every record carries its truth.

    Raises:
        DatasetError: the folder holds no finished drawing, or a file of it was changed.
    """
    folder = Path(folder)
    sources = [folder / name for name in _RECORDS]
    if not all(map(Path.is_file, sources)):
        raise DatasetError(f"{folder} holds no finished drawing: run 01_download again, it resumes where it stopped.")
    splits, truth = read_splits(sources[1]), read_json(sources[2], _AGAIN)
    try:
        records = [
            Record(image_id, folder / "images" / file_name, tuple(captions), splits[image_id], truth[str(image_id)])
            for image_id, file_name, captions in read_captions(sources[0])
        ]
    except KeyError as error:
        raise DatasetError(f"{folder}: its files lack picture {error}. {_AGAIN}") from error
    return assemble("scenes", records, sources=sources)
