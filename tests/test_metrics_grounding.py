"""Grounding: what a caption names against what is in the picture."""

import pytest

from captioning.datasets.scenes import scenes
from captioning.datasets.scenes.plan import plan
from captioning.metrics import grounding
from captioning.metrics.grounding import MEASURES, Reading
from captioning.metrics.lexicon import Lexicon

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
WORDS = Lexicon(NAMES)
LEFT, RIGHT, LOW = [0.0, 0.2, 0.3, 0.4], [0.6, 0.2, 0.9, 0.4], [0.4, 0.6, 0.6, 0.9]


def scene(*objects, place="beach", unseen=(), **more):
    things = [
        dict(zip(("colour", "object"), thing.split(maxsplit=1), strict=True)) | {"unseen": thing in unseen}
        for thing in objects
    ]
    return {"place": place, "objects": things, **more}


def one(caption, *objects, **more):
    return grounding({1: scene(*objects, **more)}, {1: caption}, WORDS)


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
    assert tuple(shares[name] for name in ("place", "object", "colour", "pair", "false_named")) == expected
    assert shares["unseen"] is None


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
    shares = grounding(truth, results, WORDS)
    assert shares["place"] == pytest.approx(1 / 3)
    assert shares["object"] == pytest.approx(3 / 4)
    assert shares["pair"] == pytest.approx(2 / 4)
    assert shares["false_named"] == pytest.approx(1 / 6)
    unseen = {"place": 1 / 2, "object": 1 / 2, "colour": 0, "pair": 0, "false_named": 1 / 4, "exact": 0, "repeats": 0}
    assert {name: shares["unseen"][name] for name in unseen} == pytest.approx(unseen)
    assert shares["unseen"]["relation"] is None
    assert shares["n"] == dict(zip(MEASURES, (3, 4, 4, 4, 6, 3, 3, 0), strict=True))
    assert shares["unseen"]["n"] == dict(zip(MEASURES, (2, 2, 2, 2, 4, 2, 2, 0), strict=True))
    assert shares["unseen"]["intervals"]["relation"] is None


def test_a_picture_with_an_unseen_thing_is_judged_whole():
    truth = {1: scene("red boat", "blue house", unseen=["blue house"])}
    shares = grounding(truth, {1: "a blue house and a red boat at the beach"}, WORDS)
    assert shares["unseen"]["exact"] == shares["unseen"]["pair"] == 1 and shares["unseen"]["false_named"] == 0


def test_two_things_of_one_kind_count_once_as_object_and_twice_as_pair():
    shares = one("a red boat", "red boat", "blue boat")
    assert (shares["object"], shares["colour"], shares["pair"]) == (1, 1 / 2, 1 / 2)


BOTH = ("red boat", "blue house")


@pytest.mark.parametrize(
    "caption, things, problems",
    [
        ("a red boat and a blue house at the beach", BOTH, []),
        ("a blue house, and a small red boat", BOTH, []),
        ("a red boat and a green balloon", BOTH, ["no green balloon here", "blue house missing"]),
        ("a red boat at the beach", BOTH, ["blue house missing"]),
        ("a blue boat and a red house", BOTH, ["no blue boat here", "no red house here"]),
        ("a red boat and a house", BOTH, ["no color for the house"]),
        ("a red boat, a red boat and a blue house", BOTH, ["red boat named twice"]),
        ("a red boat and a blue house in a blue house", BOTH, ["blue house named twice"]),
        ("a red boat and a boat", ("red boat",), ["boat named twice"]),
        ("a red boat and a blue boat", ("red boat",), ["boat named twice"]),
        ("a red boat and a blue boat", ("red boat", "blue boat"), []),
        ("a red boat and a red boat", ("red boat", "blue boat"), ["red boat named twice"]),
        ("a red hot air balloon and boats", ("red balloon",), ["no boats here"]),
        ("a red boat that is green", ("red boat",), ["nothing green here"]),
        ("", ("red boat",), ["red boat missing"]),
        ("", (), []),
        ("an orange boat", ("orange boat",), []),
        ("a red orange", ("red orange",), []),
    ],
)
def test_exact_is_every_pair_once_and_nothing_else(caption, things, problems):
    reading = Reading(scene(*things), caption, WORDS)
    assert set(problems) <= set(reading.problems())
    shares = one(caption, *things)
    assert shares["exact"] == (not problems)
    assert shares["repeats"] == any("twice" in problem for problem in problems)


@pytest.mark.parametrize(
    "caption, expected",
    [
        ("a red boat at the seaside", 1),
        ("a red boat", 0),
        ("a red boat at the beach in a field", 0),
        ("a red boat in a field", 0),
    ],
)
def test_another_place_named_too_is_not_right(caption, expected):
    assert one(caption, "red boat")["place"] == expected
    wrong = "no field here" in Reading(scene("red boat"), caption, WORDS).problems()
    assert wrong == ("field" in caption)


def test_a_natural_colour_of_a_thing_is_no_colour_of_the_place():
    """A red house called green is false, in a meadow as well."""
    meadow = {"place": "meadow", "place_colours": ["green"]}
    assert one("a green house", "red house", **meadow)["false_named"] == 1 / 2


def placed(*things):
    objects = [{"object": name, "colour": colour, "box": box} for colour, name, box in things]
    return {"place": "beach", "objects": objects}


@pytest.mark.parametrize(
    "caption, holding, counted",
    [
        ("a red boat to the left of a blue house at the beach", 1, 1),
        ("a blue house to the right of a red boat", 1, 1),
        ("a blue house to the left of a red boat", 0, 1),
        ("a red boat at the beach to the right of a small blue house", 0, 1),
        ("a beach with a red boat on the left and a blue house on the right", 2, 2),
        ("a beach with a red boat on the right and a blue house on the right", 1, 2),
        ("a red boat on the left of a blue house", 1, 1),
        ("a red boat in the middle", 0, 1),
        ("a green balloon in the middle", 1, 1),
        ("a red boat higher than a green balloon", 1, 1),
        ("a green balloon higher than a red boat", 0, 1),
        ("a boat on the left", 1, 1),  # the only one
        ("a blue boat on the left", 0, 0),  # there is none
        ("a red boat to the left of a red house", 0, 0),
        ("a red boat to the left of", 0, 0),
        ("on the left", 0, 0),
        ("a red boat to the left", 0, 0),
        ("a red boat to the left of a red boat", 0, 1),
    ],
)
def test_relations_hold_as_drawn(caption, holding, counted):
    truth = placed(("red", "boat", LEFT), ("blue", "house", RIGHT), ("green", "balloon", LOW))
    shares = grounding({1: truth}, {1: caption}, WORDS)
    assert shares["n"]["relation"] == counted
    assert shares["relation"] == (holding / counted if counted else None)
    problems = Reading(truth, caption, WORDS).problems()
    assert any(problem.startswith("not ") for problem in problems) == (holding < counted)


def test_what_the_grammar_says_of_a_scene_is_right():
    """Every reference is exact, repeats nothing, names the place alone, and its positions hold."""
    drawn = plan(train=600, val=0, test=40, seed=3)
    coco, _, truth = scenes._records(drawn)
    relations = 0
    for annotation in coco["annotations"]:
        reading = Reading(truth[str(annotation["image_id"])], annotation["caption"])
        assert reading.problems() == [], annotation["caption"]
        counts = reading.counts()
        assert (counts["exact"], counts["repeats"], counts["place"]) == ((1, 1), (0, 1), (1, 1))
        relations += counts["relation"][1]
    assert relations > 500


def test_intervals_count_pictures():
    truth = dict.fromkeys(range(50), scene(*BOTH))
    shares = grounding(
        truth, {image: "a red boat" if image % 2 else "a red boat, a blue house" for image in truth}, WORDS
    )
    assert (shares["n"]["pair"], shares["pair"]) == (100, 3 / 4)
    low, high = shares["intervals"]["pair"]
    assert 0.61 < low < 0.62 and 0.84 < high < 0.85  # of 50, not of 100
    assert shares["intervals"]["false_named"][0] == 0 and shares["intervals"]["false_named"][1] > 0.05


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
        grounding(truth, results, Lexicon(names))
