"""Reading references and results in the file formats of COCO."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from captioning.files import read_json
from captioning.metrics.references import ImageId, some_images

REFERENCES_LAYOUT = '{"images": [{"id": ...}, ...], "annotations": [{"image_id": ..., "caption": ...}, ...]}'
RESULTS_LAYOUT = '[{"image_id": ..., "caption": ...}, ...]'


def read_references(path: Path | str) -> dict[ImageId, list[str]]:
    """Read a COCO caption file: image id -> its captions, for every image of the file, also one without any.

    Raises:
        ValueError: the file is not in this layout, or has captions of images that it does not list.
    """
    content = read_json(path, f"Expected {REFERENCES_LAYOUT}")
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a reference file; expected {REFERENCES_LAYOUT}")
    images = _entries(path, content.get("images"), ["id"], REFERENCES_LAYOUT)
    captions: defaultdict[ImageId, list[str]] = defaultdict(list, {image["id"]: [] for image in images})
    listed = len(captions)
    for entry in _entries(path, content.get("annotations"), ["image_id", "caption"], REFERENCES_LAYOUT):
        captions[entry["image_id"]].append(entry["caption"])
    if unlisted := list(captions)[listed:]:
        raise ValueError(f'{path} has captions of images that its "images" lack: {some_images(unlisted)}')
    return dict(captions)


def read_results(path: Path | str) -> dict[ImageId, str]:
    """Read a COCO result file: one caption per image.

    Raises:
        ValueError: the file is not in this layout, or has two captions for an image.
    """
    entries = _entries(path, read_json(path, f"Expected {RESULTS_LAYOUT}"), ["image_id", "caption"], RESULTS_LAYOUT)
    counts = Counter(entry["image_id"] for entry in entries)
    if twice := [image for image, count in counts.items() if count > 1]:
        raise ValueError(f"{path} has more than one caption for {some_images(twice)}; keep one of each.")
    return {entry["image_id"]: entry["caption"] for entry in entries}


def _entries(path: Path | str, entries: Any, fields: list[str], layout: str) -> list[dict]:
    """Return the list after checking that every entry has the fields."""
    if not isinstance(entries, list):
        raise ValueError(f"{path} has another layout; expected {layout}")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or any(field not in entry for field in fields):
            raise ValueError(f"{path}: entry {number} lacks {' or '.join(fields)}: {entry!r}; expected {layout}")
        for field in fields:
            if isinstance(entry[field], float) and entry[field].is_integer():
                entry[field] = int(entry[field])  # pandas writes ids so
            kinds = str if field == "caption" else (int, str)
            if not isinstance(entry[field], kinds):
                raise ValueError(f"{path}: entry {number} has a strange {field}: {entry[field]!r}")
    return entries
