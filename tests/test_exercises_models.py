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
NO_MISTAKE = "fresh, by_caption, by_picture = model, [0.1, 0.2], [0.1, 0.1]"
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


def test_fewer_units_and_captions_that_are_sampled(first_experiments, tmp_path):
    said = run_changed(
        "04", {"quick": ("UNITS=16", "UNITS=8"), "captions-finding": (None, SAMPLED_AND_SECONDS)}, tmp_path
    )
    assert "gru-vgg16-units-8: a new experiment." in said
    assert said.count("sampled [") == 2 and "seconds [" in said


@pytest.mark.parametrize(
    ("number", "changes"),
    [("04", {}), ("06", {"quick": ("UNITS=64", "UNITS=32"), "mistake-run": (None, NO_MISTAKE)})],
)
def test_no_dropout_and_what_the_sentence_below_the_curves_tells(number, changes, first_experiments, tmp_path):
    before = set(experiments.find(first_experiments))
    changes = changes | {"settings": ("DROPOUT = None", "DROPOUT = 0.0"), "curves-finding": (None, GAP)}
    said = run_changed(number, changes, tmp_path)
    assert len(set(experiments.find(first_experiments)) - before) == 1
    assert "was kept" in said and "At the kept epoch accuracy is" in said


def test_the_picture_in_the_input_of_the_lstm(first_experiments, tmp_path):
    """The changed class trains, decodes word for word as in one pass, and is saved as one file."""
    source = inspect.getsource(MergeDecoder)
    for old, new in PICTURE_INTO_THE_LSTM.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    cell = f"from captioning.models.merge import *\n\n\n{source}"
    said = run_changed(
        "06", {"source": (None, cell), "accuracy": (None, ONE_BY_ONE), "mistake-run": (None, NO_MISTAKE)}, tmp_path
    )
    assert "merge-vgg16-other-code: a new experiment." in said and "step by step as in one pass" in said
    assert (first_experiments / "merge-vgg16-other-code" / "model.keras").is_file()
