"""A row per head and a column per word, on one scale."""

import numpy as np
import pytest
from figures import LENGTHS, caption, draw, panels, several

from captioning.plotting import show_heads


@pytest.fixture
def file(files):
    return files[2]


def rows_of(figure):
    """Return the words of each row of panels, from the top."""
    rows = {}
    for axis in panels(figure):
        rows.setdefault(-round(axis.get_position().y0, 3), []).append(axis.get_title("left"))
    return [rows[height] for height in sorted(rows)]


@pytest.mark.parametrize("length", LENGTHS)
def test_captions_of_any_length(length, file):
    figure = draw(show_heads(file, caption(length).split(), several(length)[..., :4] + 0.0, title="Heads"))
    drawn = [axis for axis in panels(figure) if axis.images]
    assert len(drawn) == 4 * length and figure.get_suptitle() == "Heads"


def test_a_row_per_head_and_what_a_row_cannot_hold_follows_below(file):
    words = caption(12).split()
    rows = rows_of(draw(show_heads(file, words, several(12, heads=3))))
    assert rows == [words[:6]] * 3 + [words[6:]] * 3
    assert rows_of(draw(show_heads(file, ["dog"], several(1, heads=2)))) == [["dog", "", "", ""]] * 2


def test_every_map_is_that_of_its_word_and_head_on_one_scale(file):
    """Word and head 1 look at region 1 of 2 x 2, and so on: the grids tell who was drawn where."""
    maps = np.eye(4)[[[0, 1], [2, 3]]]
    maps[1, 1] = 0.25
    figure = draw(show_heads(file, ["a", "dog"], maps))
    drawn = [axis for axis in panels(figure) if axis.images]
    grids = [np.asarray(axis.images[1].get_array()) for axis in drawn]  # head 1: a, dog; head 2: a, dog
    assert [int(grid.argmax()) for grid in grids[:3]] == [0, 2, 1] and (grids[3] == 1).all()
    assert {axis.images[1].norm.vmax for axis in drawn} == {4.0}
    assert [axis.texts[0].get_text() for axis in drawn] == ["head 1 ×4.0"] * 2 + ["head 2 ×4.0", "head 2 ×1.0"]
    assert "a ×4.0 ×4.0; dog ×4.0 ×1.0" in figure.alt


def test_a_box_is_drawn_at_every_head(file):
    figure = draw(show_heads(file, ["a", "dog"], several(2), boxes={1: (0.1, 0.2, 0.6, 0.7)}))
    assert [bool(axis.patches) for axis in panels(figure) if axis.images] == [False, True] * 4


@pytest.mark.parametrize(
    ("words", "shape", "message"), [(2, (3, 4, 4), "2 words but the weights of 3"), (2, (2, 4, 5), "5 regions form no")]
)
def test_maps_of_the_wrong_shape_are_an_error(words, shape, message, file):
    with pytest.raises(ValueError, match=message):
        show_heads(file, ["a"] * words, np.ones(shape))
