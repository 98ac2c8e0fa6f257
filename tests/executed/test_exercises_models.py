"""The exercises of notebooks 04 and 06, done on a few scenes: they run, and leave the first experiment as it is."""

import inspect

import pytest

from captioning import experiments
from captioning.models.merge import MergeDecoder
from tests.series import files_of, run_changed

pytestmark = pytest.mark.notebooks
SAMPLED_AND_SECONDS = """
for temperature in (0.5, 1.5):
    drawn = decoding.sample(captioner.step, captioner.initial_state(vectors), temperature=temperature)
    print("sampled", [tokenizer.decode(caption.tokens) for caption in drawn])
print("seconds", [row["seconds"] for row in history])
"""
GAP = 'print(findings.curves({"changed": history}))'
PICTURE_INTO_THE_LSTM = {  # what the model has -> what exercise 2 of notebook 06 puts there
    "cell(self.embedding(tokens), ": "cell(self.embedding(tokens) + image, ",
    "self.lstm(words, ": "self.lstm(words + ops.expand_dims(image, 1), ",
    "self.joint(image + hidden)": "self.joint(hidden)",
}
ONE_BY_ONE = """
state, expected = model.initial_state(inputs["features"]), model(inputs)[:, 0]
for number, tokens in enumerate(inputs["tokens"][:, 0].T):
    logits, state, _ = model.step(tokens, state)
    assert np.allclose(logits, expected[:, number], atol=1e-4)
print("step by step as in one pass")
"""


@pytest.fixture
def first_experiments(executed):
    """Give the checkpoints; what they hold must stay as it is, and what the exercises made is removed."""
    checkpoints = executed / "checkpoints" / "scenes-quick"
    kept = {folder: files_of(folder) for folder in experiments.find(checkpoints)}
    yield checkpoints
    assert all(files_of(folder) == files for folder, files in kept.items())
    experiments.delete(checkpoints, sorted(folder.name for folder in set(experiments.find(checkpoints)) - kept.keys()))


def test_fewer_units_no_dropout_and_captions_that_are_sampled(first_experiments, tmp_path):
    changes = {
        "settings": ("DROPOUT = None", "DROPOUT = 0.0"),
        "quick": ("UNITS=16", "UNITS=8"),
        "curves-finding": (None, GAP),
        "captions-finding": (None, SAMPLED_AND_SECONDS),
    }
    before = set(experiments.find(first_experiments))
    said = run_changed("04", changes, tmp_path, until="captions-finding")
    (made,) = set(experiments.find(first_experiments)) - before
    assert made.name == "gru-vgg16-units-8-dropout-0" and f"{made.name}: a new experiment." in said
    assert "was kept" in said and "At the kept epoch accuracy is" in said
    assert said.count("sampled [") == 2 and "seconds [" in said


def test_no_dropout_and_the_picture_in_the_input_of_the_lstm(first_experiments, tmp_path):
    """The changed class trains, decodes word for word as in one pass, and is saved as one file."""
    source = inspect.getsource(MergeDecoder)
    for old, new in PICTURE_INTO_THE_LSTM.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    before = set(experiments.find(first_experiments))
    changes = {
        "settings": ("DROPOUT = None", "DROPOUT = 0.0"),
        "quick": ("EMBEDDING=64, UNITS=64", "EMBEDDING=32, UNITS=32"),
        "source": (None, f"from captioning.models.merge import *\n\n\n{source}"),
        "curves-finding": (None, GAP),
        "accuracy": (None, ONE_BY_ONE),
    }
    said = run_changed("06", changes, tmp_path, until="export")
    assert "was kept" in said and "At the kept epoch accuracy is" in said
    assert "step by step as in one pass" in said
    (made,) = set(experiments.find(first_experiments)) - before
    assert made.name == "merge-vgg16-other-code-embedding-32-units-32-dropout-0"
    assert f"{made.name}: a new experiment." in said and (made / "model.keras").is_file()
