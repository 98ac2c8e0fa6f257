"""The exercises of notebook 12, and what it leaves behind, on a few scenes."""

import json

import nbformat
import pytest

from captioning import bundle, experiments, settings
from tests.series import files_of, run_changed

pytestmark = pytest.mark.notebooks
CELL = "```python\n"


def code_of(notebook, number):
    """Return the code that an exercise gives, as a reader would paste it."""
    (text,) = (cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.id == "try")
    exercise = text.split(f"\n{number}. ")[1].split(f"\n{number + 1}. ")[0]
    return "\n".join(line.removeprefix("   ") for line in exercise.split(CELL)[1].split("```")[0].splitlines())


@pytest.fixture
def notebook(executed):
    """The executed notebook; the experiments that it uses must stay as they are."""
    checkpoints = settings.active().checkpoints
    kept = files_of(checkpoints)
    yield executed / "runs" / "12_caption_your_photos.ipynb"
    assert files_of(checkpoints) == kept


def test_photos_of_your_own_one_of_which_is_none(notebook, executed, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    scene = next((executed / "data" / "scenes-quick" / "images").glob("*.jpg"))
    (own / "a scene.jpg").write_bytes(scene.read_bytes())
    (own / "notes.jpg").write_text("these are notes")
    name = next(folder.name for folder in experiments.find(settings.active().checkpoints))
    knobs = [("MODEL = None", f"MODEL = {name!r}"), ("PHOTOS = None", f"PHOTOS = {str(own)!r}")]
    said = run_changed("12", {"settings": knobs, "wrong": (None, "")}, tmp_path / "series", until="models-finding")
    assert f"Left out: {own / 'notes.jpg'} " in said and "picture 1: -" in said and "picture 2" not in said


def test_a_picture_that_is_turned_silence_and_more_captions(notebook, tmp_path):
    """Exercises 2 to 4 in one run, each its code as the notebook gives it."""
    changes = {"look": (None, code_of(notebook, 2)), "look-finding": (None, code_of(notebook, 3))}
    changes["models"] = (None, code_of(notebook, 4))
    said = run_changed("12", changes, tmp_path, until="models")
    assert all(f"{turned} degrees: " in said for turned in (0, 90, 180)) and said.count("Right: ") == 2
    assert "\n2 The first caption is " in said and "\n5 The first caption is " in said


def test_what_is_taken_away(notebook, tmp_path):
    """The packed model and the ONNX files are those of the chosen model; exercise 5 draws with the latter."""
    project = settings.active()
    best = experiments.best(project.checkpoints)
    taken = project.data / "taken"
    assert bundle.load(taken / f"{best.name}.zip").kind == bundle.load(best).kind
    assert json.loads((taken / "onnx" / "model.json").read_text())["name"] == best.name
    drawn = (
        "chances = np.exp(logits[0]) / np.exp(logits[0]).sum()\n"
        "    words.append(int(np.random.default_rng(len(words)).choice(len(chances), p=chances)))"
    )
    needed = {
        "captions": (None, "files = [record.file for record in records]"),
        "pack": (None, 'taken = project.data / "taken"'),
        "onnx": (None, 'import json\n\nfacts = json.loads((taken / "onnx" / "model.json").read_text())'),
        "onnx-run": [
            ("words.append(int(logits[0].argmax()))", drawn),
            ('" ".join', 'print("drawn:", *words)\n" ".join'),
        ],
    }
    kept = {"setup", "settings", "quick", "choose", "photos", *needed}
    code = {cell.id for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"}
    changes = {name: (None, "") for name in code - kept - {"onnx-same", "page"}} | needed
    said = run_changed("12", changes, tmp_path, until="onnx-run")
    assert "drawn: 2 " in said


def test_what_is_decoded_with_onnx_is_what_the_model_says(notebook):
    cells = {cell.id: cell for cell in nbformat.read(notebook, as_version=4).cells}
    shown = [cells[name].outputs[-1].data["text/plain"].strip("'\"") for name in ("onnx-run", "onnx-same")]
    assert shown[0].replace(" ", "") == shown[1].replace(" ", "") and shown[0]  # written without spaces before commas
    assert not nbformat.read(notebook, as_version=4).metadata.get("widgets")
    assert cells["panel"].outputs[0].data["text/plain"].startswith("'Nobody can reach a panel here")
