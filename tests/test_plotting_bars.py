"""Bars, lengths of captions, named points and tables of similarities: the numbers drawn are those given."""

from itertools import combinations

import numpy as np
import pytest
from figures import LENGTHS, draw
from matplotlib.text import Annotation, Text

from captioning.plotting import plot_bars, plot_lengths, plot_points, show_similarities


def numbers(axis):
    return [text.get_text() for text in axis.texts]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_bars(count):
    values = {f"model {number}": 0.1 * number - 0.2 for number in range(count)}
    figure = draw(plot_bars(values, "CIDEr", label="score"))
    (axis,) = figure.axes
    np.testing.assert_allclose([patch.get_width() for patch in axis.patches], list(values.values()), atol=1e-12)
    assert [label.get_text() for label in axis.get_yticklabels()] == list(values)
    assert numbers(axis) == [f"{value:.3f}" for value in values.values()]
    assert figure.get_suptitle() == "CIDEr" and axis.get_xlabel() == "score" and not figure.legends
    boxes = [patch.get_window_extent() for patch in axis.patches]
    assert [box.y0 for box in boxes] == sorted((box.y0 for box in boxes), reverse=True)  # the first one on top
    assert all(10 < box.height < 45 for box in boxes)
    band = axis.get_window_extent().y1 - boxes[0].y1
    assert band < boxes[0].height  # above the first bar
    assert max(text.get_window_extent().x1 for text in axis.texts) <= figure.bbox.x1


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"5": 1684, "6": 4, "7": 1}, ["1,684", "4", "1"]),
        ({"a": np.int64(5)}, ["5"]),
        ({"a": 2.79, "b": 0.303, "c": 0.0, "d": 0.00041}, ["2.790", "0.303", "0.000", "0.0004"]),
        ({"a": 70.54, "b": 5.0}, ["70.5", "5.0"]),
    ],
)
def test_bars_too_short_to_be_seen_have_their_number(values, texts):
    assert numbers(plot_bars(values, "t").axes[0]) == texts


def test_error_bars_end_at_the_intervals_and_numbers_are_beside_them():
    values, intervals = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": (0.4, 0.7), "c": (0.2001, 0.2001)}
    (axis,) = draw(plot_bars(values, "CIDEr", intervals=intervals)).axes
    ends = [tuple(path.vertices[:, 0]) for bars in axis.collections for path in bars.get_paths()]
    np.testing.assert_allclose(ends, [(0.4, 0.7), (0.2, 0.2001)])
    right = axis.transData.transform((0.7, 0))[0]
    assert axis.texts[0].get_window_extent().x0 > right


def test_baselines_differ_from_models_without_color():
    figure = draw(plot_bars({"GRU": 0.5, "neighbor": 0.4, "LSTM": 0.3}, "CIDEr", baselines=["neighbor"]))
    hatches = {patch.get_y() > 0.5 and patch.get_y() < 1: patch.get_hatch() for patch in figure.axes[0].patches}
    assert hatches == {False: None, True: "///"}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["model", "baseline"]
    assert figure.legends[0].get_window_extent().y1 <= figure.axes[0].get_window_extent().y0


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_of_captions(length):
    lengths = {"train": [length, length, 3, 5], "val": [2], "test": [0, 40]}
    figure = draw(plot_lengths(lengths, cut=length))
    (axis,) = figure.axes
    train, val, test, *_ = axis.get_lines()
    expected = {number: lengths["train"].count(number) / 4 for number in lengths["train"]}
    shares = dict(zip(train.get_xdata(), train.get_ydata(), strict=True))
    assert {int(x): share for x, share in shares.items() if share} == expected
    assert len({line.get_linestyle() for line in (train, val, test)}) == 3
    assert test.get_label() == "test (2 captions)"


@pytest.mark.parametrize(
    ("words", "cut", "end", "line", "note"),
    [
        ([5, 6, 7, 8], 6, 8.5, [6.5], "longer than 6 words: 2 of 4 captions (50.0 %)"),
        ([5, 6, 7, 8], 20, 8.5, [], "longer than 20 words: 0 of 4 captions (0.0 %)"),
        ([5] * 5000 + [50], 20, 21.5, [20.5], "longer than 20 words: 1 of 5,001 captions (0.0 %)"),
        ([5] * 5000 + [50], None, 5.5, [], ""),
        ([9] * 5000 + [10], 9, 10.5, [9.5], "longer than 9 words: 1 of 5,001 captions (0.0 %)"),
    ],
)
def test_the_axis_of_lengths_ends_at_what_is_there(words, cut, end, line, note):
    (axis,) = draw(plot_lengths({"train": words, "val": []}, cut)).axes
    assert axis.get_xlim()[1] == end and axis.get_title("right") == note
    assert [one.get_xdata()[0] for one in axis.get_lines()[1:]] == line
    assert ("the longest caption has 50" in axis.get_xlabel()) == (50 in words)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [1, 2, 6, 9])
def test_names_of_points_cover_neither_points_nor_each_other(count, seed):
    points = np.random.default_rng(seed).normal(size=(count, 2)) * (0.1, 1)
    points[count // 2 :] /= 5  # some close together
    figure = draw(plot_points({f"some long name {n}": tuple(point) for n, point in enumerate(points)}, "x", "y"))
    (axis,) = figure.axes
    names = [text for text in axis.texts if isinstance(text, Annotation)]
    assert [name.get_text() for name in names] == [f"some long name {n}" for n in range(count)]
    boxes = [Text.get_window_extent(name) for name in names]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    marks = axis.transData.transform(points)
    assert not any(box.contains(*mark) for box in boxes for mark in marks)
    assert len({line.get_marker() for line in axis.get_lines()}) == count


@pytest.mark.parametrize("count", [1, 2, 6])
def test_similarities(count, files):
    values = np.linspace(-0.5, 1, count * count).reshape(count, count)
    (axis,) = draw(show_similarities(files[:count], values, "Cosines")).axes
    assert numbers(axis) == [f"{value:.2f}" for value in values.ravel()]
    thumbnails = [image.get_extent() for image in axis.images[:-1]]
    assert len(thumbnails) == 2 * count and {round(extent[3] + 0.46) for extent in thumbnails[::2]} == {-1}
    table = axis.images[-1]
    for text in axis.texts:  # letters differ from their cell
        cell = np.dot(table.cmap(table.norm(float(text.get_text())))[:3], (0.3, 0.6, 0.1))
        assert abs((text.get_color() == "white") - cell) > 0.35


@pytest.mark.parametrize(("count", "shape"), [(2, (3, 3)), (2, (2, 3)), (0, (0, 0))])
def test_similarities_of_other_pictures_are_an_error(count, shape, files):
    with pytest.raises(ValueError, match=f"{count} pictures, but similarities of shape"):
        show_similarities(files[:count], np.zeros(shape))
