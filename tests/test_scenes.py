"""Drawn scenes: layout, splits, truth, and drawing again, also after a kill."""

import hashlib
import itertools
import json
import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.datasets.dataset import DatasetError
from captioning.datasets.scenes import scenes
from captioning.datasets.scenes.captions import describe
from captioning.datasets.scenes.objects import render
from captioning.datasets.scenes.plan import COLOURS, OBJECTS, PLACES, SIZE, UNSEEN, plan
from captioning.datasets.scenes.scenes import draw

COUNTS = {"train": 40, "val": 2, "test": 8}
RECORDS = ("annotations/captions_scenes.json", "splits.json", "truth.json")


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def all_bytes(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawing") / "scenes"
    draw(folder, **COUNTS, seed=0)
    return folder


@pytest.fixture(scope="module")
def full():
    """The composition of a drawing of the usual size; no pixels."""
    return plan(train=1500, val=200, test=200, seed=0)


@pytest.fixture(scope="module")
def records(full):
    """Captions, splits and truth of that drawing."""
    return scenes._records(full)


def triples(scene):
    return [(scene.place, item.object, item.colour) for item in scene.items]


# Layout and splits


def test_coco_layout(folder):
    coco, splits = read(folder, RECORDS[0]), read(folder, "splits.json")
    assert [image["id"] for image in coco["images"]] == list(range(1, 51))
    for image in coco["images"]:
        assert image["file_name"] == f"{image['id']:012d}.jpg"
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert picture.format == "JPEG" and picture.mode == "RGB"
            assert picture.size == (image["width"], image["height"]) == (SIZE, SIZE)
    assert len(list((folder / "images").iterdir())) == 50
    assert [annotation["id"] for annotation in coco["annotations"]] == list(range(1, 5 * 50 + 1))
    assert set(Counter(a["image_id"] for a in coco["annotations"]).values()) == {5}
    assert {split: len(ids) for split, ids in splits.items()} == COUNTS
    assert sorted(itertools.chain(*splits.values())) == list(range(1, 51))
    assert list(read(folder, "truth.json")) == [str(i) for i in range(1, 51)]


def test_unseen_triples_are_a_tenth_and_in_test_only(full):
    everything = set(itertools.product(PLACES, OBJECTS, COLOURS))
    by_split = {split: Counter() for split in COUNTS}
    for scene in full:
        by_split[scene.split].update(triples(scene))
    held_out = everything - set(by_split["train"])
    assert held_out == set(UNSEEN) and len(held_out) * 10 == len(everything)
    assert not held_out & set(by_split["val"])
    assert held_out <= set(by_split["test"])
    assert set(Counter(place for place, _, _ in held_out).values()) == {4}
    assert len({(name, colour) for _, name, colour in held_out}) == len(held_out)


def test_unseen_pictures_are_marked(full, records):
    _, splits, truth = records
    marked = {int(image_id) for image_id, entry in truth.items() if any(o["unseen"] for o in entry["objects"])}
    assert marked == {scene.image_id for scene in full if set(triples(scene)) & set(UNSEEN)}
    assert marked <= set(splits["test"])
    assert len(marked) >= 40 and len(splits["test"]) - len(marked) >= 120
    on_the_left = [triples(s)[0] in UNSEEN for s in full if any(map(s.is_unseen, s.items)) and len(s.items) == 2]
    assert 0.25 < np.mean(on_the_left) < 0.85


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_smallest_train_split_shows_every_place_object_and_colour(seed):
    train = [scene for scene in plan(40, 0, 0, seed) if scene.split == "train"]
    assert {scene.place for scene in train} == set(PLACES)
    pairs = {(item.object, item.colour) for scene in train for item in scene.items}
    assert pairs == set(itertools.product(OBJECTS, COLOURS))
    assert not {triple for scene in train for triple in triples(scene)} & set(UNSEEN)


def test_truth_is_what_was_composed(full, records):
    _, _, truth = records
    for scene in full:
        entry = truth[str(scene.image_id)]
        assert entry["place"] == scene.place
        expected = sorted(scene.items, key=lambda item: item.box[0])
        assert entry["objects"] == [
            {"object": i.object, "colour": i.colour, "unseen": (scene.place, i.object, i.colour) in UNSEEN}
            | {"box": [edge / 256 for edge in i.box]}
            for i in expected
        ]
        for left, top, right, bottom in (thing["box"] for thing in entry["objects"]):
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        assert entry["place_colours"] == (["green"] if scene.place == "meadow" else [])


def test_every_record_has_its_own_captions_split_and_truth(folder):
    dataset = scenes.read(folder)
    assert len(dataset.records) == 50
    truth, splits = read(folder, "truth.json"), read(folder, "splits.json")
    planned = {scene.image_id: scene for scene in plan(**COUNTS, seed=0)}
    for record in dataset.records:
        assert record.truth == truth[str(record.image_id)] and record.image_id in splits[record.split]
        assert record.file.name == f"{record.image_id:012d}.jpg" and record.file.is_file()
        scene = planned[record.image_id]
        assert list(record.captions) == describe(scene) and record.truth["place"] == scene.place


def test_a_drawing_that_is_not_finished_or_was_changed_is_refused(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"no finished drawing: run 01_download"):
        scenes.read(tmp_path)
    changed = shutil.copytree(folder, tmp_path / "changed")
    (changed / "truth.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"lack picture .* Delete images/"):
        scenes.read(changed)


def test_too_few_train_pictures():
    with pytest.raises(ValueError, match="train >= 40"):
        plan(39, 1, 1, 0)
    with pytest.raises(ValueError, match="test=-1"):
        plan(40, 1, -1, 0)


# Writing


def test_same_bytes_again_and_other_scenes_for_another_seed(folder, tmp_path):
    draw(tmp_path / "again", **COUNTS, seed=0)
    assert all_bytes(tmp_path / "again") == all_bytes(folder)
    assert scenes._records(plan(*COUNTS.values(), seed=1))[0] != read(folder, RECORDS[0])


@pytest.mark.parametrize(
    "names, expected",
    [
        (RECORDS[:2], "e04a9f3abc4cfb4670e0e3e1b74fa070807f8560fc74e7de97d7fdc92e76e974"),
        (RECORDS[2:], "cf9066c3928a7d56af1bbe16483ab2bc3ec40be7403d62cc73e7e262ffa3b73a"),
    ],
    ids=["captions and splits", "truth"],
)
def test_records_are_the_same_on_every_machine(folder, names, expected):
    """Trained models depend on captions and splits: they outlive a version that only tells more of the truth."""
    assert hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest() == expected


def broken(monkeypatch, after):
    """Let the drawing stop with an exception after some pictures."""
    calls = itertools.count(1)

    def stop(scene):
        if next(calls) > after:
            raise KeyboardInterrupt
        return render(scene)

    monkeypatch.setattr(scenes, "render", stop)


def counted(monkeypatch):
    """Count the pictures that are drawn from here on."""
    drawn = []
    monkeypatch.setattr(scenes, "render", lambda scene: drawn.append(scene.image_id) or render(scene))
    return drawn


def test_finished_drawing_costs_nothing(folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("drew or wrote again")

    for work in ("render", "plan", "write_json"):
        monkeypatch.setattr(scenes, work, refuse)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    draw(folder, **COUNTS, seed=0)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_continues_after_a_kill(folder, tmp_path, monkeypatch):
    broken(monkeypatch, after=20)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path, **COUNTS, seed=0)
    there = {int(path.stem) for path in (tmp_path / "images").glob("*.jpg")}
    assert not any((tmp_path / name).exists() for name in RECORDS) and len(there) == 20
    drawn = counted(monkeypatch)
    draw(tmp_path, **COUNTS, seed=0)
    assert sorted(drawn) == sorted(set(range(1, 51)) - there)  # threads finish in any order
    assert all_bytes(tmp_path) == all_bytes(folder)


def test_kill_while_writing_leaves_no_half_picture(tmp_path, monkeypatch):
    def half(scene):
        picture = render(scene)
        picture.save = lambda path, *_, **__: (Path(path).write_bytes(b"half"), 1 / 0)
        return picture

    monkeypatch.setattr(scenes, "render", half)
    with pytest.raises(ZeroDivisionError):
        draw(tmp_path, 40, 0, 0)
    assert not list(tmp_path.rglob("*.jpg"))


def test_other_parameters_replace_a_drawing_even_after_a_kill(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "render", lambda scene: Image.new("RGB", (8, 8)))
    draw(tmp_path, 50, 10, 10, seed=5)
    broken(monkeypatch, after=3)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path, **COUNTS, seed=0)
    assert len(list((tmp_path / "images").iterdir())) == 3
    drawn = counted(monkeypatch)
    draw(tmp_path, **COUNTS, seed=0)
    assert len(drawn) == 47 and all_bytes(tmp_path) == all_bytes(folder)


def test_missing_picture_is_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "render", lambda scene: Image.new("RGB", (8, 8)))
    draw(tmp_path, 40, 0, 0)
    (tmp_path / "images" / "000000000007.jpg").unlink()
    drawn = counted(monkeypatch)
    draw(tmp_path, 40, 0, 0)
    assert drawn == [7]


def test_drafts_that_a_kill_has_left_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "render", lambda scene: Image.new("RGB", (8, 8)))
    draft = tmp_path / "images" / "partial-1-000000000007.jpg"
    draft.parent.mkdir()
    draft.write_bytes(b"half")
    draw(tmp_path, 40, 0, 0)
    assert not draft.exists() and len(list(draft.parent.iterdir())) == 40


def test_of_two_processes_one_waits_and_draws_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "render", lambda scene: (drawn.append(scene.image_id), Image.new("RGB", (8, 8)))[1])
    drawn = []
    threads = [threading.Thread(target=draw, args=(tmp_path, 40, 0, 0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(drawn) == list(range(1, 41))


@pytest.mark.parametrize("name", ["images/000000000001.jpg", "splits.json"])
def test_foreign_files_are_never_replaced(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="choose another folder"):
        draw(tmp_path, 40, 0, 0)
    assert all_bytes(tmp_path) == {name: b"mine"}


def test_damaged_parameters_are_named(tmp_path):
    (tmp_path / "scenes.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"scenes\.json is damaged"):
        draw(tmp_path, 40, 0, 0)
