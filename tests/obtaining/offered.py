"""What the server offers, and how it is damaged."""

import dataclasses
import os

from captioning import settings
from captioning.datasets import prepare as datasets
from tests import originals

project = settings.choose


def prepared(project, *choices, **options):
    """Run the cells of notebook 01: `options` are those of `obtain`, `choices` those of `arrange`."""
    dataset = datasets.arrange(project, datasets.check(project, datasets.obtain(project, **options)), *choices)
    datasets.save(project, dataset)
    return dataset


def asked(server, start=""):
    return [seen.path for seen in server.seen if seen.path.startswith(start)]


def limited(limit=20):
    return project("coco2014", limit=limit)


def everything_below(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


SIGN_IN = b"<html>Please sign in to this network</html>"
SERVE = {
    "coco2014": originals.serve_coco,
    "coco2017": originals.serve_coco2017,
    "flickr8k": originals.serve_flickr8k,
    "open-images": originals.serve_open_images,
}
CHOICES = [("coco2014", 20), ("coco2014", None), ("flickr8k", None), ("open-images", 20)]
DAMAGE = {"cut": lambda content: content[: len(content) // 2], "page": lambda _: SIGN_IN, "empty": lambda _: b""}
DAMAGE["zeros"] = lambda content: bytes(len(content))


def damaged(file, damage):
    """Damage a file as a disk does: its time stays."""
    state = file.stat()
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def without_times(dataset):
    return [dataclasses.replace(record, state=None) for record in dataset.records]
