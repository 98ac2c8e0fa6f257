"""The notebooks, run whole at the smallest size: pages, bundles, and knobs changed and changed back."""

import inspect
import json
import os
import re

import nbformat
import pytest

from captioning import bundle, experiments, notebooks, settings
from captioning.datasets import prepare
from captioning.findings.finding import CONFIRMED, DENIED
from captioning.models.gru import GRUDecoder
from captioning.tokenizer import Tokenizer
from tests import originals
from tests.series import FILES, files_of, pictures_in, run_changed
from tests.server import Server

pytestmark = pytest.mark.notebooks


def test_every_notebook_gives_a_page_with_pictures(executed):
    for path in FILES:
        assert pictures_in(executed / "runs" / path.name), path.stem


def test_no_warning_or_noise_of_tensorflow_is_left_in_the_pages(executed):
    for path in FILES:
        for cell in nbformat.read(executed / "runs" / path.name, as_version=4).cells:
            text = "".join(out.get("text", "") for out in cell.get("outputs", []) if out.get("name") == "stderr")
            assert not text, f"{path.stem}, {cell.id}: {text[:300]}"


@pytest.mark.parametrize("number", ["04", "05", "06", "07", "08", "09", "10"])
def test_what_is_claimed_of_a_mistake_came_out(number, executed):
    """Each of these notebooks puts mistakes back; what it claims must hold at the smallest size, or be left open."""
    (notebook,) = (executed / "runs").glob(f"{number}*.ipynb")
    outputs = [out for cell in nbformat.read(notebook, as_version=4).cells for out in cell.get("outputs", [])]
    said = [re.sub("<[^>]*>", "", out.get("data", {}).get("text/html", "")) for out in outputs]
    assert any(text.startswith(CONFIRMED) for text in said)
    assert not [text for text in said if text.startswith(DENIED)]


def test_every_bundle_is_whole_and_scored(executed):
    folders = experiments.find(executed / "checkpoints" / "scenes-quick")
    regions = ["bahdanau-inception_v3", "bilstm-resnet50", "numpy_lstm-resnet50", "numpy_rnn-resnet50"]
    regions += ["transformer-inception_v3"]
    first = {*regions, "gru-vgg16", "merge-vgg16"}
    (further,) = {folder.name for folder in folders} - first
    assert further.removesuffix("-sc") in first and len(folders) == len(first) + 1
    for folder in folders:
        assert bundle.load(folder).settings["finished"]
        scores = json.loads((folder / "scores.json").read_text())
        assert scores["images"] == 12
        assert set(scores["grounding"]) >= {"place", "object", "colour", "pair", "false_named", "unseen"}
        assert (folder / "history.csv").is_file() and (folder / "tokenizer.json").is_file()
        assert not (folder / "last").exists() and not list(folder.glob("partial-*"))


def test_a_second_run_finds_everything_made(executed, tmp_path):
    """One notebook of each kind: features alone, a model trained further, NumPy models; for 04 see the knobs."""
    names = ("rows-*.f16", "model.weights.h5", "model.npz", "history.csv")
    kept = {path: path.stat().st_mtime_ns for name in names for path in executed.rglob(name)}
    assert {path.name for path in kept} >= {"rows-00000.f16", *names[1:]}
    for number, last in (("01", None), ("03", "extract"), ("10", "fit"), ("08", "train")):
        run_changed(number, {}, tmp_path, until=last)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_the_vocabulary_is_that_of_train_alone(executed):
    project = settings.active()
    train = prepare.load(project).captions("train")
    assert Tokenizer.load(project.data / "tokenizer.json") == Tokenizer.fit(train, minimum_count=4)


def test_knobs_and_code_changed_and_changed_back(executed, tmp_path, capsys):
    """Every change is an experiment of its own beside the others; going back loads the first."""
    checkpoints, first = executed / "checkpoints" / "scenes-quick", "gru-vgg16"
    kept = files_of(checkpoints / first)
    source = inspect.getsource(GRUDecoder).replace("(hidden,) * LAYERS", "(0 * hidden,) * (LAYERS - 1) + (hidden,)")
    cell = f"from captioning.models.gru import *\n\n\n{source}"
    unneeded = {name: (None, "") for name in ("loop-run", "loop-same")}
    for change in ({"settings": ("DROPOUT = None", "DROPOUT = 0.25")}, {"source": (None, cell)}, {}):
        folder = tmp_path / f"series{len(list(tmp_path.iterdir()))}"
        said = run_changed("04", change | unneeded, folder, until="train")
    assert f"{first}: trained with exactly these settings; it is loaded." in said
    names = {folder.name for folder in experiments.find(checkpoints) if folder.name.startswith("gru")}
    assert names == {first, f"{first}-dropout-0.25", f"{first}-other-code"} and files_of(checkpoints / first) == kept
    said = run_changed("11", {}, tmp_path / "evaluation", until="table")
    assert f"{first}-other-code: left out. " in said and "'GRUDecoder' was defined in a notebook" in said
    assert said.count(f"\n{first}-dropout-0.25 ") >= 3  # among the experiments, the decodings and the scores
    experiments.delete(checkpoints, sorted(names - {first}))


def test_a_photo_replaced_under_its_name_stops_the_next_notebook(executed, tmp_path):
    project, file = settings.active(), executed / "data" / "scenes-quick" / "images" / "000000000001.jpg"
    photo, status = file.read_bytes(), file.stat()
    try:
        file.write_bytes(photo[:-2] + photo[-2:][::-1])
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(notebooks.NotebookError, match=r"000000000001\.jpg.*01_download"):
            run_changed("04", {}, tmp_path)
    finally:
        file.write_bytes(photo)
    prepare.load_tokenizer(project, prepare.load(project))


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


@pytest.mark.parametrize("name", ["coco2014", "flickr8k", "open-images", "folder"])
def test_the_first_two_notebooks_prepare_every_dataset(name, every_dataset, tmp_path):
    """The second one reads what the first has made in one form, whatever it was: it is run for two of them."""
    every_dataset(name, originals.real_photos() if originals.REAL.is_dir() else originals.made_up)
    both = name in ("coco2014", "folder")
    notebooks.run([path for path in FILES if path.name[:2] in ("01", "02")[: 1 + both]], tmp_path / "runs")
    data = settings.active().data
    assert data.parent == tmp_path / "home" / "data" and data.name.startswith(name)
    assert len(json.loads((data / "captions.json").read_text(encoding="utf-8"))["records"]) == 40
    assert (data / "report.txt").is_file() and (data / "tokenizer.json").is_file() == both
    assert pictures_in(tmp_path / "runs" / "01_download.ipynb") == 1
    assert not both or pictures_in(tmp_path / "runs" / "02_explore.ipynb") == 3
