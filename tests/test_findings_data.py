"""Sentences about a dataset's pictures and words, and about an encoder's vectors: both outcomes of each."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from captioning import findings
from captioning.datasets.dataset import CaptionDataset
from captioning.datasets.records import Record
from captioning.findings.finding import CONFIRMED, DENIED
from captioning.findings.wording import counted, listed, percent

TREE, BOAT = "a red tree in the meadow", "the blue boat near a beach"


def records(*captions, split="train", truths=None):
    truths = truths or [None] * len(captions)
    return [
        Record(number, Path(f"{number}.jpg"), texts if isinstance(texts, tuple) else (texts,), split, truth)
        for number, (texts, truth) in enumerate(zip(captions, truths, strict=True))
    ]


def truth(place, thing, colour):
    return {"place": place, "objects": [{"object": thing, "colour": colour}]}


@pytest.mark.parametrize(
    ("digits", "texts"),
    [
        (1, {0: "0 %", 1: "100 %", 0.0004: "under 0.1 %", 0.9996: "over 99.9 %", 0.125: "12.5 %", 1.0003: "100.0 %"}),
        (0, {0: "0 %", 1: "100 %", 0.001: "under 1 %", 0.999: "over 99 %", 0.58: "58 %"}),
    ],
)
def test_only_nothing_is_zero_and_only_all_is_a_hundred_percent(digits, texts):
    assert {share: percent(share, digits) for share in texts} == texts


def test_lists_and_counts_read_rightly():
    assert [listed(["a", "b", "c"][:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
    assert (counted(1, "word"), counted(0, "word"), counted(2000, "word")) == ("1 word", "0 words", "2,000 words")


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (1, "counted on 1 test picture is uncertain by up to 98 percentage points"),
        (100, "counted on 100 test pictures is uncertain by up to 10 percentage points"),
        (40000, "by up to 1 percentage point (95 %"),
        (0, "1.0 captions per picture on average."),
    ],
)
def test_splits(tests, said):
    splits = [*records(TREE, TREE, BOAT), *records(BOAT, split="val"), *records(*[TREE] * tests, split="test")]
    text = findings.splits(CaptionDataset("tiny", tuple(splits)))
    assert said in text
    assert tests or text == "Of 4 pictures, 75.0 % train, 25.0 % val and 0 % test; 1.0 captions per picture on average."


@pytest.mark.parametrize(
    ("captions", "said"),
    [
        (
            [(TREE, TREE), (BOAT,)],
            "share 100 % of their words on average. Two captions of different pictures share 20 %.",
        ),
        ([TREE, TREE], "2 pictures with 2 captions. Two captions of different pictures share 100 %."),
        (
            [(TREE, BOAT)],
            "1 picture with 2 captions. Two captions of one picture share 20 % of their words on average.",
        ),
        ([TREE], "1 picture with 1 caption."),
    ],
)
def test_agreement_of_captions(captions, said):
    assert findings.agreement(records(*captions)).endswith(said)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([1], "Captions per picture: 1, for all 1."),
        ([5, 5], "Captions per picture: 5, for all 2."),
        ([5, 5, 7, 6], "Captions per picture: 5 for 2 of 4 (50.0 %); the fewest are 5, the most 7."),
    ],
)
def test_captions_per_picture(counts, said):
    assert findings.captions_per_picture(records(*[(TREE,) * count for count in counts])) == said


@pytest.mark.parametrize(
    ("train", "cut", "said"),
    [
        ([4, 8], 8, "has 8 words. Truncating after 8 words loses nothing."),
        ([4, 16], 8, "Truncating after 8 words shortens 1 of 2 train captions (50.0 %) and loses 40.0 % of the text."),
        ([4, 16], None, "The longest train caption has 16 words."),
        ([1], 1, "The longest train caption has 1 word. Truncating after 1 word loses nothing."),
    ],
)
def test_lengths_and_the_cut(train, cut, said):
    text = findings.lengths({"train": train, "val": [3], "test": []}, cut)
    assert text.startswith(f"Mean length in words: {np.mean(train):.1f} in train and 3.0 in val. ")
    assert text.endswith(said)


def test_common_words():
    text = findings.common_words(Counter(a=6, tree=3, boat=1), 2)
    assert text.startswith('A model that says "a" and nothing else is right for 60.0 % of the words of train.')
    assert text.endswith("Shown: 2 of 3 words, 90.0 % of the text.")
    assert findings.common_words(Counter(a=6), 25).endswith("Shown: 1 of 1 word, 100 % of the text.")


@pytest.mark.parametrize(
    ("minimum", "said"),
    [
        (1, "A minimum count of 1 leaves out no word of train: the rarest occurs 1 time."),
        (2, "leaves out 1 of 3 words (33.3 %), or 10.0 % of the text. Words that occur only once: 1."),
        (4, "leaves out 2 of 3 words (66.7 %), or 40.0 % of the text. Words that occur only once: 1."),
    ],
)
def test_rare_words(minimum, said):
    assert findings.rare_words(Counter(a=6, tree=3, boat=1), minimum).endswith(said)


def test_unknown_words_of_each_split_or_none():
    captions = {"train": [TREE, TREE], "test": [BOAT]}
    words = set(f"{TREE} {BOAT}".split())
    assert findings.unknown_words(captions, words) == (
        "No caption of train and test contains an unknown word: nothing is lost."
    )
    assert findings.unknown_words(captions, words - {"boat"}) == (
        "test: unknown words are in 1 of 1 caption (100 %) and make up 16.7 % of the text; "
        'no other is more frequent than "boat" (1 time).'
    )


PIXELS = np.random.default_rng(0).uniform(0, 255, (3, 4, 4, 3))
SAME = np.ones((3, 2, 5))
ALIKE, APART = SAME + 0.1 * np.eye(3, 5)[:, None], np.tile(np.eye(3, 5)[:, None], (1, 2, 1))


@pytest.mark.parametrize(
    ("own", "other", "begins", "said"),
    [
        (PIXELS - 120, PIXELS / 255, CONFIRMED, "0.4 % of its own contrast, an almost uniform color."),
        (PIXELS / 127.5 - 1, PIXELS / 255, CONFIRMED, "50.0 % of its own contrast."),
        (PIXELS - 120, PIXELS, DENIED, "100 % of its own contrast."),
        (PIXELS / 255, PIXELS / 255, DENIED, "The encoder loses no contrast in this way."),
    ],
)
def test_a_preprocessing_that_takes_contrast_is_told_from_one_that_does_not(own, other, begins, said):
    text = findings.contrast(own, other, ALIKE, ALIKE)
    assert text.startswith(begins) and said in text and "are as alike:" in text


def test_vectors_become_more_or_less_alike():
    assert "are less alike: mean cosine 0.000, with its own 1.000." in findings.contrast(PIXELS, PIXELS, SAME, APART)
    assert "are more alike: mean cosine 1.000, with its own 0.000." in findings.contrast(PIXELS, PIXELS, APART, SAME)
    assert "alike" not in findings.contrast(PIXELS[:1], PIXELS[:1], SAME[:1], APART[:1])  # one picture has no others


def test_speed_is_told_in_seconds_per_pass():
    text = findings.speed(5.81, 43905.2, 1500)
    assert "5.8 pictures per second through the encoder, 43,905 from the disk" in text
    assert text.endswith("one pass over 1,500 train pictures takes 258 s of encoding, or 0.034 s of reading.")
    assert "over 1 train picture takes 0.5 s of encoding" in findings.speed(2, 3, 1)


@pytest.mark.parametrize(("high", "said"), [(100, "far apart."), (1.5, "close together.")])
def test_scales(high, said):
    assert findings.scales(np.geomspace(1, high, 200)).endswith(said)


PLACES = [truth("lake", "boat", "red"), truth("lake", "tree", "blue"), truth("beach", "car", "red")]


@pytest.mark.parametrize(
    ("cosines", "said"),
    [
        (
            (0.9, 0.1, 0.2),
            "1 pair of one place: 0.90 on average; of different places 0.15. Pictures of one place are closer.",
        ),
        (
            (0.901, 0.904, 0.894),
            "place: 0.90 on average; of different places 0.90. Pictures of one place are not closer.",
        ),
        ((0.1, 0.9, 0.2), "of different places 0.55. Pictures of one place are not closer."),
    ],
)
def test_similar_pictures(cosines, said):
    table = np.eye(3)
    for (one, other), value in zip([(0, 1), (0, 2), (1, 2)], cosines, strict=True):
        table[one, other] = table[other, one] = value
    text = findings.similar(records("one", "two", "three", truths=PLACES), table)
    most = 'Most similar (0.90): "one" and "two".' if cosines[0] == 0.9 else 'Most similar (0.90): "one" and "three".'
    assert text.startswith(most) and text.endswith(said)
    assert findings.similar(records("one", "two", "three"), table).count("similar") == 2  # no truth, no places


def test_few_pictures_are_compared_as_far_as_they_go():
    assert findings.similar(records("one"), np.eye(1)) == "A single picture has nothing to be compared with."
    two = findings.similar(records("one", "two", truths=PLACES[:2]), np.eye(2))
    assert two == 'Most similar (0.00): "one" and "two".'


def test_neighbors_are_told_with_what_chance_gives():
    """The neighbors have the place and the object of what was asked, and never its color."""
    things = [(place, thing) for place in ("lake", "beach") for thing in ("tree", "boat", "car")]
    train = records(*[f"a {t} at the {p}" for p, t in things], truths=[truth(p, t, "red") for p, t in things])
    asked = records(*[f"one {t} near a {p}" for p, t in things], truths=[truth(p, t, "blue") for p, t in things])
    text = findings.neighbors(asked, [[record] for record in train], train)
    assert text.startswith("6 validation pictures, 1 nearest train picture each. ")
    assert "place 100 % (" in text and "object 100 % (" in text
    assert "color 0 % (0 %)" in text
    assert "More than with random pictures: words of captions, place and object; within the range of chance: " in text
    assert text.endswith("color and object with its color.")


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (lambda number, drawn: [number], "More than with random pictures: words of captions."),
        (lambda number, drawn: drawn, "Within the range of chance: words of captions."),
        (lambda number, drawn: [(number + 1) % 40], "Less than with random pictures: words of captions."),
    ],
)
def test_neighbors_by_captions_alone(chosen, said):
    words = [f"a{number} b{number}" for number in range(40)]
    train = records(*words)
    drawn = np.random.default_rng(1).integers(40, size=(40, 3))
    nearest = [[train[index] for index in chosen(number, row)] for number, row in enumerate(drawn)]
    text = findings.neighbors(records(*words, split="val"), nearest, train)
    assert "place" not in text and text.endswith(said)


def test_one_picture_is_too_few_to_tell():
    train = records(TREE, truths=PLACES[:1])
    text = findings.neighbors(records(TREE, split="val", truths=PLACES[:1]), [train], train)
    assert text.startswith("1 validation picture, 1 nearest train picture each.") and " than " not in text
    assert "Too few pictures to tell: words of captions, place, object, color and object with its color." in text
