"""The runner of the notebooks: failures, interrupts, names, and settings that hold for a whole run."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import nbformat
import pytest
from nbclient.exceptions import CellTimeoutError

from captioning import notebooks, settings
from captioning.files import only_one


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
    (chooses,) = notebooks.named([notebooks.CHOOSES])
    assert set(notebooks.knobs_of(chooses)) == set(settings.KNOBS)


def test_notebook_00_alone_needs_no_choice_and_joins_one(series, tmp_path):
    series("00_first", "1")
    series("04_gru", "1")
    assert resolved("00") == settings.Project(home=tmp_path)
    with pytest.raises(FileNotFoundError, match="01_download"):
        resolved("00", "04")
    settings.choose("flickr8k", limit=7)
    assert (resolved("00").dataset, resolved("00").limit) == ("flickr8k", 7)


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
    costs = {"01_a": {"minutes": 0.1, "memory_GB": 0.5, "disk_MB": 1.0}}
    monkeypatch.setattr(notebooks, "run", lambda paths, folder, project: pages.append(folder) or costs)
    (tmp_path / "runs").mkdir()
    with only_one(tmp_path / "runs" / "scenes"):
        assert notebooks.main([]) == 0
    assert notebooks.main([]) == 0
    assert [folder.name for folder in pages] == ["scenes-2", "scenes"]
