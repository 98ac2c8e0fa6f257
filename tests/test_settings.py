"""Which settings hold, and what is said about those that cannot."""

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

from captioning import settings
from captioning.environment import OF_PROCESS, of_process
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


def test_a_quick_run_leaves_no_trace(home, monkeypatch):
    with monkeypatch.context() as quick:
        quick.setenv("CAPTIONING_QUICK", "1")
        assert choose().quick and active().quick
    assert active() == Project(home=home)


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
    variables(DATASET="folder", ROOT="~", WEIGHTS="~")
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
        with pytest.raises(SettingError, match=f"CAPTIONING_{name}='coco2041'") as caught:
            ask()
        assert all(one in str(caught.value) for one in known)


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        *(("LIMIT", value, "1 or more") for value in ("0", "-1", "two", "1.5", "²", "1e3")),
        *(("QUICK", value, "give 1 .* or 0") for value in ("yes", "true", "2", " 1")),
        ("ROOT", "/no/such/folder", "no such folder"),
        ("ROOT", "~nobody-here/photos", "no such folder"),
        ("WEIGHTS", "/no/such/folder", "imagenet, random, or an existing folder"),
        ("HOME", __file__, "a file, not a folder"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name, value, way_out, variables):
    variables(**({"DATASET": "folder"} | {name: value}))
    with pytest.raises(SettingError, match=f"CAPTIONING_{name}=.*{value}.*{way_out}"):
        from_environment()


WRONG = [
    *(("dataset", value, "use one of scenes, coco2014") for value in ("coco", None, 3, ["scenes"])),
    *(("encoder", value, "use one of vgg16") for value in ("vgg19", 16, True)),
    *(("limit", value, "1 or more") for value in (0, -2, "5", True, 2.0, [7])),
    *(("root", value, "path of a folder") for value in (5, "", ["photos"], False)),
    *(("root", value, "no such folder") for value in ("/no/such/folder", "/no\0folder", __file__)),
    *(("weights", value, "give the path of a folder") for value in (5, "", {"imagenet": 1})),
    *(("weights", value, "imagenet, random, or an existing folder") for value in ("/no/such/folder", "Random")),
]


@pytest.mark.parametrize(("name", "value", "way_out"), WRONG)
def test_a_wrong_choice_is_named_and_not_written_down(name, value, way_out, home):
    with pytest.raises(SettingError, match=f"^{name.upper()}=.*{way_out}"):
        choose(**({"dataset": "folder"} | {name: value}))
    assert not (home / "data" / "active.json").exists()


@pytest.mark.parametrize(("name", "value", "way_out"), WRONG)
def test_a_wrong_value_in_the_file_is_named_with_the_file(name, value, way_out, home):
    choose("coco2014")
    (home / "data" / "active.json").write_text(json.dumps(kept_in(home) | {name: value}))
    with pytest.raises(SettingError, match=rf'active\.json: "{name}" is .*{way_out}.* Run notebooks/01_download'):
        active()


def test_a_wrong_value_in_the_file_matters_only_where_it_is_in_force(home, tmp_path, variables):
    choose("coco2014")
    (home / "data" / "active.json").write_text(json.dumps(kept_in(home) | {"root": "/no/such/folder"}))
    variables(ROOT=tmp_path)
    assert active().root == str(tmp_path)


def test_without_notebook_01_nothing_is_active(variables):
    with pytest.raises(FileNotFoundError, match=r"active\.json is missing.*notebooks/01_download\.ipynb first"):
        active()
    variables(LIMIT=5)
    with pytest.raises(FileNotFoundError):
        active()


def test_a_dataset_in_the_environment_is_choice_enough(home, variables):
    variables(DATASET="flickr8k", LIMIT=5)
    assert active() == Project("flickr8k", limit=5, home=home)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_choice_that_an_editor_saved_in_another_encoding_is_read(encoding, home):
    choose(limit=7)
    file = home / "data" / "active.json"
    file.write_text(file.read_text(), encoding=encoding)
    assert active().limit == 7


@pytest.mark.parametrize("content", [b"{", b"", b"\xff"])
def test_a_damaged_choice_says_what_to_run(content, home):
    choose()
    (home / "data" / "active.json").write_bytes(content)
    with pytest.raises(SettingError, match=r"active\.json is damaged .*Run notebooks/01_download\.ipynb again"):
        active()


@pytest.mark.parametrize(
    "content", ["[]", "3", "null", '"scenes"', '{"colour": 1}', '{"quick": "no"}', '{"quick": true}']
)
def test_what_notebook_01_does_not_choose_is_refused(content, home):
    choose()
    (home / "data" / "active.json").write_text(content)
    with pytest.raises(SettingError, match=r"active\.json holds (a list|colour|quick).*Run notebooks/01_download"):
        active()


def test_a_project_handed_over_is_used_whatever_else_is_set(home, tmp_path, variables, monkeypatch):
    handed = Project("folder", str(tmp_path), 7, "random", "resnet50", True, tmp_path)
    monkeypatch.setenv(*settings.hand_over(handed).popitem())
    variables(DATASET="flickr8k", LIMIT=3, ROOT="no/longer/from/here", HOME=home)
    assert active() == from_environment() == handed
    assert choose("coco2014", root=str(tmp_path / "photos"), limit=9) == handed
    assert not (home / "data").exists()
    expected = {"dataset": "coco2014", "root": "./photos", "limit": 9, "weights": None, "encoder": None}
    assert kept_in(tmp_path) == expected
    with pytest.raises(SettingError, match="LIMIT=0"):
        choose(limit=0)


@pytest.mark.parametrize("content", ["{", "3", "{}", '{"home": 3}', '{"home": "/", "colour": 1}'])
def test_a_project_that_nobody_handed_over_is_refused(content, variables):
    variables(PROJECT=content)
    with pytest.raises(SettingError, match=r"CAPTIONING_PROJECT is for the kernels .* unset it"):
        active()


def test_the_handed_project_is_no_setting_to_offer(variables):
    variables(PROJECT="", ENCODR="vgg16")
    with pytest.raises(SettingError) as caught:
        from_environment()
    assert "CAPTIONING_PROJECT" not in str(caught.value)


def test_a_quick_run_says_which_knobs_it_replaces(capsys):
    units, epochs = settings.quick_sizes(UNITS=16, EPOCHS=2)
    assert (units, epochs) == (16, 2)
    printed = capsys.readouterr().out
    assert "UNITS = 16, EPOCHS = 2 instead of" in printed and "CAPTIONING_QUICK" in printed


def test_require_gives_what_is_there(tmp_path):
    assert require(str(tmp_path), made_by="07_bilstm_dot_attention") == tmp_path


def test_require_names_the_notebook(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"shards is missing\. Run notebooks/03_vgg16_transfer_values\.ipynb"):
        require(tmp_path / "shards", made_by="03_vgg16_transfer_values")


def test_originals_lie_in_the_root_or_are_shared_by_quick_and_full_runs(tmp_path):
    quick, full = (settings.Project("coco2014", quick=quick, home=tmp_path) for quick in (True, False))
    assert quick.originals == full.originals == tmp_path / "data" / "originals" / "coco2014"
    assert settings.Project("coco2014", root=str(tmp_path)).originals == tmp_path


@pytest.mark.parametrize("name", OF_PROCESS)
def test_settings_of_the_process_are_checked_at_once_and_belong_to_no_project(name, variables):
    usual, *others = OF_PROCESS[name]
    assert of_process(name) == usual
    plain = choose()
    for value in others:
        variables(**{name: value})
        assert of_process(name) == value and active() == plain
    variables(**{name: "many"})
    for refuses in (active, choose, lambda: of_process(name)):
        with pytest.raises(SettingError, match=f"CAPTIONING_{name}='many': use one of {usual}, {others[0]}"):
            refuses()
