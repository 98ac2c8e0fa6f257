"""Flickr30k: in the layouts of the release, of Kaggle and of Hugging Face; where to get it."""

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


def quoted(text):
    return '"{}"'.format(text.replace('"', '""'))


IMAGES = [
    {"filename": name, "split": split, "sentences": [{"raw": text} for text in CAPTIONS[name]]}
    for name, split in KARPATHY.items()
]
TABLE = [f"{quoted(json.dumps(texts))},{KARPATHY[name]},{name}\n" for name, texts in CAPTIONS.items()]
# File of captions -> what is in it, and the folder of the photos.
LAYOUTS = {
    "results_20130124.token": ("".join(f"{name}#{n}\t{text}\n" for name, n, text in ROWS), "flickr30k-images"),
    "flickr30k_images/results.csv": (
        "image_name| comment_number| comment\n" + "".join(f"{name}| {n}| {text}\n" for name, n, text in ROWS),
        "flickr30k_images/flickr30k_images",
    ),
    "flickr_annotations_30k.csv": ("raw,split,filename\n" + "".join(TABLE), "flickr30k-images"),
    "captions.txt": ("image,caption\n" + "".join(f"{name},{quoted(text)}\n" for name, _, text in ROWS), "Images"),
    "dataset_flickr30k.json": (json.dumps({"images": IMAGES, "dataset": "flickr30k"}), "flickr30k-images"),
}


def write(root, layout, *others):
    """Write photos and captions in a layout, and the captions' files of others."""
    photos = root / LAYOUTS[layout][1]
    photos.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (photos / name).write_bytes(jpeg(number))
    for file in (layout, *others):
        (root / file).write_text(LAYOUTS[file][0])
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_captions_and_karpathys_splits(layout, tmp_path):
    dataset = flickr30k.read(write(tmp_path, layout, "dataset_flickr30k.json"))
    assert splits_of(dataset) == {name[:-4]: split for name, split in KARPATHY.items()}
    assert {record.file.name: [*record.captions] for record in dataset.records} == CAPTIONS
    assert all(record.file.is_file() for record in dataset.records) and dataset.name == "flickr30k"
    own = layout == "flickr_annotations_30k.csv"  # whose splits stand in the captions' own file
    assert dataset.splits_from == (layout if own else "dataset_flickr30k.json")
    found = dataset.findings["other numbers than in the release"]
    assert found[0] == "photos: 10 of 31,783" and "listed for val: 2 of 1,014" in found


def test_without_karpathys_file_the_splits_are_ours(tmp_path):
    dataset = flickr30k.read(write(tmp_path, "results_20130124.token"))
    assert set(splits_of(dataset).values()) == {""} and len(dataset.records) == 10


def test_photos_that_karpathy_leaves_out_are_listed(tmp_path):
    root = write(tmp_path, "flickr30k_images/results.csv", "dataset_flickr30k.json")
    content = json.loads((root / "dataset_flickr30k.json").read_text())
    content["images"] = content["images"][1:]
    (root / "dataset_flickr30k.json").write_text(json.dumps(content))
    dataset = flickr30k.read(root)
    assert dataset.findings["photos in no official split"] == (NAMES[0],) and len(dataset.records) == 9


def test_notebook_01_reads_a_folder_and_tells_where_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path / "home"))
    with pytest.raises(SettingError, match=r"ROOT is not set.*DenotationGraph.*results_20130124\.token.*dataset_fl"):
        prepare.obtain(choose("flickr30k"))
    active = choose("flickr30k", root=str(write(tmp_path, "flickr30k_images/results.csv", "dataset_flickr30k.json")))
    assert "Nothing has to be fetched." in prepare.cost(active) and active.name == "flickr30k"
    assert len(prepared(active).records) == 10 and prepare.load(active).splits_from == "dataset_flickr30k.json"
