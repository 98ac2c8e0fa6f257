"""Settings that cannot be: named, with what is possible instead."""

import json

import pytest

from captioning import settings
from captioning.environment import OF_PROCESS, of_process
from captioning.settings import Project, SettingError, active, choose, from_environment, require
from tests.test_settings import kept_in


def test_an_unknown_variable_lists_the_known_ones(variables):
    variables(ENCODR="vgg16", PROJECT="")
    for ask in (choose, active, from_environment):
        with pytest.raises(SettingError, match="CAPTIONING_ENCODR") as caught:
            ask()
        assert all(f"CAPTIONING_{name}" in str(caught.value) for name in settings.VARIABLES)
        assert "CAPTIONING_PROJECT" not in str(caught.value)  # nobody sets it by hand


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


def test_a_quick_run_says_which_knobs_it_replaces(capsys):
    units, epochs = settings.quick_sizes(UNITS=16, EPOCHS=2)
    assert (units, epochs) == (16, 2)
    printed = capsys.readouterr().out
    assert "UNITS = 16, EPOCHS = 2 instead of" in printed and "CAPTIONING_QUICK" in printed


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
