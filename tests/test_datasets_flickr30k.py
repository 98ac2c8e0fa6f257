"""Flickr30k: in the layouts of the release, of Kaggle and of Hugging Face; where to get it."""

import csv
import json

import pytest

from captioning.datasets import prepare
from captioning.datasets.flickr import flickr30k
from captioning.settings import SettingError, choose
from tests.obtaining.offered import prepared
from tests.originals import SPLITS, jpeg, splits_of

NAMES = [f"{number}00.jpg" for number in range(1, 11)]
CAPTIONS = {name: [f"A dog , number {name[:-4]} .", 'A sign says "stop" , twice .'] for name in NAMES}
KARPATHY = {name: SPLITS[number % 5] for number, name in enumerate(NAMES)}
ROWS = [(name, number, text) for name, texts in CAPTIONS.items() for number, text in enumerate(texts)]


def release(root):
    (root / "results_20130124.token").write_text("".join(f"{name}#{n}\t{text}\n" for name, n, text in ROWS))
    return root / "flickr30k-images"


def kaggle(root):
    (root / "flickr30k_images").mkdir()
    rows = "".join(f"{name}| {n}| {text}\n" for name, n, text in ROWS)
    (root / "flickr30k_images" / "results.csv").write_text(f"image_name| comment_number| comment\n{rows}")
    return root / "flickr30k_images" / "flickr30k_images"


def hugging_face(root):
    with (root / "flickr_annotations_30k.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["raw", "sentids", "split", "filename", "img_id"])
        for number, (name, texts) in enumerate(CAPTIONS.items()):
            table.writerow([json.dumps(texts), "[0, 1]", KARPATHY[name], name, number])
    return root / "flickr30k-images"


def another_kaggle(root):
    rows = "".join('{},"{}"\n'.format(name, text.replace('"', '""')) for name, _, text in ROWS)
    (root / "captions.txt").write_text(f"image,caption\n{rows}")
    return root / "Images"


def karpathy(root):
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": text} for text in CAPTIONS[name]]}
        for name, split in KARPATHY.items()
    ]
    (root / "dataset_flickr30k.json").write_text(json.dumps({"images": images, "dataset": "flickr30k"}))
    return root / "flickr30k-images"


LAYOUTS = [release, kaggle, hugging_face, another_kaggle, karpathy]


def write(root, layout, with_splits=True):
    photos = layout(root)
    photos.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (photos / name).write_bytes(jpeg(number))
    if with_splits:
        karpathy(root)
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_captions_and_karpathys_splits(layout, tmp_path):
    dataset = flickr30k.read(write(tmp_path, layout))
    assert splits_of(dataset) == {name[:-4]: split for name, split in KARPATHY.items()}
    assert {record.file.name: [*record.captions] for record in dataset.records} == CAPTIONS
    assert all(record.file.is_file() for record in dataset.records) and dataset.name == "flickr30k"
    table = layout is hugging_face  # the splits stand in the captions' own file
    assert dataset.splits_from == ("flickr_annotations_30k.csv" if table else "dataset_flickr30k.json")
    found = dataset.findings["other numbers than in the release"]
    assert found[0] == "photos: 10 of 31,783" and "listed for val: 2 of 1,014" in found


def test_without_karpathys_file_the_splits_are_ours(tmp_path):
    dataset = flickr30k.read(write(tmp_path, release, with_splits=False))
    assert set(splits_of(dataset).values()) == {""} and len(dataset.records) == 10


def test_photos_that_karpathy_leaves_out_are_listed(tmp_path):
    root = write(tmp_path, kaggle)
    content = json.loads((root / "dataset_flickr30k.json").read_text())
    content["images"] = content["images"][1:]
    (root / "dataset_flickr30k.json").write_text(json.dumps(content))
    dataset = flickr30k.read(root)
    assert dataset.findings["photos in no official split"] == (NAMES[0],) and len(dataset.records) == 9


def test_notebook_01_reads_a_folder_and_tells_where_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path / "home"))
    with pytest.raises(SettingError, match=r"ROOT is not set.*DenotationGraph.*results_20130124\.token.*dataset_fl"):
        prepare.obtain(choose("flickr30k"))
    active = choose("flickr30k", root=str(write(tmp_path, kaggle)))
    assert "Nothing has to be fetched." in prepare.cost(active) and active.name == "flickr30k"
    assert len(prepared(active).records) == 10 and prepare.load(active).splits_from == "dataset_flickr30k.json"
