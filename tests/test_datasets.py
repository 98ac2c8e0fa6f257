"""The sources give one and the same `CaptionDataset`, and say what is wrong with their files."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from captioning.datasets import prepare as datasets
from captioning.datasets.dataset import CaptionDataset, DatasetError, assemble
from captioning.datasets.records import Record
from captioning.settings import Project, SettingError
from tests import originals
from tests.obtaining.offered import prepared
from tests.originals import photo, splits_of
from tests.tiny import tiny_dataset


@pytest.fixture
def records(tmp_path):
    """Twenty records with photos, in the order of their ids."""
    splits = ("train", "train", "val", "test")
    return [
        Record(number, photo(tmp_path / "photos" / f"{number}.png"), (f"caption {number}",), splits[number % 4])
        for number in range(20)
    ]


def test_the_order_is_shuffled_but_fixed(records):
    dataset = assemble("any", records)
    ids = [record.image_id for record in dataset.records]
    assert ids != sorted(ids) and sorted(ids) == list(range(20))
    assert assemble("any", reversed(records)) == dataset
    assert ids[:8] == [9, 8, 13, 17, 10, 4, 3, 18]  # of SHA-256: the same on every machine


def test_the_order_does_not_depend_on_the_other_pictures(records):
    everything = [record.image_id for record in assemble("any", records).records]
    some = [record.image_id for record in assemble("any", records[:11]).records]
    assert some == [image_id for image_id in everything if image_id < 11]


def test_splits_are_disjoint_and_whole(records):
    dataset = assemble("any", records)
    parts = [dataset.split(name) for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [10, 5, 5]
    assert sorted(record.image_id for part in parts for record in part) == list(range(20))
    assert dataset.captions("val") == [f"caption {record.image_id}" for record in parts[1]]


def test_an_unknown_split_is_an_error(records):
    with pytest.raises(ValueError, match="Unknown split 'dev'; known: train, val, test"):
        assemble("any", records).split("dev")


def test_missing_photos_are_left_out_and_counted(records):
    records[3].file.unlink()
    records[4] = dataclasses.replace(records[4], file=Path("/no/such/folder/4.png"))
    dataset = assemble("any", records, {"photos in no split": ["a", "b"]})
    assert len(dataset.records) == 18 and not {3, 4} & splits_of(dataset).keys()
    assert dataset.findings == {
        "photos in no split": ("a", "b"),
        "annotated photos that are not on disk": (str(records[3].file), str(records[4].file)),
    }


def test_a_photo_without_a_caption_is_named(records):
    records[1] = dataclasses.replace(records[1], captions=())
    assert assemble("any", records).findings == {"photos without a caption": ("1",)}


def test_nothing_to_train_on_is_an_error(records):
    tests_only = [record for record in records if record.split == "test"]
    with pytest.raises(DatasetError, match="any: no usable picture to train on \\(3 photos in no split\\)"):
        assemble("any", tests_only, {"photos in no split": ["a", "b", "c"]})
    with pytest.raises(DatasetError, match="none was found"):
        assemble("any", [])


def test_photos_that_are_all_away_may_be_on_a_drive(records):
    shutil.rmtree(records[0].file.parent)
    with pytest.raises(
        DatasetError, match=f"20 annotated photos .* Looked for {records[0].file}: is a drive not mount"
    ):
        assemble("any", records)


# prepare and load


@pytest.fixture
def coco_root(tmp_path):
    return originals.write_coco(tmp_path / "coco", train2014=range(4), val2014=range(10, 16))


def test_the_report_is_beside_the_captions(coco_root, tmp_path):
    (coco_root / "val2014" / "11.jpg").write_bytes(b"broken")
    (coco_root / "val2014" / "12.jpg").unlink()
    project = Project("coco2014", root=str(coco_root), home=tmp_path / "home")
    checked = datasets.check(project, datasets.obtain(project))
    report = datasets.save(project, checked)
    assert report.parent == project.data and len(datasets.load(project).records) == 8
    assert originals.counts_of(checked) == {"annotated photos that are not on disk": 1, "broken photos": 1}
    assert "broken photos (1):" in report.read_text() and "11.jpg is not a picture" in report.read_text()


def test_the_same_photo_in_two_official_splits_is_reported(coco_root, tmp_path):
    for number in (0, 1):
        shutil.copy(coco_root / "train2014" / f"{number}.jpg", coco_root / "val2014" / f"{10 + number}.jpg")
    project = Project("coco2014", root=str(coco_root), home=tmp_path / "home")
    dataset = prepared(project)
    assert sorted(map(sorted, (leak.split(", ") for leak in dataset.findings["the same photo in two splits"]))) == [
        ["0.jpg (train)", "10.jpg (val)"],
        ["1.jpg (train)", "11.jpg (test)"],
    ]
    assert "the same photo in two splits (2):" in (project.data / "report.txt").read_text()
    assert len(dataset.records) == 10


def test_an_empty_split_is_an_error(coco_root, tmp_path):
    project = Project("coco2014", root=str(coco_root), limit=1, home=tmp_path / "home")
    with pytest.raises(DatasetError, match=r"too few pictures for .*val.* with CAPTIONING_LIMIT=1; raise the limit"):
        datasets.save(project, datasets.obtain(project))
    (coco_root / "annotations" / "captions_val2014.json").unlink()
    project = dataclasses.replace(project, limit=None)
    with pytest.raises(DatasetError, match=r"coco2014 has too few pictures for val \(0\) and test \(0\)\.$"):
        datasets.save(project, datasets.obtain(project))
    assert not project.data.exists()


def test_five_photos_of_ones_own_are_enough_even_when_one_more_is_broken(tmp_path):
    originals.write_folder(tmp_path / "own", photos=6)
    project = Project("folder", root=str(tmp_path / "own"), home=tmp_path / "home")
    val = prepared(project).split("val")[0].file
    val.write_bytes(val.read_bytes()[:100])
    dataset = prepared(project)
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [2, 1, 2]  # no known one fills it
    for record in dataset.records[:3]:
        record.file.unlink()
    (project.data / "captions.json").unlink()
    with pytest.raises(DatasetError, match=r"too few pictures for .*: at least 3 different photos .* are needed\.$"):
        prepared(project)


def test_a_limit_and_a_backup_copy_move_no_photo_of_ones_own(tmp_path):
    root = tmp_path / "own"
    originals.write_folder(root, photos=60)
    project = Project("folder", root=str(root), home=tmp_path / "home")
    few = splits_of(prepared(dataclasses.replace(project, limit=30)))
    every = splits_of(prepared(project))
    assert few.items() <= every.items()
    shutil.copytree(root / "holidays", root / "backup")
    rows = (root / "captions.csv").read_text()
    (root / "captions.csv").write_text(rows + rows.replace("image,caption\n", "").replace("holidays/", "backup/"))
    dataset = prepared(project)
    assert every.items() <= splits_of(dataset).items() and len(dataset.records) == 120
    assert all(splits_of(dataset)[name.replace("holidays", "backup")] == split for name, split in every.items())
    assert "the same photo in two splits" not in dataset.findings


def test_loading_before_preparing_names_the_notebook(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"captions\.json is missing\. Run notebooks/01_download\.ipynb first"):
        datasets.load(Project("flickr8k", home=tmp_path))


def test_a_folder_of_ones_own_must_be_named(tmp_path):
    with pytest.raises(SettingError, match=r"CAPTIONING_ROOT is not set: name your folder of photos\..*captions\.csv"):
        datasets.obtain(Project("folder", home=tmp_path))


def test_the_choices_of_the_classic_notebooks(records, tmp_path):
    project = Project("folder", home=tmp_path)
    records = [dataclasses.replace(r, content=f"{r.image_id * 13 % 20:02x}".ljust(32, "0")) for r in records]
    dataset = assemble("any", records, splits_from="a file")
    assert datasets.arrange(project, dataset) == dataset
    arranged = datasets.arrange(project, dataset, "90/10", "letters")
    assert [len(arranged.split(name)) for name in ("train", "val", "test")] == [16, 2, 2]
    assert set(arranged.captions("train")) == {"caption"} and all(
        "caption " in text for text in arranged.captions("val")
    )
    with pytest.raises(SettingError, match="Unknown SPLIT '90-10'; known: official, 90/10"):
        datasets.arrange(project, dataset, "90-10")
    with pytest.raises(SettingError, match="Unknown CLEANING 'letter'; known: none, letters"):
        datasets.arrange(project, dataset, cleaning="letter")
    drawn = dataclasses.replace(
        dataset, records=tuple(dataclasses.replace(r, truth={"place": "lake"}) for r in records)
    )
    with pytest.raises(SettingError, match="is for photos"):
        datasets.arrange(project, drawn, "90/10")


def test_letters_only_cleans_train_and_leaves_what_is_scored(records):
    texts = ("A dog's 2 balls, one-eyed.", "Über-cool!", "42 17")
    dataset = CaptionDataset("own", tuple(dataclasses.replace(record, captions=texts) for record in records))
    cleaned = dataset.letters_only()
    assert set(cleaned.captions("train")) == {"a dogs balls oneeyed", "übercool"}
    assert cleaned.split("val") == dataset.split("val") and cleaned.split("test") == dataset.split("test")
    assert cleaned.findings == {
        "captions of which the cleaning leaves nothing": tuple(f"{r.image_id}: 42 17" for r in cleaned.split("train")),
        "words with digits in them, which the cleaning drops": ("2 (10)", "42 (10)", "17 (10)"),
    }


@pytest.mark.parametrize(
    "caption, cleaned",
    [
        ("एक लड़की नदी में", "एक लड़की नदी में"),
        ("نمی‌دانم!", "نمی‌دانم"),
        ("Cafe\u0301.", "cafe\u0301"),
        ("ผู้หญิงวิ่ง 2", "ผู้หญิงวิ่ง"),
    ],
)
def test_vowel_signs_and_joiners_are_parts_of_letters(caption, cleaned, records):
    dataset = CaptionDataset("own", (dataclasses.replace(records[0], captions=(caption,)),)).letters_only()
    assert dataset.captions("train") == [cleaned]


def test_pictures_that_the_cleaning_drops_are_listed(records):
    records[1] = dataclasses.replace(records[1], captions=("42", "17!"))
    cleaned = CaptionDataset("own", tuple(records)).letters_only()
    assert len(cleaned.records) == 19
    assert cleaned.findings["pictures left without a caption by the cleaning"] == ("1",)
    assert cleaned.findings["captions of which the cleaning leaves nothing"] == ("1: 42", "1: 17!")


def test_the_report_tells_each_reason_once(records):
    dataset = CaptionDataset("own", tuple(records))
    assert dataset.report() == "Nothing was left out, nothing was found.\n"
    dataset = dataset.found("broken photos", ["a", "b"]).found("lost rows", []).found("broken photos", ["c"])
    assert dataset.report() == "broken photos (3):\n  a\n  b\n  c\n"
    assert dataset.report(most=2) == "broken photos (3):\n  a\n  b\n  ...\n"


def test_the_digest_is_of_ids_splits_and_captions(records):
    dataset = CaptionDataset("own", tuple(records))
    changes = ({"image_id": 99}, {"captions": ("other",)}, {"split": "test"})
    for number, change in enumerate(changes):
        changed = CaptionDataset("own", (dataclasses.replace(records[0], **change), *records[1:]))
        assert changed.digest("train") != dataset.digest("train"), change
        assert (changed.digest("test") == dataset.digest("test")) == (number != 2)
    assert dataset.digest("train", "val") == CaptionDataset("another", tuple(records)).digest("train", "val")


def test_two_pictures_with_one_id_are_an_error(records):
    records[1] = dataclasses.replace(records[1], image_id=0)
    with pytest.raises(DatasetError, match="1 pictures have the image id of another"):
        assemble("any", records)


def test_what_is_made_of_the_captions_of_a_split_is_made_once(tmp_path):
    dataset, calls = tiny_dataset(tmp_path, pictures=4, splits=("train", "val")), []

    def longest(captions):
        calls.append(captions)
        return max(captions, key=len)

    for split in ("train", "val", "train", "val"):
        assert dataset.once(split, longest) == max(dataset.captions(split), key=len)
    assert calls == [dataset.captions("train"), dataset.captions("val")]
    with pytest.raises(ValueError, match="Unknown split 'tests'; known: train, val, test"):
        dataset.once("tests", longest)
