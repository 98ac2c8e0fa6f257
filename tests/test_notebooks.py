"""The notebooks: clean files, and run whole at the smallest size."""

import inspect
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import nbformat
import pytest
from nbclient.exceptions import CellTimeoutError

from captioning import bundle, experiments, notebooks, settings
from captioning.datasets import prepare
from captioning.files import only_one
from captioning.models.gru import GRUDecoder
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
        folders = experiments.find(executed / "checkpoints" / "scenes-quick")
        regions = ["bahdanau-inception_v3", "bilstm-resnet50", "numpy_lstm-resnet50", "numpy_rnn-resnet50"]
        assert [folder.name for folder in folders] == sorted([*regions, "gru-vgg16", "merge-vgg16"])
        for folder in folders:
            assert bundle.load(folder).settings["finished"]
            scores = json.loads((folder / "scores.json").read_text())
            assert scores["images"] == 12
            assert set(scores["grounding"]) >= {"place", "object", "colour", "pair", "false_named", "unseen"}
            assert (folder / "history.csv").is_file() and (folder / "tokenizer.json").is_file()
            assert not (folder / "last").exists() and not list(folder.glob("partial-*"))

    def test_a_second_run_finds_everything_made(self, executed):
        """One notebook of each kind: features alone, a Keras model, NumPy models."""
        names = ("rows-*.f16", "model.weights.h5", "model.npz", "history.csv")
        kept = {path: path.stat().st_mtime_ns for name in names for path in executed.rglob(name)}
        assert {path.name for path in kept} >= {"rows-00000.f16", *names[1:]}
        notebooks.run([path for path in FILES if path.name[:2] in ("01", "03", "04", "08")], executed / "again")
        assert kept == {path: path.stat().st_mtime_ns for path in kept}

    def test_the_vocabulary_is_that_of_train_alone(self, executed):
        project = settings.active()
        train = prepare.load(project).captions("train")
        assert Tokenizer.load(project.data / "tokenizer.json") == Tokenizer.fit(train, minimum_count=4)

    def test_knobs_and_code_changed_and_changed_back(self, executed, tmp_path, capsys):
        """Every change is an experiment of its own beside the others; going back loads the first."""
        checkpoints, first = executed / "checkpoints" / "scenes-quick", "gru-vgg16"
        kept = files_of(checkpoints / first)
        source = inspect.getsource(GRUDecoder).replace("(hidden,) * LAYERS", "(0 * hidden,) * (LAYERS - 1) + (hidden,)")
        cell = f"from captioning.models.gru import *\n\n\n{source}"
        for change in ({"settings": ("DROPOUT = None", "DROPOUT = 0.25")}, {"source": (None, cell)}, {}):
            said = run_changed("04", change, tmp_path / f"series{len(list(tmp_path.iterdir()))}")
        assert f"{first}: trained with these very settings; it is loaded." in said
        names = {folder.name for folder in experiments.find(checkpoints) if folder.name.startswith("gru")}
        assert (
            names == {first, f"{first}-dropout-0.25", f"{first}-other-code"} and files_of(checkpoints / first) == kept
        )
        said = run_changed("09", {}, tmp_path / "evaluation")
        assert f"{first}-other-code: left out. " in said and "'GRUDecoder' was defined in a notebook" in said
        assert said.count(f"\n{first}-dropout-0.25 ") >= 3  # among the experiments, the decodings and the scores
        experiments.delete(checkpoints, sorted(names - {first}))

    def test_a_photo_replaced_under_its_name_stops_the_next_notebook(self, executed, tmp_path):
        file = executed / "data" / "scenes-quick" / "images" / "000000000001.jpg"
        photo, status = file.read_bytes(), file.stat()
        try:
            file.write_bytes(photo[:-2] + photo[-2:][::-1])
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
            with pytest.raises(notebooks.NotebookError, match=r"000000000001\.jpg.*01_download"):
                run_changed("04", {}, tmp_path)
        finally:
            file.write_bytes(photo)
        run_changed("02", {}, tmp_path)


def files_of(folder):
    """Return name -> bytes of every file."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_changed(number, changes, folder):
    """Run a notebook with cells changed, id -> (old, new) or (None, whole cell); return what it printed."""
    (path,) = (path for path in FILES if path.name.startswith(number))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.id in changes:
            old, new = changes[cell.id]
            assert old is None or old in cell.source
            cell.source = new if old is None else cell.source.replace(old, new)
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / path.name)
    notebooks.run([folder / path.name], folder / "runs")
    cells = nbformat.read(folder / "runs" / path.name, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


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
            originals.publish_to_kernels(server, tmp_path / "ipython", monkeypatch)

    with Server() as server:
        monkeypatch.setenv("CAPTIONING_MIRROR", server.url(originals.MIRROR))
        yield offer


@pytest.mark.notebooks
@pytest.mark.parametrize("photos", ["made up", pytest.param("real", marks=originals.needs_real)])
@pytest.mark.parametrize("name", ["coco2014", "flickr8k", "open-images", "folder"])
def test_the_first_two_notebooks_prepare_every_dataset(name, photos, every_dataset, tmp_path):
    every_dataset(name, originals.real_photos() if photos == "real" else originals.made_up)
    notebooks.run([path for path in FILES if path.name[:2] in ("01", "02")], tmp_path / "runs")
    data = settings.active().data
    assert data.parent == tmp_path / "home" / "data" and data.name.startswith(name)
    assert len(json.loads((data / "captions.json").read_text(encoding="utf-8"))["records"]) == 40
    assert (data / "tokenizer.json").is_file() and (data / "report.txt").is_file()
    assert pictures_in(tmp_path / "runs" / "01_download.ipynb") == 1
    assert pictures_in(tmp_path / "runs" / "02_explore.ipynb") == 3


def parameters(**knobs):
    return "\n".join(f"{name} = {value!r}" for name, value in knobs.items())


@pytest.fixture
def series(tmp_path, monkeypatch):
    """Return a function that writes a notebook of some cells into the folder that the runner looks at."""
    folder = tmp_path / "series"
    folder.mkdir()
    monkeypatch.setattr(notebooks, "FOLDER", folder)
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path))

    def write(name, *sources):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
        return folder / f"{name}.ipynb"

    return write


def printed_by(executed):
    """Return what the cells of an executed notebook have printed."""
    cells = nbformat.read(executed, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.outputs)


@pytest.mark.notebooks
def test_a_failure_keeps_the_executed_part_and_names_notebook_and_cell(series, tmp_path, capsys):
    series("01_fails", "print('as far as ' + 'here')", "raise RuntimeError('broken on purpose')", "1")
    series("02_never", "1")
    later = tmp_path / "runs" / "scenes" / "02_never.ipynb"
    later.parent.mkdir(parents=True)
    later.write_text("of an earlier run, written later than all others")
    assert notebooks.main([]) == 1
    last_line = capsys.readouterr().out.strip().splitlines()[-1]
    assert "01_fails" in last_line and "cell 2" in last_line
    page = (tmp_path / "runs" / "scenes" / "01_fails.html").read_text()
    assert "as far as here" in page and "broken on purpose" in page
    assert not later.with_suffix(".html").exists()


@pytest.mark.notebooks
def test_a_kernel_that_died_is_named_with_what_to_set(series, tmp_path, capsys):
    series("01_fine", "1")
    series("04_dies", "print('as far as ' + 'here')", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "1")
    assert notebooks.main([]) == 1
    said = capsys.readouterr().out
    assert all(words in said for words in ("died", "CAPTIONING_LIMIT", "CAPTIONING_ENCODER=mobilenet", "BATCH"))
    folder = tmp_path / "runs" / "scenes"
    assert said.strip().splitlines()[-1] == f"FAILED: 04_dies, cell 2. See {folder / '04_dies.html'}"
    assert "as far as here" in (folder / "04_dies.html").read_text()
    assert printed_by(folder / "04_dies.ipynb") == "as far as here\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CellTimeoutError("too slow"), 1, "CellTimeoutError: too slow\nFAILED: 01_a; there is no page of it."),
        (RuntimeError("Kernel didn't respond"), 1, "Kernel didn't respond\nFAILED: 01_a"),
        (KeyboardInterrupt(), 130, "INTERRUPTED: 01_a"),
    ],
)
def test_whatever_ends_a_notebook_it_is_named(error, code, said, series, monkeypatch, capsys):
    def execute(notebook, executed, **options):
        executed.write_text('{"cells": [')
        raise error

    series("01_a", "1")
    monkeypatch.setattr(notebooks.papermill, "execute_notebook", execute)
    before = dict(os.environ)
    assert notebooks.main([]) == code
    assert said in capsys.readouterr().out
    assert dict(os.environ) == before


@pytest.mark.notebooks
def test_an_interrupt_names_the_cell_and_keeps_the_page(series, tmp_path):
    series("01_waits", "print('as far as ' + 'here')", "open('../started', 'w').close(); import time; time.sleep(600)")
    code = f"""
        import sys; from pathlib import Path; from captioning import notebooks
        notebooks.FOLDER = Path({str(notebooks.FOLDER)!r}); sys.exit(notebooks.main([]))
    """
    runner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "started").exists():
        assert runner.poll() is None
        time.sleep(0.1)
    runner.send_signal(signal.SIGINT)
    said, _ = runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert "INTERRUPTED: 01_waits, cell 2." in said
    assert "as far as here" in (tmp_path / "runs" / "scenes" / "01_waits.html").read_text()


SHOWS = (
    "from captioning import settings; project = settings.active(); print(project.dataset, project.limit, project.name)"
)
CHOOSES = "from captioning import settings; print(settings.choose(DATASET, ROOT, LIMIT).dataset)"


@pytest.mark.notebooks
def test_a_run_keeps_its_project_whatever_becomes_of_the_settings(series, tmp_path, monkeypatch):
    """Between its first two notebooks, another process writes active.json."""
    series("01_chooses", parameters(DATASET="scenes", ROOT=None, LIMIT=7), CHOOSES)
    other = json.dumps({"dataset": "flickr8k", "limit": 3})
    series("02_other", f"open('../data/active.json', 'w').write({other!r})", SHOWS)
    series("04_shows", "import os", SHOWS, "print(os.environ['KERAS_HOME'])")
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    monkeypatch.setenv("KERAS_HOME", "keras")
    monkeypatch.chdir(tmp_path)
    assert notebooks.main([]) == 0
    pages = tmp_path / "runs" / "coco2014"
    assert printed_by(pages / "01_chooses.ipynb") == "coco2014\n"
    assert printed_by(pages / "04_shows.ipynb") == f"coco2014 7 coco2014\n{tmp_path / 'keras'}\n"
    assert settings.RESOLVED not in os.environ and os.environ["KERAS_HOME"] == "keras"


@pytest.mark.notebooks
def test_later_notebooks_alone_use_what_was_chosen_and_the_environment(series, tmp_path, monkeypatch):
    series("04_shows", "1", SHOWS)
    settings.choose("open-images", limit=5)
    monkeypatch.setenv("CAPTIONING_QUICK", "1")
    assert notebooks.main(["04"]) == 0
    executed = tmp_path / "runs" / "open-images-quick" / "04_shows.ipynb"
    assert printed_by(executed) == "open-images 5 open-images-quick\n"


def resolved(*names):
    return notebooks.resolve(notebooks.named(names))


def test_the_knobs_of_notebook_01_count_before_what_was_chosen_earlier(series, tmp_path, monkeypatch):
    (tmp_path / "series" / "photos").mkdir()
    source = (
        'DATASET: str = "folder"  # yours\nROOT = (\n    "photos"\n)\nLIMIT = 1_000\n'
        'SPLIT = f"{DATASET}"\nWEIGHTS = "random"'
    )
    series("01_chooses", source)
    series("04_gru", "1")
    settings.choose("flickr8k")
    root = str(tmp_path / "series" / "photos")
    assert resolved() == resolved("01") == settings.Project("folder", root, 1000, "random", home=tmp_path)
    assert resolved("04").dataset == "flickr8k"
    assert settings.active().dataset == "flickr8k"  # nothing was written
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    assert resolved() == settings.Project("coco2014", None, 1000, "random", home=tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "LIMIT = 2 * 50",
        "DATASET, LIMIT = 'scenes', 5",
        "if True:\n    LIMIT = 5",
        "LIMIT += 1",
        "LIMIT =",
        "LIMIT: int",
    ],
)
def test_a_knob_that_only_the_kernel_can_know_is_refused(source, series, capsys):
    series("01_chooses", source)
    assert notebooks.main([]) == 2
    said = capsys.readouterr().out
    assert "01_chooses.ipynb: give each of DATASET, ROOT, LIMIT, WEIGHTS, ENCODER as a plain value" in said


def test_the_committed_knobs_are_those_of_choose():
    assert set(notebooks.knobs_of(FILES[0])) == set(settings.KNOBS)


@pytest.mark.parametrize("names", [["gru"], ["04", "gru"], ["4"], [""], ["--help"], ["04_gru", "05x"]])
def test_a_name_of_no_notebook_lists_the_notebooks(names, series, tmp_path, capsys):
    for name in ("01_download", "04_gru", "05_attention"):
        series(name, "1")
    assert notebooks.main(names) == 2
    said = capsys.readouterr().out.strip()
    assert "\n" not in said and said.endswith("there are: 01_download, 04_gru, 05_attention.")
    assert not (tmp_path / "runs").exists()


def test_names_choose_notebooks_in_the_order_of_the_series(series):
    for name in ("01_download", "04_gru", "05_attention"):
        series(name, "1")
    assert [path.stem for path in notebooks.named(["05", "04"])] == ["04_gru", "05_attention"]
    assert [path.stem for path in notebooks.named(["notebooks/04_gru.ipynb", "04"])] == ["04_gru"]
    assert len(notebooks.named([])) == 3


def test_a_notebook_run_too_early_is_one_line_and_an_exit_code(series, capsys):
    series("04_gru", "1")
    assert notebooks.main(["04"]) == 2
    said = capsys.readouterr().out.strip()
    assert "Run notebooks/01_download.ipynb first" in said and "\n" not in said


def test_an_unknown_setting_is_one_line_and_an_exit_code(monkeypatch, capsys):
    monkeypatch.setenv("CAPTIONING_DATSET", "scenes")
    assert notebooks.main([]) == 2
    assert "CAPTIONING_DATASET" in capsys.readouterr().out


def test_two_runs_on_one_dataset_write_their_pages_to_two_folders(series, tmp_path, monkeypatch):
    series("01_a", "1")
    pages = []
    monkeypatch.setattr(notebooks, "run", lambda paths, folder, project: pages.append(folder) or {})
    (tmp_path / "runs").mkdir()
    with only_one(tmp_path / "runs" / "scenes"):
        assert notebooks.main([]) == 0
    assert notebooks.main([]) == 0
    assert [folder.name for folder in pages] == ["scenes-2", "scenes"]
