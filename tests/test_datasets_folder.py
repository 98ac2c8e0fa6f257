"""A folder of one's own photos: the layouts that people have, and what is wrong in such folders."""

import json
import re
import shutil

import pytest

from captioning.datasets import folder
from captioning.datasets.dataset import DatasetError
from captioning.files import DamagedError
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


def test_what_is_wrong_is_listed(root):
    (root / "holidays" / "silent.png").write_bytes(originals.jpeg(1))
    (root / "IMG_1.DNG").write_bytes(b"")
    (root / "folder.jpg").mkdir()
    (root / "more").mkdir()
    (root / "more" / "000.jpg").write_bytes(originals.jpeg(7))
    long = " ".join(["word"] * 51)
    rows = ["lost.jpg,A.", "IMG_1.DNG,A.", "folder.jpg,A.", "000.jpg,Which one?", "../x.jpg,A.", "more/000.jpg,This."]
    rows += [
        f"001.jpg,{long}",
        "001.jpg,Twice.",
        "holidays/001.jpg,Twi\u200bce.",
        "002.jpg,",
        "003.jpg,<start> A. <end>",
    ]
    first = 1 + len((root / "captions.csv").read_text().splitlines())
    add(root, *rows)
    dataset = folder.read(root)
    place = {row.split(",")[0]: f"captions.csv, line {number}: " for number, row in enumerate(rows, start=first)}
    found = dict(dataset.findings)
    assert found.pop("rows without a photo") == (place["lost.jpg"] + "lost.jpg",)
    assert found.pop("rows with a photo in a format that is not read")[0].startswith(place["IMG_1.DNG"] + "IMG_1.DNG (")
    assert found.pop("rows that name a folder") == (place["folder.jpg"] + "folder.jpg (folder.jpg)",)
    (several,) = found.pop("rows that may mean several photos")
    assert several.startswith(place["000.jpg"] + "000.jpg (more/000.jpg or holidays/000.jpg")
    assert found.pop("rows that name a file outside of the folder")[0].startswith(place["../x.jpg"] + "../x.jpg (only")
    assert found.pop("pictures in a format that is not read")[0].startswith("IMG_1.DNG: convert it to JPEG")
    assert found.pop("photos without a caption") == ("holidays/silent.png",)
    assert place["holidays/001.jpg"] + "holidays/001.jpg: Twice." in found.pop("duplicate rows")
    assert found.pop("captions with invisible characters, which were dropped")[0].startswith(place["holidays/001.jpg"])
    assert found.pop("empty captions") == (place["002.jpg"] + '""',)
    assert found.pop("captions with markers of other programs at their ends, which were dropped")
    assert found.pop("captions of more than 50 words") == (f"holidays/001.jpg: {long}",) and not found
    assert captions_of(dataset)["more/000.jpg"] == ("This.",) and long in captions_of(dataset)["holidays/001.jpg"]
    assert "lost.jpg" in dataset.report() and "silent.png" in dataset.report(most=5)


@pytest.mark.parametrize(
    "file, header, row",
    [
        ("captions.txt", "image,caption", "000.jpg,A dog."),
        ("captions.tsv", "image\tcaption", "000.jpg\tA dog."),
        ("results.csv", "image_name| comment_number| comment", "000.jpg| 0| A dog."),
        ("metadata.csv", "file_name,text", "000.jpg,A dog."),
        ("metadata.jsonl", "", '{"file_name": "holidays/000.jpg", "text": "A dog."}'),
        ("captions.jsonl", "", '{"image": "holidays\\\\000.jpg", "caption": "A dog."}'),
        ("captions.token", "", "000.jpg#0\tA dog."),
        ("deep/er/captions.csv", "image,caption", "000.jpg,A dog."),
        ("Captions.JSON", "\ufeff", json.dumps({
            "images": [{"id": 1, "file_name": "x\\000.jpg"}, {"id": 2, "file_name": 5}],
            "annotations": [{"image_id": 1, "caption": "A dog."}, {"image_id": 1, "caption": None}, {"image_id": 9}],
        })),
    ],
)  # fmt: skip
def test_the_files_that_people_have(file, header, row, root):
    (root / "captions.csv").unlink()
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(f"{header}\n{row}\n".lstrip("\n") if file != "Captions.JSON" else header + row)
    assert captions_of(folder.read(root)) == {"holidays/000.jpg": ("A dog.",)}


def test_a_metadata_file_for_each_split(tmp_path):
    for part in ("train", "validation", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "0.jpg").write_bytes(part.encode())
        rows = [
            {"file_name": "0.jpg", "text": part},
            {"file_name": "0.jpg", "text": None},
            {"file_name": "1.jpg", "text": "A."},
        ]
        (tmp_path / part / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = folder.read(tmp_path)
    assert {r.image_id: (r.captions, r.split) for r in dataset.records} == {
        "train/0.jpg": (("train",), "train"),
        "validation/0.jpg": (("validation",), "val"),
        "test/0.jpg": (("test",), "test"),
    }
    assert "test/metadata.jsonl, line 2: null" in dataset.findings["captions that are not text, left out"]
    assert "test/metadata.jsonl, line 3: test/1.jpg" in str(dataset.findings["rows without a photo"])
    assert len(dataset.sources) == 3 and dataset.splits_from == "captions file"


def test_splits_of_ones_own(root):
    names = ("train", "train", "train", "train", "val", "test")
    rows = [f"{number:03d}.jpg,A photo.,{name}" for number, name in enumerate(names)]
    (root / "captions.csv").write_text("\n".join(["Image, Caption ,SPLIT", *rows]) + "\n")
    dataset = folder.read(root)
    assert sorted(record.split for record in dataset.records) == sorted(names)


@pytest.mark.parametrize("caption", ["Another.", "A."])  # the same caption is no duplicate there
@pytest.mark.parametrize("other", ["test", ""])
def test_a_photo_in_two_splits_is_named_with_both_lines(caption, other, root):
    (root / "captions.csv").write_text(f"image,caption,split\n000.jpg,A.,train\n000.jpg,{caption},{other}\n")
    message = rf"captions\.csv, .*line 3: holidays/000\.jpg is of {other or 'no split'}, in line 2 of train"
    with pytest.raises(DatasetError, match=re.compile(message, re.DOTALL)):
        folder.read(root)


@pytest.mark.parametrize(
    "rows, message",
    [
        ("image,caption,split\n000.jpg,A.,mine\n", "line 2: unknown split 'mine'; known: train, val, test"),
        ("image,caption,split\n000.jpg,A.,1\n", "line 2: unknown split '1'; known: train, val, test"),
        ("image,caption,split\n000.jpg,A.,train\n001.jpg,A.,\n", "line 3: some rows have a split and some have none"),
        (
            "image,caption\nno.jpg,A.\n",
            r"no usable picture to train on.*rows without a photo: captions\.csv, line 2: no",
        ),
    ],
)
def test_rows_that_cannot_be_used(rows, message, root):
    (root / "captions.csv").write_text(rows)
    with pytest.raises(DatasetError, match=re.compile(message, re.DOTALL)):
        folder.read(root)


def test_a_captions_json_of_ones_own_is_not_to_be_deleted(root):
    (root / "captions.csv").unlink()
    (root / "captions.json").write_text("{")
    with pytest.raises(
        DamagedError, match=r"captions\.json is damaged .*Save it as JSON in UTF-8; .*captions\.jsonl\.$"
    ):
        folder.read(root)


def test_no_captions_and_too_many_files_of_them(root):
    (root / "captions.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"holds captions\.csv and captions\.json: join them, keep one"):
        folder.read(root)
    (root / "captions.json").unlink()
    for part in ("one", "two"):
        (root / part).mkdir()
        (root / part / "captions.csv").write_text("image,caption\n000.jpg,A.\n")
    (root / "captions.csv").unlink()
    with pytest.raises(DatasetError, match=r"holds one/captions\.csv and two/captions\.csv: join them, keep one"):
        folder.read(root)
    shutil.rmtree(root / "one")
    shutil.rmtree(root / "two")
    (root / "captions.bak").touch()
    for number in range(9):
        (root / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(
        DatasetError,
        match=r"holds none of captions\.csv, .* holds captions\.bak, holidays, 0\.jpg, .*first line `image,caption`",
    ):
        folder.read(root)
