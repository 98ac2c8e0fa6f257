"""Which settings hold, and what is said about those that cannot."""

import json
import os
from pathlib import Path

import pytest

from captioning import settings
from captioning.settings import Project, SettingError, active, choose, from_environment, require


@pytest.fixture
def home():
    return Path(os.environ["CAPTIONING_HOME"])


@pytest.fixture
def variables(monkeypatch):
    def set_variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"CAPTIONING_{name}", str(value))

    return set_variables


def test_what_is_chosen_is_active(home, tmp_path):
    chosen = choose("coco2014", root=str(tmp_path), limit=7, weights="random", encoder="resnet50")
    assert chosen == active() == Project("coco2014", str(tmp_path), 7, "random", "resnet50", False, home)


def test_the_defaults_draw_scenes(home):
    assert choose() == Project(home=home) and active().dataset == "scenes"


def test_without_a_variable_home_is_the_repository(monkeypatch):
    monkeypatch.delenv("CAPTIONING_HOME")
    assert from_environment().home == Path(__file__).resolve().parents[1]


def test_the_repository_may_be_moved(home):
    choose()
    assert str(home) not in (home / "data" / "active.json").read_text()


def test_the_environment_has_the_last_word(home, tmp_path, variables):
    choose()
    values = {"dataset": "flickr8k", "root": str(tmp_path), "limit": 3, "weights": str(tmp_path), "encoder": "vgg16"}
    variables(**{name.upper(): value for name, value in values.items()}, QUICK=1)
    expected = Project(**values, quick=True, home=home)
    assert active() == from_environment() == choose("coco2014", limit=9, encoder="mobilenet") == expected


def test_an_empty_variable_is_not_set(variables):
    variables(LIMIT="", QUICK="", ROOT="", DATASET="")
    assert from_environment() == Project(home=from_environment().home)


def test_quick_0_is_not_quick(variables):
    variables(QUICK="0")
    assert from_environment().quick is False


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
    variables(ROOT="~", WEIGHTS="~")
    assert from_environment().root == from_environment().weights == str(tmp_path)
    assert choose("coco2014", root="~").root == str(tmp_path)


def test_an_unknown_variable_lists_the_known_ones(variables):
    variables(ENCODR="vgg16")
    for ask in (choose, active, from_environment):
        with pytest.raises(SettingError, match="CAPTIONING_ENCODR") as caught:
            ask()
        assert all(f"CAPTIONING_{name}" in str(caught.value) for name in settings.VARIABLES)


@pytest.mark.parametrize(("name", "known"), [("DATASET", settings.DATASETS), ("ENCODER", settings.ENCODERS)])
def test_an_unknown_name_lists_the_known_ones(name, known, variables):
    choose()
    variables(**{name: "coco2041"})
    for ask in (active, from_environment):
        with pytest.raises(SettingError, match=f"CAPTIONING_{name} 'coco2041'") as caught:
            ask()
        assert all(one in str(caught.value) for one in known)


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        *(("LIMIT", value, "1 or more") for value in ("0", "-1", "two", "1.5", "²", "1e3")),
        *(("QUICK", value, "give 1 .* or 0") for value in ("yes", "true", "2", " 1")),
        ("ROOT", "/no/such/folder", "no such folder"),
        ("WEIGHTS", "/no/such/folder", "imagenet, random, or an existing folder"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name, value, way_out, variables):
    variables(**{name: value})
    with pytest.raises(SettingError, match=f"CAPTIONING_{name}=.*{value}.*{way_out}"):
        from_environment()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"dataset": "coco"}, "CAPTIONING_DATASET 'coco'; known: scenes, coco2014"),
        ({"encoder": "vgg19"}, "CAPTIONING_ENCODER 'vgg19'; known: vgg16"),
        ({"limit": 0}, "LIMIT=0"),
        ({"limit": "5"}, "LIMIT='5'"),
        ({"limit": True}, "LIMIT=True"),
        ({"root": "/no/such/folder"}, "ROOT=/no/such/folder"),
        ({"weights": "/no/such/folder"}, "WEIGHTS=/no/such/folder"),
    ],
)
def test_a_wrong_choice_is_not_written_down(choice, message, home):
    with pytest.raises(SettingError, match=message):
        choose(**choice)
    assert not (home / "data" / "active.json").exists()


def test_without_notebook_01_nothing_is_active():
    with pytest.raises(FileNotFoundError, match=r"active\.json is missing.*notebooks/01_download\.ipynb first"):
        active()


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"colour": 1}', b"3"])
def test_a_damaged_choice_says_what_to_run(content, home):
    choose()
    (home / "data" / "active.json").write_bytes(content)
    with pytest.raises(SettingError, match=r"active\.json cannot be read .* run 01_download again"):
        active()


def test_a_choice_that_is_no_longer_possible_is_an_error(home):
    choose()
    kept = json.loads((home / "data" / "active.json").read_text())
    (home / "data" / "active.json").write_text(json.dumps(kept | {"dataset": "imagenet"}))
    with pytest.raises(SettingError, match="DATASET 'imagenet'"):
        active()


def test_require_gives_what_is_there(tmp_path):
    assert require(str(tmp_path), made_by="07_bilstm_dot_attention") == tmp_path


def test_require_names_the_notebook(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"shards is missing\. Run notebooks/03_vgg16_transfer_values\.ipynb"):
        require(tmp_path / "shards", made_by="03_vgg16_transfer_values")


def test_originals_lie_in_the_root_or_are_shared_by_quick_and_full_runs(tmp_path):
    quick, full = (settings.Project("coco2014", quick=quick, home=tmp_path) for quick in (True, False))
    assert quick.originals == full.originals == tmp_path / "data" / "originals" / "coco2014"
    assert settings.Project("coco2014", root=str(tmp_path)).originals == tmp_path
