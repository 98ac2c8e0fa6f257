"""COCO 2014: official captions, and the splits that researchers use."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from captioning.datasets.dataset import CaptionDataset, DatasetError, Record, assemble


def read(root: Path) -> CaptionDataset:
    """Read COCO 2014 in its official layout.

    Args:
        root: holds `annotations/captions_{train,val}2014.json` (either may be absent), the photos in
            `{train,val}2014/`, and optionally `splits.json` or Karpathy's `dataset_coco.json`, which fix the
            splits. Without these, train2014 is train, even ids of val2014 are val and odd ids test.

    Raises:
        DatasetError: a file is missing or not in COCO's layout.
    """
    parts = [part for part in ("train2014", "val2014") if _captions_file(root, part).is_file()]
    if not parts:
        raise DatasetError(
            f"{root} holds neither annotations/captions_train2014.json nor annotations/captions_val2014.json: "
            "set CAPTIONING_ROOT to the folder that holds `annotations`."
        )
    splits = read_splits(root)
    left_out: Counter = Counter()
    records = []
    for part in parts:
        for image_id, file_name, captions in read_captions(_captions_file(root, part)):
            split = _default_split(part, image_id) if splits is None else splits.get(image_id)
            if split is None:
                left_out["photos in no split"] += 1
            else:
                records.append(Record(image_id, root / part / file_name, tuple(captions), split))
    return assemble("coco2014", records, left_out)


def read_captions(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (image id, file name, captions) of each image in a captions file.

    Layout: the "Image Captioning" section of COCO's data format page.

    Raises:
        DatasetError: the file is not JSON, not in COCO's layout, or captions an image that it does not list.
    """
    content = load_json(path)
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: dict[int, list[str]] = {image_id: [] for image_id in names}
        for annotation in content["annotations"]:
            captions[annotation["image_id"]].append(annotation["caption"].strip())
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is not in COCO's captions layout ({error!r}): it needs "
            '"images": [{"id", "file_name"}] and "annotations": [{"image_id", "caption"}].'
        ) from error
    for image_id, file_name in names.items():
        yield image_id, file_name, captions[image_id]


def read_splits(root: Path) -> dict[int, str] | None:
    """Return image id -> split from `splits.json` or `dataset_coco.json`; None where there is neither.

    Karpathy's "restval" (val2014 photos given to training) counts as train.

    Raises:
        DatasetError: the file is not in its layout, or puts a photo into two splits.
    """
    ours, karpathy = root / "splits.json", root / "dataset_coco.json"
    path = ours if ours.is_file() else karpathy
    if not path.is_file():
        return None
    content = load_json(path)
    try:
        if path == ours:
            pairs = [(image_id, split) for split in ("train", "val", "test") for image_id in content[split]]
        else:
            pairs = [(image["cocoid"], image["split"].replace("restval", "train")) for image in content["images"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is not in its usual layout: {error!r}.") from error
    splits = dict(pairs)
    if len(splits) != len(pairs):
        raise DatasetError(f"{path} puts the same image into two splits or names it twice.")
    return splits


def load_json(path: Path) -> dict:
    """Read a JSON file.

    Raises:
        DatasetError: it is not JSON; the message names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not a JSON file: {error}. Fetch or make it again.") from error


def _captions_file(root: Path, part: str) -> Path:
    return root / "annotations" / f"captions_{part}.json"


def _default_split(part: str, image_id: int) -> str:
    if part == "train2014":
        return "train"
    return "test" if image_id % 2 else "val"
