"""The model card says what the bundle's own files say, and what is not known."""

import json

import pytest

from captioning import bundle
from captioning.files import DamagedError
from captioning.serving import card
from captioning.serving.pack import pack
from captioning.settings import DATASETS, ENCODERS
from tests.bundles import edit, finished, made_in

SCORES = {
    "images": 40,
    "CIDEr": 0.8,
    "CIDEr_interval": [0.7, 0.912],
    "Bleu_4": 0.25,
    "shuffled_CIDEr": 0.2,
    "METEOR": None,
    "decoding": {"beam_width": 5, "length_penalty": 0.7, "tried": [], "confidences": [-2.0, -1.0, -0.5]},
}
GROUNDING = {
    "exact": 0.6,
    "false_named": 0.125,
    "relation": None,
    "n": {"exact": 40, "false_named": 80, "relation": 0},
    "intervals": {"exact": [0.45, 0.74], "false_named": [0.07, 0.2], "relation": None},
}


@pytest.fixture
def folder(tmp_path):
    return finished(made_in(tmp_path), "numpy_lstm")[0]


def write(folder, name, content):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def of_dataset(folder, dataset, weights):
    settings = edit(folder)
    edit(folder, data=settings["data"] | {"dataset": dataset}, encoder=settings["encoder"] | {"weights": weights})


def test_it_says_what_the_files_say(folder):
    write(folder, "scores.json", SCORES)
    write(folder, "history.csv", "epoch,val_CIDEr,val_loss,seconds\n0,0.3,2,60\n1,0.5,2,60\n2,0.4,2,60\n")
    of_dataset(folder, "coco2014", "imagenet")
    found = card.card_of(loaded := bundle.load(folder))
    assert found == json.loads(json.dumps(found))
    assert found["parameters"] == sum(array.size for array in loaded.model.parameters.values())
    assert found["scores"]["CIDEr"] == {"value": 0.8, "interval": [0.7, 0.912]}
    assert found["scores"]["Bleu_4"] == {"value": 0.25, "interval": None} and "METEOR" not in found["scores"]
    assert found["training"] | {"epochs_run": 3, "best_epoch": 1, "minutes": 3.0} == found["training"]
    assert found["data"] | loaded.settings["data"] == found["data"]
    text = card.markdown(found)
    for said in (
        "| CIDEr | 0.800 | 0.700 to 0.912 |", "| Bleu 4 | 0.250 | not computed |", "On 40 test pictures",
        "Beam width 5, length penalty 0.7: chosen on validation pictures", "keep 25 % of their CIDEr",
        "3 validation pictures", f"says {len(loaded.tokenizer.vocabulary)} words", "captions CC BY 4.0", "Apache 2.0",
        "alt texts that a person checks", 'bundle.load("model.zip")',
    ):  # fmt: skip
        assert said in text
    assert "evaluated yet" not in text and "drawn" not in text


def test_on_scenes_it_says_how_often_the_model_is_wrong_and_that_it_knows_no_photos(folder):
    write(folder, "scores.json", SCORES | {"grounding": GROUNDING})
    of_dataset(folder, "scenes", "random")
    text = card.markdown(card.card_of(bundle.load(folder)))
    for said in (
        "40.0 % have a mistake or leave something out", "12.5 % are not in the picture", "means nothing",
        "weights of its CNN are random", "| exact (n = 40) | 0.600 | 0.450 to 0.740 |", "Not for photos",
    ):  # fmt: skip
        assert said in text
    assert "relation" not in text


def test_it_tells_how_captions_are_searched_and_what_was_trained_further(folder):
    rule = {"beam_width": 10, "k": 30, "mix": 0.5, "encoder": "mobilenet", "neighbors": "0", "validation_CIDEr": 0.6}
    words = list(bundle.load(folder).tokenizer.vocabulary[:2])
    decoding = SCORES["decoding"] | {"may_repeat": words, "consensus": rule}
    write(folder, "scores.json", SCORES | {"decoding": decoding, "consensus": {"CIDEr": 0.875}})
    settings = edit(folder, parent={"name": "numpy_lstm-mobilenet", "weights": "abc"})
    edit(folder, training=settings["training"] | {"averaging": 0.999})
    text = card.markdown(card.card_of(bundle.load(folder)))
    for said in (
        "| CIDEr | 0.800 | 0.700 to 0.912 | 0.875 |", "| Bleu 4 | 0.250 | not computed | |",
        "except 2 words that people repeat",
        "the captions of the 30 train pictures", "Trained further from `numpy_lstm-mobilenet` (its weights: `abc`)",
        "moving average",
    ):  # fmt: skip
        assert said in text
    assert "not in this file" not in text
    packed = card.card_of(bundle.load(folder)) | {"packed": {"half": False, "encoder": False, "consensus": False}}
    assert "What that needs is not in this file." in card.markdown(packed)


@pytest.mark.parametrize(
    "edited",
    [
        *({"CIDEr": "x"}, {"Bleu_4": [1]}, {"CIDEr_interval": ["x", 1]}, {"images": None}, {"consensus": 5}),
        *({"grounding": "x"}, {"grounding": GROUNDING | {"n": {"exact": "x"}}}),
    ],
)
def test_scores_that_somebody_has_edited_are_named(folder, edited):
    write(folder, "scores.json", SCORES | edited)
    with pytest.raises(DamagedError, match=r"scores\.json is damaged .* Run notebooks/11_evaluate\.ipynb again\.$"):
        card.card_of(bundle.load(folder))


def test_without_an_evaluation_it_says_so(folder):
    found = card.card_of(bundle.load(folder))
    text = card.markdown(found)
    assert "moving average" not in text and "Trained further" not in text and "consensus" not in text
    assert found["scores"] == {} and text.count("Not evaluated yet") == 2
    assert "the usual ones, since nothing was chosen yet" in text and "nothing was kept of how sure it is" in text


@pytest.mark.parametrize("dataset", [*DATASETS, "mine"])
def test_every_dataset_has_its_terms(folder, dataset):
    of_dataset(folder, dataset, "files")
    found = card.card_of(bundle.load(folder))
    own = dataset in ("folder", "mine")
    assert (found["licenses"]["data"] == card._OWN[1]) is own
    assert found["licenses"]["encoder weights"] == "as the owner of their file says"


def test_every_encoder_and_every_kind_of_model_has_its_words():
    assert card._ENCODER_LICENSES.keys() == ENCODERS.keys()
    assert card._MODELS.keys() == bundle.MADE_BY.keys()


def test_a_packed_model_holds_its_card(folder, tmp_path):
    expected = card.card_of(bundle.load(folder))
    found = json.loads(bundle.load(pack(folder, tmp_path / "model.zip", half=True)).folder.members["model_card.json"])
    assert found == expected | {"packed": {"half": True, "encoder": False, "consensus": False}}
    text = card.markdown(found)
    assert "in float16" in text and "Keras fetches or draws them" in text
    assert bundle.load(tmp_path / "model.zip").folder.members["MODEL_CARD.md"].decode() == text
