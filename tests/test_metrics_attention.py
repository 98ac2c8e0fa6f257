"""Attention in the box of the thing that is named, against a count of pixels."""

from pathlib import Path

import numpy as np
import pytest

from captioning.datasets.records import Record
from captioning.metrics import attention

LEFT, RIGHT = [0.1, 0.2, 0.35, 0.7], [0.55, 0.4, 0.95, 1.0]


def record(*things, number=0):
    truth = {
        "place": "beach",
        "objects": [{"object": name, "colour": colour, "box": box} for colour, name, box in things],
    }
    return Record(number, Path("x.jpg"), ("a",), "test", truth)


def random_weights(words, regions, seed=0):
    weights = np.random.default_rng(seed).random((words, regions)) ** 4
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("side", [1, 2, 7, 8, 14])
@pytest.mark.parametrize("box", [LEFT, RIGHT, [0, 0, 1, 1], [0.5, 0.5, 0.6, 0.55], [0.3, 0, 0.3, 1]])
def test_the_share_inside_a_box_is_that_of_the_pixels(side, box):
    size = side * 100
    weights = random_weights(3, side * side)
    fine = np.kron(weights.reshape(3, side, side), np.ones((1, 100, 100))) / 100**2
    left, top, right, bottom = (round(edge * size) for edge in box)
    expected = fine[:, top:bottom, left:right].sum(axis=(1, 2))
    assert attention.share_inside(weights, box) == pytest.approx(expected, abs=0.02)
    if all((edge * size) % 1 < 1e-9 for edge in box):
        assert attention.share_inside(weights, box) == pytest.approx(expected)


def test_even_attention_has_the_share_of_the_area():
    looking = attention.inside(
        [record(("red", "boat", LEFT))], [["a", "red", "boat", "at", "the", "beach"]], [np.full((6, 64), 1 / 64)]
    )
    assert looking.inside.mean == looking.others.mean == pytest.approx(0.25 * 0.5) == looking.area.mean
    assert looking.over_area.mean == pytest.approx(0) == looking.over_others.mean


def test_looking_is_measured_at_the_words_that_name_what_is_there():
    words = ["a", "red", "boat", "and", "a", "violet", "hot", "air", "balloon", "near", "a", "kite"]
    there = record(("red", "boat", LEFT), ("purple", "balloon", RIGHT))
    weights = random_weights(len(words), 49)
    assert attention.boxes_of(there, words) == {2: LEFT, 6: RIGHT, 7: RIGHT, 8: RIGHT}
    looking = attention.inside([there], [words], [weights])
    at_left, at_right = attention.share_inside(weights, LEFT), attention.share_inside(weights, RIGHT)
    assert (looking.pictures, looking.words) == (1, 2)
    assert looking.inside.mean == pytest.approx((at_left[2] + at_right[6:9].mean()) / 2)
    others = np.delete(at_left, 2).mean(), np.delete(at_right, [6, 7, 8]).mean()
    assert looking.others.mean == pytest.approx(np.mean(others))
    assert looking.over_others.mean == pytest.approx(looking.inside.mean - looking.others.mean)


@pytest.mark.parametrize(
    "caption, numbers",
    [
        ("a red boat", [2]),
        ("a yellow boat", []),  # one of two: which?
        ("a boat", []),
        ("a blue house", [2]),
        ("a red house", [2]),  # the only house, whatever its color is called
        ("a red kite", []),
        ("", []),
    ],
)
def test_of_two_things_of_a_kind_the_color_decides(caption, numbers):
    there = record(("red", "boat", LEFT), ("green", "boat", RIGHT), ("blue", "house", [0, 0, 0.1, 0.1]))
    assert list(attention.boxes_of(there, caption.split())) == numbers


def test_pictures_count_alike_and_the_interval_is_over_them():
    sharp = np.zeros((4, 4))
    sharp[:, 0] = 1
    sharp[2] = [0, 1, 0, 0]
    upper_right = [0.5, 0, 1, 0.5]
    records = [record(("red", "boat", upper_right), number=n) for n in range(30)]
    looking = attention.inside(
        records, [["a", "red", "boat", "boat" if n else "sails"] for n in range(30)], [sharp] * 30
    )
    # 29 captions name it twice, once looking at it and once not
    assert (looking.pictures, looking.words) == (30, 59)
    assert looking.inside.mean == pytest.approx((1 + 29 * 0.5) / 30)
    assert looking.over_area.low > 0 and looking.over_others.low > 0


@pytest.mark.parametrize("truth", [None, {"place": "beach", "objects": [{"object": "boat", "colour": "red"}]}])
def test_without_boxes_there_is_nothing_to_measure(truth):
    photo = Record(0, Path("x.jpg"), ("a",), "test", truth)
    assert attention.boxes_of(photo, ["boat"]) == {}
    assert attention.inside([photo], [["boat", "a"]], [np.full((2, 4), 0.25)]) is None
    assert attention.inside([], [], []) is None


def test_a_caption_of_one_word_has_no_other_words():
    assert attention.inside([record(("red", "boat", LEFT))], [["boat"]], [np.full((1, 4), 0.25)]) is None


def test_refusals():
    with pytest.raises(ValueError, match="no square"):
        attention.share_inside(np.ones(6), LEFT)
    with pytest.raises(ValueError, match="Picture 0: 1 words but 2 rows"):
        attention.inside([record(("red", "boat", LEFT))], [["boat"]], [np.ones((2, 4))])
