"""A folder of one's own photos: three layouts, and everything that is wrong in such folders."""

import json

import pytest

from captioning.datasets import folder
from captioning.datasets.dataset import DatasetError
from tests import originals


@pytest.fixture
def root(tmp_path):
    originals.write_folder(tmp_path / "own", photos=6)
    return tmp_path / "own"


def add(root, *lines):
    with (root / "captions.csv").open("a", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def captions_of(dataset):
    return {record.image_id: record.captions for record in dataset.records}


def test_csv(root):
    dataset = folder.read(root)
    assert set(captions_of(dataset)) == {f"holidays/{number:03d}.jpg" for number in range(6)}
    assert all(r.split == "" and r.file.is_file() and len(set(r.captions)) == len(r.captions) for r in dataset.records)
    assert "rows without a photo" not in dataset.findings


def test_json_lines_and_coco_give_the_same(root):
    by_csv = captions_of(folder.read(root))
    (root / "captions.csv").unlink()
    rows = [{"image": image, "caption": text} for image, texts in by_csv.items() for text in texts]
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert captions_of(folder.read(root)) == by_csv
    (root / "captions.jsonl").unlink()
    images = [{"id": number, "file_name": image} for number, image in enumerate(by_csv)]
    annotations = [
        {"image_id": number, "caption": text} for number, texts in enumerate(by_csv.values()) for text in texts
    ]
    (root / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    assert captions_of(folder.read(root)) == by_csv


def test_quotes_commas_line_breaks_and_a_byte_order_mark(root):
    rows = 'image,caption\n000.jpg,"A sign says ""stop"", twice."\n001.jpg,"Two\nlines"\n./holidays/002.jpg,Ein Café\n'
    (root / "captions.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert captions_of(folder.read(root)) == {
        "holidays/000.jpg": ('A sign says "stop", twice.',),
        "holidays/001.jpg": ("Two lines",),
        "holidays/002.jpg": ("Ein Café",),
    }


def test_what_is_wrong_is_listed(root):
    (root / "holidays" / "silent.png").write_bytes(originals.jpeg(1))
    long = " ".join(["word"] * 51)
    add(root, "lost.jpg,A photo that is not here.", f"000.jpg,{long}", "001.jpg,Twice.", "holidays/001.jpg,Twice.")
    dataset = folder.read(root)
    assert dataset.findings["rows without a photo"] == ("lost.jpg",)
    assert dataset.findings["photos without a caption"] == ("holidays/silent.png",)
    assert "holidays/001.jpg: Twice." in dataset.findings["duplicate rows"]
    assert dataset.findings["captions of more than 50 words"] == (f"holidays/000.jpg: {long}",)
    assert long in captions_of(dataset)["holidays/000.jpg"]
    assert "lost.jpg" in dataset.report() and "silent.png" in dataset.report(most=5)


def test_a_name_that_two_photos_have_must_be_a_path(root):
    (root / "more").mkdir()
    (root / "more" / "000.jpg").write_bytes(originals.jpeg(7))
    add(root, "000.jpg,Which one?", "more/000.jpg,This one.")
    dataset = folder.read(root)
    assert dataset.findings["rows without a photo"] == ("000.jpg",)
    assert captions_of(dataset)["more/000.jpg"] == ("This one.",)


def test_splits_of_ones_own(root):
    names = ("train", "train", "train", "train", "val", "test")
    rows = [f"{number:03d}.jpg,A photo.,{name}" for number, name in enumerate(names)]
    (root / "captions.csv").write_text("\n".join(["Image, Caption ,SPLIT", *rows]) + "\n")
    dataset = folder.read(root)
    assert sorted(record.split for record in dataset.records) == sorted(names)
    add(root, "000.jpg,Another.,test")
    with pytest.raises(DatasetError, match=r"puts holidays/000\.jpg into two splits"):
        folder.read(root)


@pytest.mark.parametrize(
    "rows, message",
    [
        ("image,caption,split\n000.jpg,A.,dev\n", "unknown split 'dev'; known: train, val, test"),
        ("image,caption,split\n000.jpg,A.,train\n001.jpg,A.,\n", "some rows have a split and some have none"),
        ("photo,text\n000.jpg,A.\n", r"row 1: `image` and `caption` are needed, found \['photo', 'text'\]"),
        ("image,caption\n000.jpg\n", "row 1: `image` and `caption` are needed"),
        ("image,caption\nno.jpg,A.\n", "no usable picture to train on"),
    ],
)
def test_rows_that_cannot_be_used(rows, message, root):
    (root / "captions.csv").write_text(rows)
    with pytest.raises(DatasetError, match=message):
        folder.read(root)


def test_a_line_that_is_no_json(root):
    (root / "captions.csv").unlink()
    (root / "captions.jsonl").write_text('{"image": "000.jpg", "caption": "A."}\n{"image": \n')
    with pytest.raises(DatasetError, match=r"captions\.jsonl, line 2: not JSON"):
        folder.read(root)
    (root / "captions.jsonl").write_text("[1]\n")
    with pytest.raises(DatasetError, match="`image` and `caption` are needed"):
        folder.read(root)


def test_no_captions_and_too_many_files_of_them(root):
    (root / "captions.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"holds captions\.csv and captions\.json: keep one"):
        folder.read(root)
    (root / "captions.json").unlink()
    (root / "captions.csv").write_bytes(b"image,caption\n000.jpg,\xff\n")
    with pytest.raises(DatasetError, match="not a text file in UTF-8"):
        folder.read(root)
    (root / "captions.csv").unlink()
    with pytest.raises(DatasetError, match=r"holds none of captions\.csv, .*first line `image,caption`"):
        folder.read(root)
