"""The exercises of notebook 10, done on a few scenes: they show what they say, and leave nothing behind."""

import pytest

from captioning import experiments, settings
from captioning.datasets import prepare
from captioning.tokenizer import Tokenizer
from tests.series import files_of, run_changed

pytestmark = pytest.mark.notebooks
PEOPLE = """
print("people", score(people, numbers).mean() > 2 * rewards.mean())
cut = hanging(people)"""
NO_BASELINE = "\nself_critical.advantages = lambda rewards: rewards\nfew = CaptionBatches"


@pytest.fixture
def checkpoints(executed):
    """Give the checkpoints; what notebook 10 made must stay as it is, and what the exercises make is removed."""
    folder = executed / "checkpoints" / "scenes-quick"
    before = set(experiments.find(folder))
    kept = {each: files_of(each) for each in before if each.name.endswith("-sc")}
    assert kept
    yield folder
    assert all(files_of(each) == files for each, files in kept.items())
    experiments.delete(folder, sorted(each.name for each in set(experiments.find(folder)) - before))


def test_two_samples_another_parent_people_and_no_baseline(checkpoints, tmp_path):
    changes = {
        "settings": [('PARENT = "bahdanau"', 'PARENT = "gru-vgg16"'), ("SAMPLES = 5", "SAMPLES = 2")],
        "ends-function": ("cut = hanging(people)", PEOPLE),
        "mistake": ("few = CaptionBatches", NO_BASELINE),
    }
    said = run_changed("10", changes, tmp_path)
    assert "gru-vgg16-sc: a new experiment." in said or "gru-vgg16-sc-samples-2: a new experiment." in said
    assert "people True" in said


def test_the_words_are_those_of_the_parent_whatever_notebook_02_has_fitted_since(checkpoints, executed, tmp_path):
    file = executed / "data" / "scenes-quick" / "tokenizer.json"
    before = file.read_bytes()
    fitted = Tokenizer.load(file)
    try:
        more = Tokenizer.fit(prepare.load(settings.active()).captions("train"), minimum_count=1)
        assert len(more) > len(fitted)
        more.save(file)
        assert "-sc: trained with exactly these settings; it is loaded." in run_changed("10", {}, tmp_path)
    finally:
        file.write_bytes(before)
