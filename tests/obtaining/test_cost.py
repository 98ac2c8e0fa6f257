"""What a dataset costs is told before it is fetched, less what is there."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from captioning.datasets import needs
from captioning.datasets import prepare as datasets
from captioning.datasets.coco import coco2014
from captioning.datasets.dataset import DatasetError
from captioning.datasets.fetching import Wanted
from tests import originals
from tests.obtaining.offered import limited, prepared, project
from tests.originals import photo


class Free(NamedTuple):
    free: float  # bytes


@pytest.fixture(autouse=True)
def large_disk(monkeypatch):
    monkeypatch.setattr("captioning.files.shutil.disk_usage", lambda _: Free(free=1e14))


def test_the_cost_is_stated_before_anything_is_fetched(server, mb):
    text = datasets.cost(limited(2000))
    assert mb(text, "2,000 photos") == (330, 330) and mb(text, "coco-annotations") == (253, 352) and server.seen == []
    assert "coco-train2014" not in text and "coco-train2014" in datasets.cost(project("coco2014"))
    assert "about 2 minutes" in text and "MB are free" in text
    assert "200,000 photos" in datasets.cost(project("open-images"))
    assert "Nothing has to be fetched." in datasets.cost(project("scenes"))


def test_what_is_there_costs_nothing(server, mb):
    originals.serve_coco(server)
    prepared(limited())
    assert "Nothing has to be fetched." in datasets.cost(limited())
    text = datasets.cost(limited(25))
    assert "5 photos" in text and "coco-annotations" not in text


def test_leftovers_of_a_kill_and_photos_of_others_are_not_what_is_wanted(server):
    originals.serve_coco(server)
    files = [record.file for record in prepared(limited()).records]
    for file in files[:4]:
        file.rename(file.with_name(f"{file.name}.part"))
    photo(files[9].with_name("of_mine.jpg"))
    assert "4 photos" in datasets.cost(limited())


GB = 1000


ZIPS = 13.510573713 * GB, 6.645013297 * GB


def lay(root, **files):
    """Let there be files of so many MB, which take no disk."""
    root.mkdir(parents=True, exist_ok=True)
    for name, size in files.items():
        file = root / name.replace("__", "/").replace("_zip", ".zip").replace("_part", ".part")
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as empty:
            empty.truncate(int(size * 1e6))


@pytest.mark.parametrize(
    ("there", "delete", "download", "stays", "most"),
    [
        ({}, False, sum(ZIPS), 2 * sum(ZIPS), 2 * sum(ZIPS)),
        ({}, True, sum(ZIPS), sum(ZIPS), sum(ZIPS) + max(2 * ZIPS[0] - ZIPS[0] - ZIPS[1], ZIPS[1])),
        ({"train2014_zip": ZIPS[0]}, False, ZIPS[1], 2 * ZIPS[1] + ZIPS[0], 2 * ZIPS[1] + ZIPS[0]),
        ({"train2014_zip": ZIPS[0]}, True, ZIPS[1], ZIPS[1], max(ZIPS[0], 2 * ZIPS[1])),
        ({"train2014_zip_part": 13 * GB}, False, sum(ZIPS) - 13 * GB, 2 * sum(ZIPS) - 13 * GB, None),
        ({"train2014_zip": ZIPS[0], "train2014__a.jpg": 13 * GB}, False, ZIPS[1], 2 * ZIPS[1] + 0.510573713 * GB, None),
        ({"train2014__a.jpg.part": 13 * GB}, False, sum(ZIPS), 2 * sum(ZIPS), None),
        ({".train2014.unpacked": 0, "val2014_zip": ZIPS[1]}, False, 0, ZIPS[1], ZIPS[1]),
        ({".train2014.unpacked": 0, ".val2014.unpacked": 0}, False, 0, 0, 0),
        ({".train2014.unpacked": 0, ".val2014.unpacked": 0, "val2014_zip": ZIPS[1]}, True, 0, -ZIPS[1], 0),
    ],
)  # fmt: skip
def test_the_cost_counts_zips_and_their_photos_as_they_are(there, delete, download, stays, most, tmp_path, monkeypatch):
    lay(tmp_path, **{"annotations__captions_val2014.json": 0, ".annotations_trainval2014.unpacked": 0}, **there)
    (tmp_path / "splits.json").write_text("{}")
    fetched = coco2014.needs(tmp_path, Wanted(delete_zips=delete))
    assert sum(need.download for need in fetched) == pytest.approx(download)
    assert sum(need.disk for need in fetched) == pytest.approx(stays)
    most = stays if most is None else most
    text = needs.state(fetched, [], tmp_path)
    assert (f"with at most {most:,.0f} MB of disk." if most else "Nothing has to be fetched.") in text
    monkeypatch.setattr("captioning.files.shutil.disk_usage", lambda _: Free(free=1e6 * (most - 1)))
    if most:
        with pytest.raises(DatasetError, match=r"The disk is too small.*DELETE_ZIPS"):
            needs.state(fetched, [], tmp_path)


def test_the_disk_of_the_features_is_counted(monkeypatch, tmp_path, mb):
    text = datasets.cost(project("coco2014"))
    assert mb(text, "features of inception_v3") == (0, round(123_287 * 64 * 2048 * 2 / 1e6))
    assert mb(text, "features of resnet50") == (0, round(123_287 * 49 * 2048 * 2 / 1e6))
    assert mb(text, "features of vgg16") == (0, round(123_287 * 4096 * 2 / 1e6))
    active = project("coco2014", encoder="mobilenet", limit=10_000)
    assert mb(datasets.cost(active), "features of mobilenet") == (0, round(10_000 * 49 * 768 * 2 / 1e6))
    lay(active.data / "features" / "mobilenet-x-imagenet", shard=752)
    lay(active.data / "features" / "mobilenet-x-random", shard=752)
    assert mb(datasets.cost(active), "features of mobilenet") == (0, 1)
    monkeypatch.setenv("CAPTIONING_PRECISION", "bfloat16")
    lay(active.data / "features" / "mobilenet-x-imagenet-bfloat16", shard=742)
    assert mb(datasets.cost(active), "features of mobilenet") == (0, 11)
    monkeypatch.setattr("captioning.files.shutil.disk_usage", lambda _: Free(free=50e9))
    assert "The features of all notebooks do not fit" in datasets.cost(project("coco2014"), delete_zips=True)
    originals.write_folder(tmp_path / "own", photos=6)
    own = datasets.cost(project("folder", root=str(tmp_path / "own"), encoder="inception_v3"))
    assert mb(own, "features of inception_v3") == (0, 2) and "Nothing has to be fetched." in own


def test_the_encoders_whose_features_are_counted_are_those_of_the_notebooks():
    used = set()
    for file in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"):
        used |= set(re.findall(r'"ENCODER = \\"(\w+)\\"', file.read_text(encoding="utf-8")))
    assert used == set(needs.NOTEBOOKS)


def test_what_was_removed_is_in_the_cost(server, mb):
    originals.serve_coco(server)
    for record in prepared(project("coco2014"), delete_zips=True).records[:7]:
        record.file.unlink()
    assert mb(datasets.cost(project("coco2014")), "7 photos") == (1, 1)
    originals.serve_flickr8k(server)
    prepared(project("flickr8k"), delete_zips=True).records[3].file.unlink()
    assert mb(datasets.cost(project("flickr8k")), "flickr8k-photos")[0] == 1115
