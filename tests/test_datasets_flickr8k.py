"""Flickr8k: two caption files with the same captions, official lists, and the traps in both."""

import json
import shutil

import pytest

from captioning.datasets.dataset import DatasetError
from captioning.datasets.flickr import flickr8k
from tests.originals import REAL, counts_of, needs_real, photo, splits_of

LISTS = flickr8k.lists
FLICKR = {
    "1_a.jpg": ["A dog , running .", "Two\u2028dogs\x0bplay ."],
    "2_b.jpg": ["A child ."],
    "3_c.jpg": ['A sign says "stop" , twice .', "A sign ."],
    "4_d.jpg": ["In no official split ."],
    "2258277193_586949ec62.jpg.1": ["A photo that does not exist ."],
}


@pytest.fixture
def flickr_root(tmp_path):
    text = tmp_path / "Flickr8k_text"
    text.mkdir()
    for name in FLICKR:
        if not name.endswith(".1"):
            photo(tmp_path / "Flicker8k_Dataset" / name)
    rows = [f"{name}#{number}\t{caption}\n" for name, texts in FLICKR.items() for number, caption in enumerate(texts)]
    (text / "Flickr8k.token.txt").write_text("".join(rows), encoding="utf-8")
    for split, name in (("train", "1_a.jpg"), ("val", "2_b.jpg"), ("test", "3_c.jpg")):
        (text / LISTS[split]).write_text(f"{name}\n")
    return tmp_path


def kaggle(root):
    """Write the captions as Kaggle gives them, and remove the official file."""
    (root / "Flickr8k_text" / "Flickr8k.token.txt").unlink()
    lines = ["image,caption", '1_a.jpg,"A dog , running ."', '1_a.jpg,"Two\ndogs play ."', "2_b.jpg,A child ."]
    lines += ['3_c.jpg,"A sign says ""stop"" , twice ."', "3_c.jpg,A sign .", "4_d.jpg,In no official split ."]
    (root / "Flickr8k_text" / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def test_flickr8k(flickr_root):
    dataset = flickr8k.read(flickr_root)
    assert splits_of(dataset) == {"1_a": "train", "2_b": "val", "3_c": "test"}
    assert dataset.captions("train") == ["A dog , running .", "Two dogs play ."]
    assert dataset.captions("test") == ['A sign says "stop" , twice .', "A sign ."]
    expected = {"photos in no official split": 1, "captions of photos that do not exist": 1}
    assert expected.items() <= counts_of(dataset).items() and dataset.splits_from == "official lists"
    assert dataset.findings["other numbers than in the release"][:2] == (
        "photos: 4 of 8,091",
        "listed for train: 1 of 6,000",
    )


def test_the_captions_of_kaggle_are_the_same(flickr_root):
    official = flickr8k.read(flickr_root)
    assert flickr8k.read(kaggle(flickr_root)).records == official.records


def test_kaggle_without_the_lists_is_in_no_split_yet(flickr_root):
    kaggle(flickr_root)
    for name in LISTS.values():
        (flickr_root / "Flickr8k_text" / name).unlink()
    assert splits_of(flickr8k.read(flickr_root)) == {"1_a": "", "2_b": "", "3_c": "", "4_d": ""}


def test_windows_line_ends_blank_lines_and_a_byte_order_mark(flickr_root):
    official = flickr8k.read(flickr_root)
    for file in (flickr_root / "Flickr8k_text").iterdir():
        lines = file.read_text(encoding="utf-8").replace("\n", "\r\n")
        file.write_bytes(b"\xef\xbb\xbf" + lines.encode() + b"\r\n")
    assert flickr8k.read(flickr_root) == official


def test_a_listed_photo_that_does_not_exist_is_counted(flickr_root):
    with (flickr_root / "Flickr8k_text" / LISTS["train"]).open("a") as file:
        file.write("2258277193_586949ec62.jpg.1\n")
    dataset = flickr8k.read(flickr_root)
    assert len(dataset.records) == 3
    expected = {"annotated photos that are not on disk": 1, "photos in no official split": 1}
    assert expected.items() <= counts_of(dataset).items()
    assert "captions of photos that do not exist" not in dataset.findings


@pytest.mark.parametrize("name", [*LISTS.values(), "Flickr8k.token.txt"])
def test_a_missing_text_file_is_named(name, flickr_root):
    (flickr_root / "Flickr8k_text" / name).unlink()
    with pytest.raises(DatasetError, match=f"{name} is missing: it belongs to the Flickr8k text release"):
        flickr8k.read(flickr_root)


def test_no_photo_folder(flickr_root):
    shutil.rmtree(flickr_root / "Flicker8k_Dataset")
    with pytest.raises(
        DatasetError, match=r"holds no photo folder; looked for Flicker8k_Dataset.* holds Flickr8k_text"
    ):
        flickr8k.read(flickr_root)


@pytest.mark.parametrize(
    "moves",
    [
        {"Flicker8k_Dataset": "Flicker8k_Dataset/Flicker8k_Dataset"},
        {"Flicker8k_Dataset": "Flickr8k/Images/Images", "Flickr8k_text": "Flickr8k/Flickr8k_text"},
        {"Flicker8k_Dataset": "archive/images", "Flickr8k_text": "Flickr8k_text/Flickr8k_text"},
        {"Flicker8k_Dataset": "my photos"},
        *({"Flicker8k_Dataset": name} for name in flickr8k.folders[1:]),
    ],
)
def test_doubled_folders_and_zips_in_folders_of_their_own(moves, flickr_root):
    official = {record.image_id: record.captions for record in flickr8k.read(flickr_root).records}
    for before, after in moves.items():
        (flickr_root / before).rename(flickr_root / "moving")
        (flickr_root / after).parent.mkdir(parents=True, exist_ok=True)
        (flickr_root / "moving").rename(flickr_root / after)
    photo(flickr_root / "__MACOSX" / "Images" / "._1_a.jpg")
    dataset = flickr8k.read(flickr_root)
    assert {record.image_id: record.captions for record in dataset.records} == official
    assert all(record.file.is_file() for record in dataset.records)


def test_the_official_text_comes_before_kaggles(flickr_root):
    official = flickr8k.read(flickr_root)
    (flickr_root / "captions.txt").write_text("image,caption\n1_a.jpg,Another.\n")
    assert flickr8k.read(flickr_root) == official and flickr8k.read(flickr_root).splits_from == "official lists"


@pytest.mark.parametrize("split, ok", [(None, True), ("mine", False), ("test", False)])
def test_karpathys_splits_are_looked_at(split, ok, flickr_root):
    kaggle(flickr_root)
    for name in LISTS.values():
        (flickr_root / "Flickr8k_text" / name).unlink()
    rows = [
        ("1_a.jpg", "train"),
        ("2_b.jpg", "Validation"),
        ("3_c.jpg", "test"),
        ("1_a.jpg" if split else "4_d.jpg", split),
    ]
    images = [{"filename": name, "split": part, "sentences": [{"raw": "A."}]} for name, part in rows]
    (flickr_root / "dataset_flickr8k.json").write_text(json.dumps({"images": images}))
    if ok:
        assert splits_of(flickr8k.read(flickr_root)) == {"1_a": "train", "2_b": "val", "3_c": "test"}
    else:
        with pytest.raises(
            DatasetError, match=r"dataset_flickr8k\.json a photo is in two splits, or a split is none of"
        ):
            flickr8k.read(flickr_root)


def test_a_photo_in_two_lists_is_an_error(flickr_root):
    (flickr_root / "Flickr8k_text" / LISTS["val"]).write_text("1_a.jpg\n2_b.jpg\n")
    with pytest.raises(DatasetError, match=r"devImages\.txt and .* a photo is in two splits"):
        flickr8k.read(flickr_root)


def test_the_bad_lines_of_kaggles_file_are_named_together(flickr_root):
    file = kaggle(flickr_root) / "Flickr8k_text" / "captions.txt"
    file.write_text(file.read_text() + '1_a.jpg,A dog, fast\n2_b.jpg,"Stop sign\n3_c.jpg,A dog.\n')
    with pytest.raises(
        DatasetError, match=r"(?s)captions\.txt, 2 lines .*line 9: 3 instead of 2.*line 10: a quote that"
    ):
        flickr8k.read(flickr_root)


def test_rows_without_an_ending_or_in_another_letter_case_keep_their_split(flickr_root):
    file = kaggle(flickr_root) / "Flickr8k_text" / "captions.txt"
    file.write_text(file.read_text().replace("1_a.jpg", "Images/1_A.JPG").replace("2_b.jpg", "2_b"))
    dataset = flickr8k.read(flickr_root)
    assert {str(r.image_id).lower(): r.split for r in dataset.records} == {"1_a": "train", "2_b": "val", "3_c": "test"}


@needs_real
def test_the_real_flickr8k(tmp_path):
    dataset = flickr8k.read(REAL / "flickr8k")
    assert len(dataset.records) == 1053 - 10 and all(len(record.captions) == 5 for record in dataset.records)
    expected = {
        "photos in no official split": 10,
        "captions of photos that do not exist": 5 * (8092 - 8000 - 10),
        "annotated photos that are not on disk": 8000 - 1043,
    }
    assert expected.items() <= counts_of(dataset).items()
    assert "photos: 1,053 of 8,091" in dataset.findings["other numbers than in the release"]
    assert not any(line.startswith("listed") for line in dataset.findings["other numbers than in the release"])
    for name in ("Flicker8k_Dataset", "Flickr8k_text"):
        (tmp_path / name).mkdir(exist_ok=True)
    for file in (REAL / "flickr8k" / "Flickr8k_text").iterdir():
        if file.name != "Flickr8k.token.txt":
            (tmp_path / "Flickr8k_text" / file.name).symlink_to(file)
    (tmp_path / "Flicker8k_Dataset").rmdir()
    (tmp_path / "Flicker8k_Dataset").symlink_to(REAL / "flickr8k" / "Flicker8k_Dataset")
    kaggle_records = {record.image_id: record.captions for record in flickr8k.read(tmp_path).records}
    official = {record.image_id: record.captions for record in dataset.records}
    assert kaggle_records.keys() == official.keys()
    different = [name for name in official if kaggle_records[name] != official[name]]
    assert not different, (len(different), [(official[n], kaggle_records[n]) for n in different[:2]])
