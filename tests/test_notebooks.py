"""The notebooks: clean files, and run whole at the smallest size."""

import itertools
import json
import re

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from captioning import bundle, notebooks, settings
from captioning.datasets import prepare
from captioning.tokenizer import Tokenizer
from tests import originals
from tests.server import Server

FILES = sorted(notebooks.FOLDER.glob("[0-9]*.ipynb"))
BY_NAME = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@BY_NAME
def test_a_committed_notebook_is_clean(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert "widgets" not in notebook["metadata"]
    for cell in notebook["cells"]:
        assert re.fullmatch(r"[a-z0-9-]+", cell["id"]) and not re.fullmatch(r"[0-9a-f]{8}", cell["id"])
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None, cell["id"]


@BY_NAME
def test_a_notebook_follows_the_skeleton(path):
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert texts[0].startswith(f"# {path.name[:2]}. ")
    assert "**Needs:**" in texts[0] and "**Makes:**" in texts[0] and "**Time" in texts[0]
    headings = [line for text in texts for line in text.splitlines() if line.startswith("#")]
    for heading in ("## Setup", "## Settings", "## What you learned", "## Try it yourself"):
        assert heading in headings
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in cells) == 1


@BY_NAME
def test_code_is_short_and_mostly_announced(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert max(source.count("\n") + 1 for source in code) <= 30
    pairs = itertools.pairwise(cells)
    announced = [before.cell_type == "markdown" for before, cell in pairs if cell.cell_type == "code"]
    assert sum(announced) / len(announced) >= 0.65
    for source in code:
        assert not re.search(r"\bif\b.*\b(DATASET|dataset(\.name)?) *==", source)


@BY_NAME
def test_the_words_are_plain(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\b(simply|just|easily|obviously)\b", cell.source, re.IGNORECASE), cell.id


@pytest.fixture(scope="module")
def executed_once(tmp_path_factory):
    """Run the whole series on a few drawn scenes, once for all tests below."""
    home, before = tmp_path_factory.mktemp("home"), files_of_the_repository()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAPTIONING_HOME", str(home))
        patch.setenv("CAPTIONING_QUICK", "1")
        notebooks.run(FILES, home / "runs")
    assert files_of_the_repository() == before
    return home


def files_of_the_repository():
    """Return what notebooks could write there if they took it for their home: path -> time of the last change."""
    root = notebooks.FOLDER.parent
    folders = [notebooks.FOLDER, *(root / name / "scenes-quick" for name in ("data", "checkpoints", "runs"))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in [*files, *root.glob("data/*.json")]}


@pytest.fixture
def executed(executed_once, monkeypatch):
    """The folder of that run, and its settings: every test starts without any."""
    monkeypatch.setenv("CAPTIONING_HOME", str(executed_once))
    monkeypatch.setenv("CAPTIONING_QUICK", "1")
    return executed_once


def pictures_in(notebook):
    """Return how many pictures the outputs of an executed notebook hold; each must be in its page, too."""
    outputs = [out for cell in nbformat.read(notebook, as_version=4).cells for out in cell.get("outputs", [])]
    pictures = [out.data["image/png"] for out in outputs if "image/png" in out.get("data", {})]
    page = notebook.with_suffix(".html").read_text(encoding="utf-8").replace("\n", "")
    assert all(picture.replace("\n", "")[:200] in page for picture in pictures), notebook
    return len(pictures)


@pytest.mark.notebooks
class TestExecuted:
    def test_every_notebook_gives_a_page_with_pictures(self, executed):
        for path in FILES:
            assert pictures_in(executed / "runs" / path.name), path.stem

    def test_no_warning_or_noise_of_tensorflow_is_left_in_the_pages(self, executed):
        for path in FILES:
            for cell in nbformat.read(executed / "runs" / path.name, as_version=4).cells:
                text = "".join(out.get("text", "") for out in cell.get("outputs", []) if out.get("name") == "stderr")
                assert not text, f"{path.stem}, {cell.id}: {text[:300]}"

    def test_every_bundle_is_whole_and_scored(self, executed):
        folders = bundle.find(executed / "checkpoints" / "scenes-quick")
        regions = ["bahdanau-inception_v3", "bilstm-resnet50", "numpy_lstm-resnet50", "numpy_rnn-resnet50"]
        assert [folder.name for folder in folders] == sorted([*regions, "gru-vgg16", "merge-vgg16"])
        for folder in folders:
            assert bundle.load(folder).settings["finished"]
            scores = json.loads((folder / "scores.json").read_text())
            assert scores["images"] == 12
            assert set(scores["grounding"]) >= {"place", "object", "colour", "pair", "false_named", "unseen"}
            assert (folder / "history.csv").is_file() and (folder / "tokenizer.json").is_file()

    def test_a_second_run_finds_everything_made(self, executed):
        """One notebook of each kind: features alone, a Keras model, NumPy models."""
        names = ("*.npy", "model.weights.h5", "model.npz", "history.csv")
        kept = {path: path.stat().st_mtime_ns for name in names for path in executed.rglob(name)}
        assert {path.name for path in kept} >= {"features-00000.npy", *names[1:]}
        notebooks.run([path for path in FILES if path.name[:2] in ("01", "03", "04", "08")], executed / "again")
        assert kept == {path: path.stat().st_mtime_ns for path in kept}

    def test_the_vocabulary_is_that_of_train_alone(self, executed):
        project = settings.active()
        train = prepare.load(project).captions("train")
        assert Tokenizer.load(project.data / "tokenizer.json") == Tokenizer.fit(train, minimum_count=4)


@pytest.fixture
def every_dataset(tmp_path, monkeypatch):
    """Return a function that makes one dataset available: on a server on the loopback address, or in a folder."""
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAPTIONING_LIMIT", "40")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def offer(name, source):
        monkeypatch.setenv("CAPTIONING_DATASET", name)
        if name == "folder":
            originals.write_folder(tmp_path / "own", source=source)
            monkeypatch.setenv("CAPTIONING_ROOT", str(tmp_path / "own"))
        else:
            getattr(originals, f"serve_{name.replace('-', '_').removesuffix('2014')}")(server, source=source)

    with Server() as server:
        monkeypatch.setenv("CAPTIONING_MIRROR", server.url(originals.MIRROR))
        yield offer


@pytest.mark.notebooks
@pytest.mark.parametrize("photos", ["made up", pytest.param("real", marks=originals.needs_real)])
@pytest.mark.parametrize("name", ["coco2014", "flickr8k", "open-images", "folder"])
def test_the_first_two_notebooks_prepare_every_dataset(name, photos, every_dataset, tmp_path):
    every_dataset(name, originals.real_photos() if photos == "real" else originals.made_up)
    notebooks.run([path for path in FILES if path.name[:2] in ("01", "02")], tmp_path / "runs")
    data = tmp_path / "home" / "data" / name
    assert len(json.loads((data / "captions.json").read_text(encoding="utf-8"))["records"]) == 40
    assert (data / "tokenizer.json").is_file() and (data / "report.txt").is_file()
    assert pictures_in(tmp_path / "runs" / "01_download.ipynb") == 1
    assert pictures_in(tmp_path / "runs" / "02_explore.ipynb") == 3


def write(folder, name, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    path = folder / name
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.mark.notebooks
def test_a_failure_keeps_the_executed_part_and_names_notebook_and_cell(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "series"
    folder.mkdir()
    write(folder, "01_fails.ipynb", "print('as far as ' + 'here')", "raise RuntimeError('broken on purpose')")
    write(folder, "02_never.ipynb", "1")
    monkeypatch.setattr(notebooks, "FOLDER", folder)
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path))
    assert notebooks.main([]) == 1
    last_line = capsys.readouterr().out.strip().splitlines()[-1]
    assert "01_fails" in last_line and "cell 2" in last_line
    page = (tmp_path / "runs" / "scenes" / "01_fails.html").read_text()
    assert "as far as here" in page and "broken on purpose" in page
    assert not (tmp_path / "runs" / "scenes" / "02_never.ipynb").exists()


@pytest.mark.notebooks
def test_a_notebook_run_too_early_names_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path))
    with pytest.raises(PapermillExecutionError, match="01_download"):
        notebooks.run([path for path in FILES if path.name.startswith("02")], tmp_path / "runs")


def test_paths_count_from_where_the_command_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = {"CAPTIONING_ROOT": "photos", "KERAS_HOME": "../keras", "CAPTIONING_WEIGHTS": "random"}
    notebooks.make_paths_absolute(environment)
    assert environment == {
        "CAPTIONING_ROOT": str(tmp_path / "photos"),
        "KERAS_HOME": str(tmp_path.parent / "keras"),
        "CAPTIONING_WEIGHTS": "random",
    }


def test_an_unknown_setting_is_one_line_and_an_exit_code(monkeypatch, capsys):
    monkeypatch.setenv("CAPTIONING_DATSET", "scenes")
    assert notebooks.main([]) == 2
    assert "CAPTIONING_DATASET" in capsys.readouterr().out
