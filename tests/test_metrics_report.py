"""The whole score: its fields and its refusals."""

import unicodedata

import pytest

from captioning.metrics import CiderD, bootstrap_interval, grounding, score
from captioning.metrics.lexicon import Lexicon

REFERENCES = {1: ["A dog runs.", "the dog"], 2: ["Two boats on the lake"], 3: ["a red kite", "kite", "some kite"]}
RESULTS = {3: "A red kite.", 1: "a dog", 2: "two boats"}


def test_fields():
    scores = score(REFERENCES, RESULTS)
    assert list(scores) == [
        "images",
        *("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "ROUGE_L", "CIDEr", "CIDEr_interval"),
        *("METEOR", "METEOR_reason", "SPICE", "SPICE_reason", "empty_captions"),
    ]
    assert scores["images"] == 3
    mean, per_image = CiderD(REFERENCES).score(RESULTS)
    assert scores["CIDEr"] == pytest.approx(mean)
    assert scores["CIDEr_interval"] == pytest.approx(bootstrap_interval(per_image))  # that of notebook 11
    assert scores["METEOR"] is scores["SPICE"] is None
    assert "Java" in scores["METEOR_reason"]
    assert "Java" in scores["SPICE_reason"]
    assert scores["empty_captions"] == 0
    assert scores == score(CiderD(REFERENCES), RESULTS)


def test_an_empty_caption_scores_zero_and_counts():
    full = score({1: ["a b c d"], 2: ["e f g h"]}, {1: "a b c d", 2: "e f g h"})
    half = score({1: ["a b c d"], 2: ["e f g h"]}, {1: "a b c d", 2: " . "})
    assert half["images"] == 2
    assert half["empty_captions"] == 1
    assert half["CIDEr"] == pytest.approx(full["CIDEr"] / 2)
    assert half["ROUGE_L"] == pytest.approx(full["ROUGE_L"] / 2)
    assert half["Bleu_1"] < 0.4 < full["Bleu_1"]


def test_names_the_images_that_do_not_match():
    many = {number: ["a dog"] for number in range(30)}
    with pytest.raises(ValueError, match=r"No result for 28 images \(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, \.\.\.\)"):
        score(many, {0: "a", 1: "b"})
    with pytest.raises(ValueError, match=r"without references: 1 image \('x'\)"):
        score({1: ["a"]}, {1: "a", "x": "b"})
    with pytest.raises(ValueError, match=r"without a reference caption: 1 image \(7\)"):
        score({1: ["a"], 7: []}, {1: "a", 7: "b"})
    with pytest.raises(ValueError, match="No result"):
        score({1: ["a"]}, {2: "a"})


@pytest.mark.parametrize("ids", [(0, 1, 2, 3), ("0", "1", "2", "3"), (0, "1", 2, "x")])
def test_ids_match_as_texts_where_nothing_else_is_meant(ids):
    """JSON objects have texts as keys, so that ids read back from one are texts."""
    captions = ["a dog runs", "two boats", "a red kite", "the lake"]
    expected = score({place: [text] for place, text in enumerate(captions)}, dict(enumerate(captions)))
    for other in (str, lambda each: int(each) if each != "x" else each):
        results = {other(each): text for each, text in zip(ids, captions, strict=True)}
        assert score(dict(zip(ids, ([text] for text in captions), strict=True)), results) == expected
        truth = {each: {"place": "lake", "objects": []} for each in ids}
        lexicon = Lexicon({"place": {"lake": ["lake"]}, "object": {}, "colour": {}})
        assert grounding(truth, results, lexicon)["place"] == 1 / 4


@pytest.mark.parametrize(
    "results", [{"1": "a"}, {"1": "a", "3": "b"}, {"01": "a", "2": "b"}, {"1": "a", "2": "b", "3": "c"}]
)
def test_ids_that_differ_in_type_too_are_told_so(results):
    with pytest.raises(ValueError, match=r"No result for 2 images \(1, 2\)\. The ids .* are int, those .* str\."):
        score({1: ["a"], 2: ["b"]}, results)


def test_an_id_and_its_text_are_two_images_where_both_are_there():
    assert score({1: ["a b"], "1": ["c d"]}, {1: "a b", "1": "c d"})["Bleu_2"] == pytest.approx(1)
    with pytest.raises(ValueError, match="without references"):
        score({1: ["a b"]}, {1: "a b", "1": "c d"})


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_both_unicode_forms_score_alike(form):
    text = "un café-théâtre près de là"
    scores = score({1: [text], 2: ["a b c d"]}, {1: unicodedata.normalize(form, text), 2: "a b c d"})
    assert scores["Bleu_4"] == pytest.approx(1) and scores["CIDEr"] == pytest.approx(10)


@pytest.mark.parametrize(
    "references, results, message",
    [
        ({}, {}, "empty"),
        ({1: "a dog"}, {1: "a"}, "not a list"),
        ({1: [None]}, {1: "a"}, "not a list"),
        ({1: ["a dog"]}, {1: ["a"]}, "not a text"),
        ({1: ["a dog"]}, {1: None}, "not a text"),
    ],
)
def test_refuses_wrong_types(references, results, message):
    with pytest.raises(ValueError, match=message):
        score(references, results)
