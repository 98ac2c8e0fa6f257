"""The exercises of notebook 09, done on a few scenes: they run, and leave the first experiment as it is."""

import inspect

import pytest

from captioning import experiments
from captioning.models.transformer import TransformerDecoder
from tests.series import files_of, run_changed

pytestmark = pytest.mark.notebooks
FIRST_BLOCK_AGAIN_AND_OWN_PHOTO = """
plotting.show_heads(val_records[0].file, words[0], maps[0][:, 0])
print("first block:", findings.heads(val_records, words, [weights[:, 0] for weights in maps]))


def read_again(tokens, state):
    pictures, read = state
    read = np.concatenate([read, tokens[:, None]], axis=1)
    logits = captioner.model({"features": pictures, "tokens": read[:, None]})[:, 0, -1]
    return decoding.Step(logits, (pictures, read))


rows = store.rows(shown)
again = decoding.greedy(read_again, (rows, np.zeros((len(rows), 0), np.int32)), MAX_WORDS)
kept = decoding.greedy(captioner.step, captioner.initial_state(rows), MAX_WORDS)
print("same captions", [caption.tokens for caption in again] == [caption.tokens for caption in kept])
print("own photo:", captioner.caption(str(shown[0].file)))
"""


@pytest.fixture
def checkpoints(executed):
    """Give the checkpoints; the notebook's own bundle must stay as it is, and what the exercises made is removed."""
    folder = executed / "checkpoints" / "scenes-quick"
    first = folder / "transformer-inception_v3"
    kept, before = files_of(first), set(experiments.find(folder))
    yield folder
    assert files_of(first) == kept
    experiments.delete(folder, sorted(made.name for made in set(experiments.find(folder)) - before))


def test_one_head_no_positions_the_first_block_no_cache_and_own_photos(checkpoints, tmp_path):
    """In one run, which is one training: each exercise works on its own if all of them do together."""
    source = inspect.getsource(TransformerDecoder)
    changed = source.replace("* math.sqrt(self.config.units) + positions", "* math.sqrt(self.config.units)")
    assert changed != source
    changes = {
        "quick": ("HEADS=2", "HEADS=1"),
        "source": (None, f"from captioning.models.transformer import *\n\n\n{changed}"),
        "measured-heads": (None, FIRST_BLOCK_AGAIN_AND_OWN_PHOTO),
    }
    said = run_changed("09", changes, tmp_path, until="measured-heads")
    assert "transformer-inception_v3-other-code-heads-1: a new experiment." in said
    assert "first block: Mean of the largest weight" in said and "in common" not in said
    assert "same captions True" in said and "\nown photo: " in said
