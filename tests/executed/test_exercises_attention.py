"""The exercises of notebooks 05 and 07, done on a few scenes: they show what they say, and leave nothing behind."""

import inspect

import pytest

from captioning import bundle, experiments, plotting
from captioning.models.bahdanau import AdditiveAttention, BahdanauDecoder
from tests.series import files_of, run_changed

pytestmark = pytest.mark.notebooks
UNTRAINED_AND_BOTH = """
plotting.show_attention(
    shown[0].file, [tokenizer.word(token) for token in untrained[0].tokens], untrained[0].attention
)
print(findings.evenness(maps))
print("own photo:", captioner.caption(str(shown[0].file)))
for name, model in compared.items():
    start, step = model.compile_step()
    own = decoding.greedy(step, start(store.rows(val_records)), max_length=MAX_WORDS)
    print(name, findings.looking(
        val_records, [[tokenizer.word(t) for t in c.tokens] for c in own], [c.attention for c in own]
    ))
"""
SUMS_AND_ALONE = """
print("sums", maps[0].sum(axis=1).round(2))
alone = captioner.decode(store.rows(val_records[:1]), beam_width=3)[0].attention
print("same weights", alone.shape == maps[0].shape and np.allclose(alone, maps[0], atol=1e-4))
"""


@pytest.fixture
def bundle_of_05(executed):
    """Give the checkpoints and the notebook's own bundle, which must stay as it is; remove what exercises made."""
    checkpoints = executed / "checkpoints" / "scenes-quick"
    first = checkpoints / "bahdanau-inception_v3"
    kept = files_of(first)
    before = set(experiments.find(checkpoints))
    yield checkpoints
    assert files_of(first) == kept
    experiments.delete(checkpoints, sorted(folder.name for folder in set(experiments.find(checkpoints)) - before))


def test_fewer_units_sums_untrained_maps_own_photos_and_both_models(bundle_of_05, tmp_path):
    changes = {
        "quick": ("UNITS=16", "UNITS=8"),
        "measured": (None, SUMS_AND_ALONE),
        "mistake-curves-finding": (None, UNTRAINED_AND_BOTH),
    }
    said = run_changed("05", changes, tmp_path)
    assert "units-8: a new experiment." in said
    assert "sums [1. 1." in said and "same weights True" in said
    assert "times that of an even look" in said and "\nown photo: " in said
    assert "state carried over " in said and "state restarts " in said


def test_a_softmax_over_the_batch_makes_weights_depend_on_the_other_pictures(bundle_of_05, tmp_path):
    attention = inspect.getsource(AdditiveAttention).replace("axis=-1)\n", "axis=0)\n")
    cell = f"from captioning.models.bahdanau import *\n\n\n{attention}\n\n{inspect.getsource(BahdanauDecoder)}"
    said = run_changed("05", {"source": (None, cell), "measured": (None, SUMS_AND_ALONE)}, tmp_path, until="measured")
    assert "other-code: a new experiment." in said
    assert "sums [1. 1." not in said and "same weights False" in said


def test_own_photos_in_07(executed):
    """Any picture will do: what notebook 07 does with `captioner` needs nothing but the bundle."""
    photo = next((executed / "data" / "scenes-quick" / "images").glob("*.jpg"))
    captioner = bundle.load(executed / "checkpoints" / "scenes-quick" / "bilstm-resnet50")
    answer = captioner.caption(str(photo), attention=True)
    assert str(answer).strip()
    assert plotting.show_attention(str(photo), answer.words, answer.attention).axes
