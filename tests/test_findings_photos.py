"""Sentences on answers to photos, each in all that it may have to say."""

from pathlib import Path

import numpy as np
import pytest

from captioning import findings
from captioning.bundle import Answer, Candidate
from captioning.datasets.records import Record

SCENE = {"place": "lake", "objects": [{"object": "boat", "colour": "red", "unseen": False, "box": [0, 0, 0.5, 1]}]}
RIGHT, WRONG = "a red boat on a lake", "a blue boat on a lake"
COIN = "A coin would be right in half of them: the model is "
NEITHER = "neither clearly better nor clearly worse"


def scene(number=0):
    return Record(number, Path("x.jpg"), ("a red boat on a lake",), "test", SCENE)


def photo(number=0, said=("a red boat on a lake",)):
    return Record(number, Path("x.jpg"), said, "test")


def answer(*captions, below=None, per_word=-0.5, behind=1.0, **more):
    """An answer whose captions are each `behind` less probable, as logarithms, than the one before."""
    found = [Candidate(text, -3.0 - behind * place, per_word) for place, text in enumerate(captions or (RIGHT,))]
    return Answer(tuple(found), below, **more)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([0.8], "It is above 80 % of those of the validation captions."),
        ([0.8, 0.8], "Each is above 80 % of those of the validation captions."),
        ([0.1, 0.8], "captions below it: largest for picture 2 (80 %), smallest for picture 1 (10 %)."),
        ([0.8, 0.1, 0.8, 0.1], "largest for pictures 1 and 3 (80 %), smallest for pictures 2 and 4 (10 %)."),
        ([None, None], "There are no validation captions to compare it with: run 11_evaluate."),
        ([0.0], "It is above 0 % of those of the validation captions."),
    ],
)
def test_sureness(shares, said):
    text = findings.sureness([answer(below=share) for share in shares])
    assert text.startswith("Mean log-probability of a word: -0.50. ") and said in text


def test_sureness_tells_the_range_of_the_means():
    assert "a word: -0.90 to -0.20." in findings.sureness([answer(per_word=-0.2), answer(per_word=-0.9)])


def test_one_caption_each_has_no_alternative():
    said = findings.alternatives([photo(), photo(1)], [answer(RIGHT), answer(WRONG)])
    assert said == "There is only one caption for each picture: nothing to compare it with."


def test_reranking():
    plain, other, rule = [answer(RIGHT), answer(WRONG)], [answer(RIGHT), answer(RIGHT)], {"k": 30}
    text = "Captions of 30 similar train pictures choose another caption for 1 of 2 pictures."
    assert findings.reranked([photo(), photo(1)], plain, other, rule) == text
    assert findings.reranked([scene(), scene(1)], plain, other, rule) == f"{text} Right: 1 without them, 2 with them."
    assert "run 11_evaluate" in findings.reranked([photo(), photo(1)], plain, plain, None)


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        (np.log(2), "The first caption is 2.0 times as probable as the second."),
        (900.0, "The first caption is over 1,000 times as probable as the second."),
        (-np.log(2), "is 0.5 times as probable as the second. Ranked first although less probable: 1 of 1."),
    ],
)
def test_how_far_the_first_caption_is_ahead(behind, said):
    assert said in findings.alternatives([photo()], [answer(RIGHT, WRONG, behind=behind)])


def test_the_least_and_the_greatest_lead_are_told():
    answers = [answer(RIGHT, WRONG, behind=gap) for gap in (np.log(3), -0.001, 20.0)]
    said = findings.alternatives([photo(number) for number in range(3)], answers)
    assert said.startswith(
        "The first caption is 1.0 to over 1,000 times as probable as the second. Ranked first although"
    )
    assert "1 of 3." in said


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([answer(WRONG, RIGHT), answer(RIGHT, WRONG)], "Of 2 pictures, the first caption is right for 1, any for 2."),
        ([answer(WRONG, WRONG + "s")], "Of 1 picture, the first caption is right for 0, any for 0."),
    ],
)
def test_whether_a_right_caption_is_among_the_others(answers, said):
    records = [scene(number) for number in range(len(answers))]
    assert findings.alternatives(records, answers).endswith(said)
    photos = [photo(number) for number in range(len(answers))]
    assert findings.alternatives(photos, answers).endswith("times as probable as the second.")


def sure_of(values, texts):
    return [answer(text, per_word=value) for value, text in zip(values, texts, strict=True)]


@pytest.mark.parametrize(
    ("of_right", "of_wrong", "said"),
    [
        (-0.2, -0.9, f"in 100 % of the pairs (95 % interval 100 % to 100 %). {COIN}better."),
        (-0.9, -0.2, f"in 0 % of the pairs (95 % interval 0 % to 0 %). {COIN}worse."),
        (-0.5, -0.5, f"in 50 % of the pairs (95 % interval 50 % to 50 %). {COIN}{NEITHER}."),
    ],
)
def test_whether_a_model_is_surer_of_right_captions(of_right, of_wrong, said):
    answers = sure_of([of_right] * 6 + [of_wrong] * 4, [RIGHT] * 6 + [WRONG] * 4)
    text = findings.confidence([scene(number) for number in range(10)], answers)
    assert (
        text == f"Right: 6 of 10 captions. Of a right and a wrong caption, the model is surer of the right one {said}"
    )


def test_a_mixture_has_an_interval_around_its_share():
    answers = sure_of([-0.2, -0.6, -0.4, -0.8], [RIGHT, RIGHT, WRONG, WRONG])
    text = findings.confidence([scene(number) for number in range(4)], answers)
    assert "in 75 % of the pairs (95 % interval 0 % to 100 %)." in text


@pytest.mark.parametrize(
    ("text", "said"), [(RIGHT, "So there is no wrong one to"), (WRONG, "So there is no better one to")]
)
def test_all_right_or_all_wrong_cannot_be_compared(text, said):
    assert said in findings.confidence([scene(), scene(1)], sure_of([-0.2, -0.4], [text] * 2))
    assert said in findings.confidence([scene()], sure_of([-0.2], [text]))


def test_on_photos_the_higher_cider_is_the_better_one():
    people = ("a red boat on a lake", "two dogs run in the snow", "a bowl of soup with bread")
    records = [photo(number, (said,)) for number, said in enumerate(people)]
    said = findings.confidence(records, sure_of([-0.9, -0.2, -0.5], [people[0], "a cat on a mat", "some soup"]))
    assert "surer of the one with the higher CIDEr in 0 % of the pairs" in said
    same = findings.confidence(records[:1], sure_of([-0.9], [people[0]]))
    assert same.startswith("CIDEr of 1 caption: ") and "no better one" in same


def test_where_a_model_without_attention_looked():
    assert findings.looked([]) == "This model has no attention to show; those of notebooks 05, 07 and 09 do."
    words = ("a", "red", "boat")
    seen = answer("a red boat", words=words, attention=np.array([[0.25] * 4, [0.25] * 4, [0.5, 0, 0.5, 0]]))
    assert "at word 3, “boat”, 100 % of the weight is in the box" in findings.looked([(scene(), seen)])


def test_models_that_agree_and_disagree():
    records = [photo(1), photo(2)]
    results = {"A": {1: "a red boat", 2: "a dog"}, "B": {1: "a red boat", 2: "two cats"}}
    said = findings.disagreement(records, results)
    assert said.startswith("Different captions from 2 models: picture 1: 1; picture 2: 2.")
    assert said.endswith("Words of two models that are in both: fewest on picture 2 (0 %), most on picture 1 (100 %).")
    one = findings.disagreement(records[:1], {"A": {1: "a red boat"}, "B": {1: "a blue boat"}})
    assert one.endswith("Of the words of two models, 50 % are in both, on average.")
    alike = findings.disagreement(records, {"A": {1: "a", 2: "a"}, "B": {1: "a", 2: "a"}})
    assert alike.endswith("100 % are in both, on average.")
    alone = findings.disagreement(records, {"A": results["A"]})
    assert alone.endswith("Train another model to compare with.")


def test_many_pictures_are_counted_instead_of_listed():
    a = {number: "a dog" for number in range(7)}
    said = findings.disagreement([photo(number) for number in a], {"A": a, "B": a | {3: "two cats", 5: "a cat"}})
    assert said.startswith("The same caption from 2 models: 5 of 7 pictures. Words of two models")


def test_two_empty_captions_are_the_same():
    assert "100 % are in both" in findings.disagreement([photo(1)], {"A": {1: ""}, "B": {1: ""}})


def test_on_scenes_it_is_told_which_models_are_right():
    said = findings.disagreement([scene(1)], {"A": {1: RIGHT}, "B": {1: WRONG}})
    assert said.startswith("Right, of 2 models: picture 1: A.")
