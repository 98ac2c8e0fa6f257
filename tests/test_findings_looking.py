"""Sentences about attention and about what captions depend on: each of their outcomes, and their numbers."""

import re
from pathlib import Path

import numpy as np
import pytest

from captioning import findings
from captioning.datasets.records import Record
from captioning.findings.finding import NO_TRUTH
from captioning.findings.wording import percent
from captioning.metrics import CiderD

LEFT = [0.0, 0.0, 0.5, 1.0]
WORDS = ["a", "red", "boat", "at", "the", "beach"]


def record(number=0, box=LEFT):
    truth = {"place": "beach", "objects": [{"object": "boat", "colour": "red", "box": box}], "place_colours": []}
    return Record(number, Path(f"{number}.jpg"), ("a red boat",), "val", truth)


def photo(number=0):
    return Record(number, Path(f"{number}.jpg"), ("a red boat",), "val")


def maps(at_boat, at_others):
    """The share of weight on the left half of 2 x 2 regions, at "boat" and at the other words."""
    shares = [at_boat if word == "boat" else at_others for word in WORDS]
    return np.array([[share / 2, (1 - share) / 2] * 2 for share in shares])


NEITHER = "neither clearly more nor clearly less than"


@pytest.mark.parametrize(
    ("at_boat", "at_others", "area", "others"),
    [
        (0.9, 0.6, "more than", "more than"),
        (0.2, 0.1, "less than", "more than"),
        (0.2, 0.4, "less than", "less than"),
        (0.9, 0.9, "more than", NEITHER),
        (0.5, 0.9, NEITHER, "less than"),
    ],
)
def test_looking_is_compared_with_an_even_look_and_with_other_words(at_boat, at_others, area, others):
    said = findings.looking([record(), record(1)], [WORDS] * 2, [maps(at_boat, at_others)] * 2)
    assert said.startswith(f"In 2 captions with 2 names of objects that are there, {percent(at_boat, 0)} of the weight")
    assert f"in the box of its object: {area} an even look puts there (50 %), " in said
    assert f"{others} other words of the caption do ({percent(at_others, 0)})." in said


def test_pictures_that_differ_have_an_interval():
    said = findings.looking([record(n) for n in range(9)], [WORDS] * 9, [maps(0.15 + n / 10, 0.5) for n in range(9)])
    assert re.search(r"there, 55 % \(95 % interval \d\d % to \d\d %\) of the weight at a name", said)
    assert f"{NEITHER} an even look" in said


def test_one_caption_is_told_in_the_singular():
    said = findings.looking([record()], [WORDS], [maps(0.9, 0.6)])
    assert said.startswith("In 1 caption with 1 name of objects that are there, 90 % of") and "interval" not in said


def test_how_sharp_and_how_different_maps_are():
    """Largest weights are 0.45 at the boat and 0.3 elsewhere, of 4 regions; 0.3 of the weight moves there and back."""
    said = findings.looking([photo()], [WORDS], [maps(0.9, 0.6)])
    assert said.startswith("No word names an object whose position is known")
    mean = 4 * (0.45 + 5 * 0.3) / 6
    assert f"the largest weight of a word is {mean:.1f} times that of an even look, and 12 % of the weight" in said


@pytest.mark.parametrize("of", [photo, record])
def test_captions_without_words_or_with_one(of):
    empty = np.zeros((0, 4))
    assert findings.looking([of()], [[]], [empty]).endswith("All captions are empty: there is no map.")
    assert findings.looking([of()], [["boat"]], [np.full((1, 4), 0.25)]).endswith("1.0 times that of an even look.")
    assert findings.looks([of()], [[]], [empty]) == "An empty caption looks nowhere."
    assert findings.evenness([empty]) == "All captions are empty: there is no look to measure."


def test_the_words_of_one_caption():
    said = findings.looks([record(), photo()], [WORDS, WORDS], [maps(0.9, 0.6)] * 2)
    of_record, of_photo = said.split(" In “")
    assert "beach”: at word 3, “boat”, 90 % of the weight is in the box, which is 50 % of the picture; " in of_record
    assert "word 3, “boat”, has the sharpest map (×1.8)." in of_record
    assert "box" not in of_photo and "”: word 3, “boat”, has the sharpest map" in of_photo


def test_a_long_caption_is_shortened():
    said = findings.looks([photo()], [["word"] * 30], [np.full((30, 4), 0.25)])
    assert "word …”" in said and len(said) < 190


def two_heads(one, other):
    """Weights of two heads, (words, 2, regions)."""
    return np.stack([one, other], axis=1)


def test_sharp_heads_with_little_in_common_and_the_one_that_looks_at_what_is_named():
    """Head 1 is even; head 2 has 0.98 of its weight in the box at "boat", else on the other half."""
    even, sharp = np.full((6, 4), 0.25), maps(0.98, 0.02)
    said = findings.heads([record(), record(1)], [WORDS] * 2, [two_heads(even, sharp)] * 2)
    assert "even look: ×1.0 of head 1 and ×2.0 of head 2. " in said  # 0.49 x 4
    assert (
        "Two heads have 52 % of their weight in common at a word: the heads divide the work." in said
    )  # 2 (.25 + .01)
    assert "head 2 has the most weight in the box, 98 %; the mean of the heads is 74 %, an even look has 50 %." in said


def test_heads_that_look_alike_on_photos():
    said = findings.heads([photo()], [WORDS], [two_heads(maps(0.5, 0.5), maps(0.52, 0.5))])
    assert said.endswith("the heads look alike.") and "box" not in said


def test_a_single_head_is_compared_with_none():
    said = findings.heads([photo()], [WORDS], [maps(0.9, 0.9)[:, None]])
    assert said == "Mean of the largest weight of a word, in multiples of an even look: ×1.8 of head 1."


def test_empty_captions():
    assert findings.heads([photo()], [[]], [np.zeros((0, 2, 4))]) == "All captions are empty: there is no map."
    both = findings.heads([record(), record(1)], [[], WORDS], [np.zeros((0, 2, 4)), two_heads(maps(1, 0), maps(1, 0))])
    assert "head 1 has the most weight in the box, 100 %" in both


@pytest.mark.parametrize(
    ("largest", "said"), [(0.26, "1.04 times that of an even look: the decoder looks everywhere alike."),
                          (0.7, "2.80 times that of an even look: it looks unevenly.")]
)  # fmt: skip
def test_untrained_attention_is_even_or_not(largest, said):
    rest = (1 - largest) / 3
    uneven = np.array([[0.25] * 4, [largest, rest, rest, rest]])
    assert findings.evenness([uneven, np.zeros((0, 4))]) == f"The largest weight is up to {said}"


RIGHT, WRONG = "a red boat at the beach", "a blue boat at the beach"


@pytest.mark.parametrize(
    ("texts", "chosen", "said"),
    [
        ([WRONG, RIGHT, WRONG, RIGHT, WRONG], [1, 0],
         "Right: 2 of 5 captions. Shown: the first right one and the first wrong one."),
        ([RIGHT, WRONG], [0, 1],
         "Right: 1 of 2 captions. Shown: the first right one and the first wrong one."),
        ([RIGHT], [0], "Right: 1 of 1 caption. Shown: the first right one."),
        ([WRONG] * 3, [0], "Right: 0 of 3 captions. Shown: the first wrong one."),
    ],
)  # fmt: skip
def test_one_right_and_one_wrong_caption_are_chosen(texts, chosen, said):
    assert findings.right_and_wrong([record(number) for number in range(len(texts))], texts) == (chosen, said)


@pytest.mark.parametrize(("photos", "chosen", "said"), [(1, [0], "the only one."), (5, [0, 1], "the first two.")])
def test_photos_cannot_be_checked(photos, chosen, said):
    found, rule = findings.right_and_wrong([photo(number) for number in range(photos)], [RIGHT] * photos)
    assert found == chosen and rule == f"{NO_TRUTH} Shown: {said}"


REFERENCES = {number: [f"a {color} boat", f"one {color} boat"] for number, color in enumerate(["red", "blue", "green"])}


def test_captions_that_depend_on_the_picture():
    said = findings.depends(CiderD(REFERENCES), {number: texts[0] for number, texts in REFERENCES.items()})
    assert "shuffled among the 3 pictures" in said and said.endswith("of the score needs the right picture.")


@pytest.mark.parametrize("text", ["a boat", "nothing of the kind"])
def test_captions_that_do_not(text):
    said = findings.depends(CiderD(REFERENCES), dict.fromkeys(REFERENCES, text))
    assert said.endswith("These captions fit other pictures as well as their own.")


def test_one_picture_has_no_other():
    said = findings.depends(CiderD({0: ["a red boat"]}), {0: "a red boat"})
    assert said.startswith("CIDEr 0.000 on one picture") and "nan" not in said
