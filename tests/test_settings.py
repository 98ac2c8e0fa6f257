"""Which settings hold."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from captioning import settings
from captioning.settings import Project, SettingError, active, choose, from_environment


def test_what_is_chosen_is_active(home, tmp_path):
    chosen = choose("coco2014", root=str(tmp_path), limit=7, weights="random", encoder="resnet50")
    assert chosen == active() == Project("coco2014", str(tmp_path), 7, "random", "resnet50", False, home)


def test_the_defaults_draw_scenes(home):
    assert choose() == Project(home=home) and active().dataset == "scenes"


def test_without_a_variable_home_is_the_repository(monkeypatch):
    monkeypatch.delenv("CAPTIONING_HOME")
    assert from_environment().home == Path(__file__).resolve().parents[1]


def test_an_installed_package_works_in_the_current_folder(monkeypatch, tmp_path, variables):
    monkeypatch.delenv("CAPTIONING_HOME")
    monkeypatch.setattr(settings, "REPOSITORY", None)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert choose().home == from_environment().home == active().home == Project().home == tmp_path / name
        assert (tmp_path / name / "data" / "active.json").is_file()
    variables(HOME="../one")
    assert active().home == tmp_path / "one"


def kept_in(home):
    return json.loads((home / "data" / "active.json").read_text())


def test_the_repository_may_be_moved(home, tmp_path, variables):
    for name in ("photos", "random"):
        (home / "data" / name).mkdir(parents=True)
    chosen = choose("folder", root=str(home / "data" / "photos"), weights=str(home / "data" / "random"))
    assert str(home) not in (home / "data" / "active.json").read_text()
    home.rename(tmp_path / "moved")
    variables(HOME=tmp_path / "moved")
    moved = active()
    assert moved.root == str(tmp_path / "moved" / "data" / "photos")
    assert moved.weights == str(tmp_path / "moved" / "data" / "random")
    assert moved.name == chosen.name


def test_a_weights_folder_may_have_the_name_of_other_weights(home):
    (home / "random").mkdir()
    choose(weights=str(home / "random"))
    assert active().weights == str(home / "random")


def test_the_environment_is_not_written_down(home, tmp_path, variables):
    (home / "weights").mkdir()
    variables(DATASET="flickr8k", ROOT=tmp_path, LIMIT=3, WEIGHTS=home / "weights", ENCODER="vgg16", QUICK=1)
    choose("coco2014", limit=9)
    assert kept_in(home) == {"dataset": "coco2014", "root": None, "limit": 9, "weights": None, "encoder": None}


def test_the_root_stays_with_its_dataset(tmp_path, variables):
    choose("coco2014", root=str(tmp_path), limit=5)
    assert active().root == str(tmp_path)
    variables(DATASET="flickr8k")
    assert (active().dataset, active().root, active().limit) == ("flickr8k", None, 5)
    assert choose("coco2014", root=str(tmp_path)).root is None
    variables(DATASET="scenes")
    assert active().root is None
    variables(DATASET="coco2014")
    assert active().root == str(tmp_path)


def test_a_root_that_nothing_reads_is_an_error(home, tmp_path, variables):
    way_out = "scenes are drawn, not read; set CAPTIONING_DATASET"
    with pytest.raises(SettingError, match=f"ROOT={tmp_path}: {way_out}"):
        choose(root=str(tmp_path))
    assert not (home / "data" / "active.json").exists()
    choose()
    variables(ROOT=tmp_path)
    for ask in (active, from_environment, choose, lambda: choose("scenes", limit=3)):
        with pytest.raises(SettingError, match=f"CAPTIONING_ROOT={tmp_path}: {way_out}"):
            ask()
    assert choose("folder").root == active().root == str(tmp_path)


@pytest.fixture
def folders(tmp_path):
    names = ("a/photos", "b/photos", "c/My photos (2024)!", "d/" + "long" * 60, "e/写真", "f/..x")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    return [tmp_path / name for name in names]


def test_every_own_folder_has_its_own_data(folders, home):
    projects = [choose("folder", root=str(folder)) for folder in folders]
    names = [project.name for project in projects]
    assert len(set(names)) == len(folders)
    for name, words in zip(names, ("photos", "photos", "My-photos-2024", "long" * 10, "写真", "x"), strict=True):
        assert re.fullmatch(rf"folder-{words}-[0-9a-f]{{4}}", name)
    assert projects[0].data == home / "data" / names[0] and projects[0].checkpoints == home / "checkpoints" / names[0]
    assert dataclasses.replace(projects[0], quick=True).name == f"{names[0]}-quick"
    assert choose("folder", root=f"{folders[1]}/../../b/photos/").name == names[1]
    assert choose("coco2014", root=str(folders[0])).name == "coco2014"
    assert re.fullmatch("folder-[0-9a-f]{4}", choose("folder", root=str(home)).name)


def test_one_spelling_of_an_accent_is_as_good_as_the_other(tmp_path):
    names = {Project("folder", root=str(tmp_path / name), home=tmp_path).name for name in ("caf\u00e9", "cafe\u0301")}
    assert len(names) == 1


def test_the_environment_has_the_last_word(home, tmp_path, variables):
    choose()
    values = {"dataset": "flickr8k", "root": str(tmp_path), "limit": 3, "weights": str(tmp_path), "encoder": "vgg16"}
    variables(**{name.upper(): value for name, value in values.items()}, QUICK=1)
    expected = Project(**values, quick=True, home=home)
    assert active() == from_environment() == choose("coco2014", limit=9, encoder="mobilenet") == expected


@pytest.mark.parametrize("quick", ["", "0"])
def test_an_empty_variable_is_not_set(quick, variables):
    variables(LIMIT="", QUICK=quick, ROOT="", DATASET="")
    assert from_environment() == Project(home=from_environment().home)


def test_quick_has_folders_of_its_own(tmp_path):
    slow, quick = Project(home=tmp_path), Project(home=tmp_path, quick=True)
    assert slow.data == tmp_path / "data" / "scenes" and quick.data == tmp_path / "data" / "scenes-quick"
    assert quick.checkpoints == tmp_path / "checkpoints" / "scenes-quick" and slow.encoders == quick.encoders


def test_scenes_have_random_weights_and_photos_those_of_imagenet():
    assert Project().encoder_weights == "random" and Project("flickr8k").encoder_weights == "imagenet"
    assert Project(weights="imagenet").encoder_weights == "imagenet"
    assert Project("folder", weights="random").encoder_weights == "random"


def test_an_encoder_replaces_that_of_the_notebook():
    assert Project().encoder_or("vgg16") == "vgg16" and Project(encoder="mobilenet").encoder_or("vgg16") == "mobilenet"


def test_a_relative_home_means_from_here(tmp_path, monkeypatch, variables):
    monkeypatch.chdir(tmp_path)
    variables(HOME="elsewhere")
    assert from_environment().home == tmp_path / "elsewhere"


def test_a_relative_root_is_kept_as_an_absolute_one(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    choose("coco2014", root="photos", weights="photos")
    monkeypatch.chdir("/")
    assert active().root == active().weights == str(tmp_path / "photos")


def test_a_tilde_is_the_own_folder(tmp_path, monkeypatch, variables):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    variables(DATASET="folder", ROOT="~", WEIGHTS="~")
    assert from_environment().root == from_environment().weights == str(tmp_path)
    assert choose("coco2014", root="~").root == str(tmp_path)
