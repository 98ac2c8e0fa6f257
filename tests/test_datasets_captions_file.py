"""captions.json: what it was made from, and what makes it out of date."""

import dataclasses
import gc
import json
import os
import time

import pytest

from captioning.datasets import captions_file, prepare
from captioning.datasets.records import Records
from captioning.files import DamagedError
from captioning.provenance import FileState, StaleError, content_digest
from captioning.settings import Project
from captioning.tokenizer import Tokenizer
from tests import originals
from tests.obtaining.offered import prepared as run


@pytest.fixture
def own(tmp_path):
    return originals.own_project(tmp_path)


def test_the_file_gives_the_same_dataset(own):
    dataset = run(own)
    odd = dataclasses.replace(dataset.records[0], captions=("Ein Café 你好", "“quotes”"), truth={"place": "lake"})
    dataset = dataclasses.replace(dataset, records=(odd, *dataset.records[1:]))
    prepare.save(own, dataset)
    loaded = prepare.load(own)
    assert loaded == dataset and loaded.sources == dataset.sources and loaded.splits_from == dataset.splits_from
    assert loaded.made_from == dataset.made_from
    assert {path.name for path in own.data.iterdir()} == {
        "captions.json", "checked_photos.jsonl", "report.txt", "splits.json",
    }  # fmt: skip


def test_what_it_was_made_from_is_in_it(own):
    run(dataclasses.replace(own, limit=30), "90/10", "letters")
    content = json.loads((own.data / "captions.json").read_text())
    assert content["made_from"] == {
        "dataset": "folder", "root": own.root, "limit": 30, "quick": False, "split": "90/10", "cleaning": "letters",
    }  # fmt: skip
    captions = own.originals / "captions.csv"
    assert content["sources"] == [[str(captions), list(FileState.of(captions)), content_digest(captions.read_bytes())]]
    row = content["records"][0]
    assert row["content"] == content_digest((own.home / row["file"]).read_bytes())


def test_a_project_may_move_with_the_photos_in_it(tmp_path):
    home = tmp_path / "home"
    originals.write_folder(home / "photos", photos=40)
    project = Project("folder", root=str(home / "photos"), home=home)
    run(project)
    assert str(tmp_path) not in (project.data / "captions.json").read_text()
    moved = home.rename(tmp_path / "moved")
    loaded = prepare.load(Project("folder", root=str(moved / "photos"), home=moved))
    assert all(record.file.is_file() and record.file.is_relative_to(moved) for record in loaded.records)


def test_photos_elsewhere_are_found_from_anywhere(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(dataclasses.replace(own, root="own"))
    monkeypatch.chdir("/")
    assert all(record.file.is_file() for record in prepare.load(own).records)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 5}, "limit was None and is now 5"),
        ({"quick": True}, "quick was False and is now True"),
        ({"root": None}, "root was .*own' and is now None"),
        ({"root": "/an/other"}, "root was .*own' and is now '/an/other'"),
        ({"dataset": "open-images"}, "dataset was 'folder' and is now 'open-images'"),
    ],
)
def test_other_settings_are_refused(change, message, own, monkeypatch):
    monkeypatch.setattr(Project, "name", "own")  # else these settings have folders of their own
    run(own)
    with pytest.raises(StaleError, match=rf"captions\.json is out of date: {message}.* Run notebooks/01_download"):
        prepare.load(dataclasses.replace(own, **change))


def test_pictures_obtained_with_other_settings_are_not_saved(own):
    dataset = prepare.check(own, prepare.obtain(dataclasses.replace(own, limit=30)))
    with pytest.raises(StaleError, match="limit was 30 and is now None"):
        prepare.save(own, prepare.arrange(own, dataset))
    assert not (own.data / "captions.json").exists()


# damage


@pytest.mark.parametrize("text", ['{"name": "coco2014", "left_out": {}, "records": []}', "[]", "5", '{"format": 0}'])
def test_a_file_of_another_version_names_itself_and_the_notebook(text, own):
    run(own)
    (own.data / "captions.json").write_text(text)
    with pytest.raises(StaleError, match=r"captions\.json was written by another version .*01_download"):
        prepare.load(own)
    assert len(run(own).records) == 40


DAMAGE = {
    "cut": len,  # the file is, below
    "no records": lambda content: content.pop("records"),
    "no made_from": lambda content: content.update(made_from=None),
    "an odd record": lambda content: content["records"].append({"id": 5}),
    "an odd state": lambda content: content["records"][3].update(state=[1]),
    "no captions": lambda content: content["records"][3].update(captions=7),
    "no file": lambda content: content["records"][3].update(file=7),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_names_itself_and_the_notebook(damage, own):
    run(own)
    file = own.data / "captions.json"
    content = json.loads(file.read_text())
    DAMAGE[damage](content)
    file.write_text(file.read_text()[:500] if damage == "cut" else json.dumps(content))
    with pytest.raises(DamagedError, match=r"captions\.json is damaged .*01_download"):
        prepare.load(own)


# size


def test_saving_asks_the_system_once_per_folder(own, monkeypatch):
    dataset, file = run(own), own.data / "captions.json"
    asked, whole = [], os.path.abspath
    monkeypatch.setattr(os.path, "abspath", lambda path: (asked.append(path), whole(path))[1])
    monkeypatch.setattr(os.path, "realpath", None)
    captions_file.write(file, own.home, dataset)
    assert len(asked) == 3  # home, the folder of the captions, the folder of the photos


def test_a_dataset_of_many_photos_is_compared_in_a_moment(own):
    dataset = run(own)
    many = dataclasses.replace(dataset, records=[*dataset.records] * 250)
    began = time.process_time()
    assert captions_file.unchanged(own.data / "captions.json", many) is many
    assert time.process_time() - began < 1


# the vocabulary of notebook 02


def test_the_tokenizer_of_these_captions_is_loaded(own):
    dataset = run(own)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json is missing.*02_explore"):
        prepare.load_tokenizer(own, dataset)
    tokenizer = Tokenizer.fit(dataset.captions("train"))
    tokenizer.save(own.data / "tokenizer.json")
    assert prepare.load_tokenizer(own, prepare.load(own)) == tokenizer


def test_the_tokenizer_of_another_limit_is_refused(own):
    Tokenizer.fit(run(own).captions("train")).save(own.data / "tokenizer.json")
    limited = dataclasses.replace(own, limit=30)
    with pytest.raises(StaleError, match=r"tokenizer\.json is out of date: .*02_explore"):
        prepare.load_tokenizer(own, run(limited))


def test_a_dataset_that_is_read_keeps_its_records_compressed(own):
    """Also one whose photos were copied since."""
    loaded, file = run(own) and prepare.load(own), own.data / "captions.json"
    photo = loaded.records[0].file
    os.utime(photo, (1, 1))
    for dataset in (loaded, prepare.load(own), loaded.first(7), captions_file.unchanged(file, loaded)):
        assert isinstance(dataset.records, Records) and isinstance(dataset.split("train"), Records)


def test_rows_become_records_while_they_are_read(own, monkeypatch):
    dataset, alive, record = run(own), [], captions_file._record

    def counting(paths, row):
        rows = [thing for thing in gc.get_objects() if type(thing) is dict and "image_id" in thing and "file" in thing]
        alive.append(len(rows))
        return record(paths, row)

    monkeypatch.setattr(captions_file, "_record", counting)
    assert prepare.load(own) == dataset
    assert len(alive) == 40 and max(alive) <= 3  # all 40 where records wait for the end of the file
