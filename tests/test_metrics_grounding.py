"""Grounding: what a caption names against what is in the picture."""

import pytest

from captioning.metrics import grounding

NAMES = {
    "place": {"beach": ["beach", "seaside"], "meadow": ["meadow", "field"]},
    "object": {
        "boat": ["boat", "boats"],
        "house": ["house", "little cottage"],
        "balloon": ["balloon", "hot air balloon"],
        "beach ball": [],
        "toy boat": [],
        "orange": ["orange"],
    },
    "colour": {"red": ["red"], "blue": ["blue"], "green": ["green"], "orange": ["orange"]},
}


def scene(*objects, place="beach", unseen=(), **more):
    things = [
        dict(zip(("colour", "object"), thing.split(maxsplit=1), strict=True)) | {"unseen": thing in unseen}
        for thing in objects
    ]
    return {"place": place, "objects": things, **more}


def one(caption, *objects, **more):
    return grounding({1: scene(*objects, **more)}, {1: caption}, NAMES)


@pytest.mark.parametrize(
    "caption, expected",
    [
        ("A red boat and a blue house at the beach.", (1, 1, 1, 1, 0)),
        ("a blue boat and a red house at the beach", (1, 1, 1, 0, 0)),
        ("boats", (0, 1 / 2, 0, 0, 0)),
        ("a green balloon at the seaside", (1, 0, 0, 0, 1)),
        ("a red boat and a green balloon", (0, 1 / 2, 1 / 2, 1 / 2, 1 / 2)),
        ("a red boat, a red boat, a balloon", (0, 1 / 2, 1 / 2, 1 / 2, 1 / 3)),
        ("", (0, 0, 0, 0, None)),
    ],
)
def test_counts(caption, expected):
    shares = one(caption, "red boat", "blue house")
    assert shares == {
        **dict(zip(("place", "object", "colour", "pair", "false_named"), expected, strict=True)),
        "unseen": None,
    }


@pytest.mark.parametrize(
    "caption, pair",
    [
        ("a red boat", 1),
        ("a red small boat", 1),
        ("a red, small wooden boat", 1),
        ("RED BOATS!", 1),
        ("a boat that is red", 0),
        ("a boat red", 0),
        ("red and small boat", 0),
        ("red on the boat", 0),
        ("a red blue boat", 0),
        ("a red house boat", 0),
        ("a red very small old wooden boat", 0),
        ("a red beach boat", 0),
        ("a blue boat, a red boat", 1),
    ],
)
def test_pair_is_one_phrase(caption, pair):
    assert one(caption, "red boat")["pair"] == pair


def test_phrases_of_several_words():
    assert one("a red hot air balloon", "red balloon")["pair"] == 1
    assert one("a red little cottage", "red house")["pair"] == 1
    shares = one("a red beach ball", "red beach ball", place="meadow")
    assert (shares["pair"], shares["place"], shares["false_named"]) == (1, 0, 0)
    assert one("a red beach ball", "red beach ball")["place"] == 0  # the ball is no beach
    assert one("a red toy boat", "red toy boat")["false_named"] == 0  # nor the toy a boat


def test_words_match_whole():
    assert one("a redder boathouse", "red boat")["object"] == 0


def test_a_word_of_two_meanings_is_right_when_one_is():
    assert one("an orange boat", "orange boat")["false_named"] == 0
    assert one("a red orange", "red orange")["false_named"] == 0
    assert one("a red orange", "red boat")["false_named"] == 1 / 2


def test_colours_of_the_place_are_neither_right_nor_wrong():
    meadow = {"place": "meadow", "place_colours": ["green"]}
    shares = one("a red boat on a green meadow", "red boat", **meadow)
    assert (shares["colour"], shares["false_named"]) == (1, 0)
    assert one("a red boat on a green meadow", "red boat", place="meadow")["false_named"] == 1 / 3
    # A green house there still has to be called green; the meadow's own green is no help.
    assert one("a house on a green meadow", "green house", **meadow)["colour"] == 0
    shares = one("a green house on a green meadow", "green house", **meadow)
    assert (shares["colour"], shares["pair"]) == (1, 1)


def test_shares_are_of_all_pictures_and_the_unseen_objects_stand_apart():
    truth = {
        1: scene("red boat"),
        2: scene("red boat", "blue house", unseen=["blue house"]),
        3: scene("blue boat", unseen=["blue boat"]),
    }
    results = {3: "a red boat", 2: "a red boat at the beach", 1: "a red boat"}
    shares = grounding(truth, results, NAMES)
    assert shares["place"] == pytest.approx(1 / 3)
    assert shares["object"] == pytest.approx(3 / 4)
    assert shares["pair"] == pytest.approx(2 / 4)
    assert shares["false_named"] == pytest.approx(1 / 6)
    assert shares["unseen"] == pytest.approx(
        {"place": 1 / 2, "object": 1 / 2, "colour": 0, "pair": 0, "false_named": 1 / 4}
    )


def test_two_things_of_one_kind_count_once_as_object_and_twice_as_pair():
    shares = one("a red boat", "red boat", "blue boat")
    assert (shares["object"], shares["colour"], shares["pair"]) == (1, 1 / 2, 1 / 2)


@pytest.mark.parametrize(
    "truth, results, names, message",
    [
        ({1: scene("red boat")}, {}, NAMES, r"without a result: 1 image \(1\)"),
        ({}, {1: "a"}, NAMES, "without truth"),
        ({1: scene("red plane")}, {1: "a"}, NAMES, "plane"),
        ({1: scene("red boat", place="moon")}, {1: "a"}, NAMES, "moon"),
        ({1: {"place": "beach"}}, {1: "a"}, NAMES, "incomplete.*objects"),
        ({1: scene("red boat")}, {1: "a"}, {"place": {}, "object": {}}, "colour"),
        ({1: scene("red boat")}, {1: "a"}, {**NAMES, "colour": {"red": "red"}}, "give a list"),
        ({1: scene("red boat")}, {1: "a"}, {**NAMES, "colour": {"red": ["!"]}}, "empty word"),
    ],
)
def test_refusals(truth, results, names, message):
    with pytest.raises(ValueError, match=message):
        grounding(truth, results, names)
