"""`captioning data`, `clean-data` and `devices`: what they ask, keep and find."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from captioning import notebooks
from captioning.datasets import needs
from captioning.files import only_one
from captioning.quiet import keras, tensorflow
from captioning.serving.command import main
from tests.test_house import ROOT

OURS = ("originals/coco2014/photo.jpg", "scenes/captions.json", "scenes/images/1.png", "scenes/features/vgg16/a.npy")
OURS += ("coco2014-quick/captions.json", "folder-holiday-3fa1/splits.json", "encoders/vgg16.weights.h5")
THEIRS = ("my-photos/captions.json", "my-photos/a.jpg", "originals/mine/b.jpg", "README.md", "active.json")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with data, photos of the reader and an experiment."""
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path))
    for name in [*(f"data/{name}" for name in (*OURS, *THEIRS)), "checkpoints/scenes/gru/settings.json"]:
        tmp_path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath(name).write_text("{}")
    return tmp_path


def left(home):
    return {path.relative_to(home / "data").as_posix() for path in home.glob("data/**/*") if path.is_file()}


@pytest.fixture
def answers(monkeypatch):
    """Return a function that lets a terminal give an answer."""

    def give(answer):
        asked = []
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
        return asked

    return give


def test_all_data_of_the_series_is_deleted_and_nothing_else(home, capsys):
    assert main(["clean-data", "--yes"]) == 0
    assert left(home) == set(THEIRS) and not (home / "data/scenes").exists()
    assert (home / "checkpoints/scenes/gru/settings.json").exists()
    said = capsys.readouterr().out
    assert said.index("checkpoints/scenes") < said.index("deleted") and "captioning models --delete" in said
    assert main(["clean-data"]) == 0  # there is nothing to ask for


def test_one_name_deletes_one_part(home, answers):
    asked = answers("y")
    assert main(["clean-data", "scenes/features"]) == 0
    assert left(home) == {*OURS, *THEIRS} - {"scenes/features/vgg16/a.npy"}
    assert asked == ["Delete scenes/features: 0.0 MB? [y/N] "]


@pytest.mark.parametrize("answer", ["", "n", "what"])
def test_only_a_yes_is_a_yes(home, answers, answer):
    assert answers(answer) == [] and main(["clean-data"]) == 0
    assert left(home) == {*OURS, *THEIRS}


def test_without_a_terminal_it_refuses_with_the_way_out(home, capsys):
    assert main(["clean-data"]) == 2
    assert "--yes, or make clean-data YES=1" in capsys.readouterr().err
    assert left(home) == {*OURS, *THEIRS}


def test_a_choice_that_cannot_be_read_stops_nothing(home):
    (home / "data/active.json").write_text("[]")
    assert main(["clean-data", "encoders", "--yes"]) == 0
    assert left(home) == {*OURS, *THEIRS} - {"encoders/vgg16.weights.h5"}


def test_a_name_that_is_not_in_the_list_deletes_nothing(home, capsys):
    assert main(["clean-data", "scenes", "my-photos", "--yes"]) == 2
    assert "no data 'my-photos'" in capsys.readouterr().err and left(home) == {*OURS, *THEIRS}


def test_folders_that_photos_are_read_from_are_kept(home, monkeypatch):
    """By the environment, by what notebook 01 chose, and by what it chose earlier."""
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    monkeypatch.setenv("CAPTIONING_ROOT", str(home / "data/originals/coco2014"))
    (home / "data/active.json").write_text(json.dumps({"dataset": "folder", "root": "./data/scenes/images"}))
    earlier = {"made_from": {"root": str(home / "data/coco2014-quick")}}
    (home / "data/folder-holiday-3fa1/captions.json").write_text(json.dumps(earlier))
    assert main(["clean-data", "--yes"]) == 0
    kept = {
        "originals/coco2014/photo.jpg",
        "scenes/captions.json",
        "scenes/images/1.png",
        "coco2014-quick/captions.json",
    }
    assert left(home) == {*THEIRS, *kept}


def test_a_link_to_another_disk_is_kept(home, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk") / "coco"
    shutil.move(home / "data/originals/coco2014", elsewhere)
    (home / "data/originals/coco2014").symlink_to(elsewhere)
    assert main(["clean-data", "--yes"]) == 0
    assert (home / "data/originals/coco2014/photo.jpg").exists()


def test_nothing_is_deleted_while_notebooks_run(home, capsys):
    (home / "runs/scenes").mkdir(parents=True)
    with only_one(home / "runs/scenes"):
        assert main(["clean-data", "--yes"]) == 2
    assert "wait for it" in capsys.readouterr().err and left(home) == {*OURS, *THEIRS}


@pytest.fixture
def ran(monkeypatch):
    """The names that the runner of the notebooks is given."""
    names = []
    monkeypatch.setattr(notebooks, "main", lambda given: names.extend(given) or 0)
    monkeypatch.setattr(needs, "free_space", lambda folder: 10**12)
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    return names


def test_a_large_download_is_asked_for(ran, answers, capsys):
    assert main(["data"]) == 2 and ran == []
    assert "--yes, or make data YES=1" in capsys.readouterr().err
    asked = answers("n")
    assert main(["data"]) == 1 and ran == [] and asked == ["Fetch 20 GB? [y/N] "]
    assert "coco-train2014" in capsys.readouterr().out
    answers("y")
    assert main(["data"]) == 0 and ran == ["01"]


def test_a_small_download_or_a_yes_is_not_asked_for(ran, monkeypatch):
    assert main(["data", "--yes"]) == 0 and ran == ["01"]
    monkeypatch.setenv("CAPTIONING_LIMIT", "100")
    assert main(["data"]) == 0 and ran == ["01", "01"]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_hands_its_variables_on():
    command = ["make", "--dry-run", "data", "clean-data", "NAMES=scenes/features encoders", "YES=1"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "captioning data --yes\n" in said and "captioning clean-data scenes/features encoders --yes\n" in said


def test_devices_are_named_and_tried(capsys):
    assert main(["devices"]) == 0
    versions, cpu, *rest = capsys.readouterr().out.splitlines()
    assert tensorflow.__version__ in versions and keras.__version__ in versions
    assert re.fullmatch(r"CPU:0, .+: 2,000 x 2,000 numbers multiplied in [\d.]+ ms", cpu)
    gpus = tensorflow.config.list_physical_devices("GPU")
    assert len(rest) == len(gpus) or rest == ["TensorFlow has found no GPU: everything is computed on the CPU."]
