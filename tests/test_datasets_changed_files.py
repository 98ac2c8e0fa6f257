"""Files that have changed since notebook 01 read them are refused; a drive that is away changes nothing."""

import json
import os

import pytest

from captioning.datasets import captions_file, prepare
from captioning.datasets.dataset import DatasetError, Source
from captioning.provenance import FileState, StaleError
from captioning.settings import Project
from tests import originals
from tests.obtaining.offered import prepared as run


@pytest.fixture
def own(tmp_path):
    return originals.own_project(tmp_path)


def photo_of(dataset):
    return dataset.records[7].file


CHANGES = {
    "photo repainted": lambda dataset: originals.repaint(photo_of(dataset)),
    "photo replaced": lambda dataset: photo_of(dataset).write_bytes(originals.jpeg(999)),
    "captions edited": lambda dataset: append(dataset.sources[0].file, "holidays/000.jpg,One more.\n"),
}


def append(file, text):
    file.write_text(file.read_text() + text)


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_refused_and_named(change, own):
    dataset = run(own)
    changed = dataset.sources[0].file if change == "captions edited" else photo_of(dataset)
    CHANGES[change](dataset)
    with pytest.raises(StaleError, match=rf"{changed} has changed since\. Run notebooks/01_download\.ipynb again"):
        prepare.load(own)
    again = run(own)
    assert prepare.load(own) == again != dataset


@pytest.mark.parametrize("name", ["annotations/captions_val2014.json", "splits.json"])
def test_an_edited_file_of_coco_is_refused(name, tmp_path):
    root = originals.write_coco(tmp_path / "coco", val2014=range(10, 20))
    splits = {"train": [10, 11, 12, 13, 14, 15], "val": [16, 17], "test": [18, 19]}
    (root / "splits.json").write_text(json.dumps(splits))
    project = Project("coco2014", root=str(root), home=tmp_path / "home")
    run(project)
    prepare.load(project)
    text = (root / name).read_text()
    (root / name).write_text(text.replace("a photo", "a picture").replace("[18, 19]", "[19, 18]"))
    with pytest.raises(StaleError, match=rf"{name} has changed since"):
        prepare.load(project)


def test_a_caption_edited_between_the_cells_is_refused(own):
    dataset = prepare.obtain(own)
    append(own.originals / "captions.csv", "holidays/000.jpg,One more.\n")
    prepare.save(own, prepare.arrange(own, prepare.check(own, dataset)))
    with pytest.raises(StaleError, match=r"captions\.csv has changed since"):
        prepare.load(own)


def test_other_times_alone_are_fine_and_read_once(own, monkeypatch):
    dataset = run(own)
    for record in dataset.records[:3]:
        os.utime(record.file)
    os.utime(own.originals / "captions.csv")
    noted, of = [], Source.of
    monkeypatch.setattr(captions_file.Source, "of", lambda file: (noted.append(file), of(file))[1])
    loaded = prepare.load(own)
    assert len(noted) == 4 and [r.content for r in loaded.records] == [r.content for r in dataset.records]
    assert loaded.records[0].state == FileState.of(loaded.records[0].file) != dataset.records[0].state


def test_what_nobody_has_written_to_is_not_read(own, monkeypatch):
    run(own)
    monkeypatch.setattr(captions_file.Source, "of", None)
    prepare.load(own)


def test_many_files_of_another_state_are_left_to_notebook_01(own, monkeypatch):
    monkeypatch.setattr(captions_file, "MOST_READ", 4)
    dataset = run(own)
    for record in dataset.records[:5]:
        os.utime(record.file)
    monkeypatch.setattr(captions_file.Source, "of", None)
    with pytest.raises(StaleError, match=r"5 files .* written to or copied since .*01_download.* stays valid"):
        prepare.load(own)
    monkeypatch.undo()
    assert [r.content for r in run(own).records] == [r.content for r in dataset.records]
    prepare.load(own)


def test_photos_that_cannot_be_seen_have_not_changed(own, monkeypatch):
    """However many: they are not looked at by notebook 01 either."""
    monkeypatch.setattr(captions_file, "MOST_READ", 4)
    dataset = run(own)
    away = own.originals.rename(own.originals.with_name("away"))
    assert prepare.load(own) == dataset
    away.rename(own.originals)
    assert prepare.load(own) == dataset


@pytest.mark.parametrize("cell", ["obtain", "check"])
def test_a_drive_that_is_away_is_no_smaller_dataset(cell, own):
    found = prepare.obtain(own)
    dataset = run(own)
    before = (own.data / "captions.json").read_bytes()
    for record in dataset.records[:2]:
        record.file.rename(record.file.with_suffix(".away"))
    with pytest.raises(DatasetError, match=rf"2 of 40 photos are missing .* in {own.root}/holidays: is a drive not"):
        prepare.obtain(own) if cell == "obtain" else prepare.check(own, found)
    assert (own.data / "captions.json").read_bytes() == before
    (own.data / "captions.json").unlink()
    assert len(run(own).records) == 38


def test_one_photo_that_was_removed_is_one_photo_less(own):
    photo_of(run(own)).unlink()
    assert len(run(own).records) == 39


def test_photos_that_never_were_here_are_not_missing(own):
    rows = "".join(f"holidays/{n}.jpg,Elsewhere.\n" for n in range(1000, 1200))
    append(own.originals / "captions.csv", rows)
    assert len(run(own).records) == len(run(own).records) == 40
