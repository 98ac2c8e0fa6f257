"""Pictures with captions of any length: what is drawn is what was given, and nothing runs into anything else."""

from itertools import pairwise

import numpy as np
import pytest
from figures import LENGTHS, SHAPES, caption, draw
from matplotlib.colors import to_rgb

from captioning.plotting import show_captions


def texts(figure):
    """Return the texts below the pictures."""
    return [text for axis in figure.axes for text in axis.texts]


def shown(text):
    return text.get_text().replace("\n", " ")


def test_captions_of_all_lengths_side_by_side(files):
    said = [caption(length) for length in LENGTHS]
    figure = draw(show_captions(files, said, [[text, "a ref"] for text in said], title="All", columns=4))
    assert len(figure.axes) == 6 and not any(axis.axison for axis in figure.axes) and figure.get_suptitle() == "All"
    expected = [[text or "(empty)", f"ref: {text}".strip(), "ref: a ref"] for text in said]
    assert [[shown(text) for text in axis.texts] for axis in figure.axes] == expected
    assert [len(axis.images) for axis in figure.axes] == [1] * 6


def test_each_picture_is_above_its_own_caption(files):
    figure = show_captions(files[:2], ["the red one", "the green one"])
    for axis, name, color in zip(figure.axes, ("red", "green"), ((255, 0, 0), (0, 128, 0)), strict=True):
        assert shown(axis.texts[0]) == f"the {name} one"
        assert (np.asarray(axis.images[0].get_array())[..., :3] == color).all()


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
@pytest.mark.parametrize("title", ["", "Title", caption(40)])
def test_pictures_of_a_row_begin_at_one_height_and_keep_their_shape(columns, title, files):
    figure = draw(show_captions(files, [caption(length) for length in LENGTHS], title=title, columns=columns))
    boxes = [axis.get_window_extent() for axis in figure.axes]
    for box, (width, height) in zip(boxes, SHAPES, strict=True):
        assert box.width / box.height == pytest.approx(width / height, rel=0.01)
        assert box.height < 441  # no column is wider than 400 pixels, and no picture much higher than that
    for first in range(0, 6, columns):
        tops = {round(box.y1, 3) for box in boxes[first : first + columns]}
        assert len(tops) == 1
        heading = figure.findobj(lambda text: title and getattr(text, "get_text", str)() == figure.get_suptitle())
        assert all(tops.pop() <= text.get_window_extent().y0 for text in heading if not first)


@pytest.mark.parametrize("columns", [2, 3, 4])
@pytest.mark.parametrize("references", [0, 5])
@pytest.mark.parametrize("checked", [False, True])
def test_long_captions_run_neither_into_the_next_row_nor_the_next_column(references, columns, checked, files):
    checks = [f"✗ {caption(9)}"] * 6 if checked else None
    figure = draw(
        show_captions(files, [caption(40)] * 6, [[caption(40)] * references] * 6, columns=columns, checks=checks)
    )
    boxes = [axis.get_window_extent() for axis in figure.axes]
    for number, axis in enumerate(figure.axes):
        extents = [text.get_window_extent() for text in axis.texts]
        last = number + columns >= 6
        assert min(extent.y0 for extent in extents) >= (-5 if last else boxes[number + columns].y1)
        assert extents[0].y1 <= boxes[number].y0 and all(upper.y0 > lower.y1 for upper, lower in pairwise(extents))
        right = boxes[number + 1].x0 if (number + 1) % columns and number < 5 else figure.bbox.x1
        assert max(extent.x1 for extent in extents) <= right + 1


def test_lines_fill_their_column(files):
    for columns in (2, 4):
        figure = draw(show_captions(files[2:4] * 2, [caption(40)] * 4, columns=columns))
        box, text = figure.axes[0].get_window_extent(), figure.axes[0].texts[0].get_window_extent()
        assert 0.75 * box.width < text.width <= box.width


def test_references_differ_from_predictions_without_color(files):
    figure = show_captions(files[:1], ["a red field"], [["some red", "all red"]])
    prediction, *references = texts(figure)
    assert prediction.get_style() == "normal" and prediction.get_fontweight() == "bold"
    for text in references:
        assert text.get_style() == "italic" and text.get_text().startswith("ref: ")
        assert text.get_fontweight() in ("normal", 400)
    assert len({text.get_color() for text in texts(figure)}) == 1


def test_several_captions_per_picture_have_a_check_each(files):
    figure = show_captions(files[:2], [["greedy", "beam"], ["one"]], checks=[["✓ right", "✗ no dog"], [""]])
    assert [shown(text) for text in texts(figure)] == ["greedy", "✓ right", "beam", "✗ no dog", "one"]


def test_right_and_wrong_differ_without_color(files):
    figure = show_captions(files[:2], ["a", "b"], checks=["✓ right", "✗ no dog"])
    (_, right), (_, wrong) = (axis.texts for axis in figure.axes)
    assert right.get_fontweight() in ("normal", 400) and wrong.get_fontweight() == "bold"
    fills = [np.mean(to_rgb(text.get_bbox_patch().get_facecolor()[:3])) for text in (right, wrong)]
    letters = [np.mean(to_rgb(text.get_color())) for text in (right, wrong)]
    assert fills[0] > 0.9 > 0.4 > fills[1] and letters[0] < 0.4 < 0.9 < letters[1]


@pytest.mark.parametrize(
    ("text", "style"), [("a dog", "italic"), ("собака", "italic"), ("狗", "normal"), ("", "italic")]
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_only_scripts_that_have_italics_are_set_in_them(text, style, files):
    assert texts(show_captions(files[:1], ["a"], [[text]]))[1].get_style() == style


@pytest.mark.parametrize(
    ("pictures", "captions", "references", "checks"),
    [(2, 1, None, None), (1, 2, None, None), (3, 2, 2, None), (2, 2, 1, None), (0, 0, None, None), (2, 2, None, 1)],
)
def test_wrong_numbers_of_captions_are_an_error(pictures, captions, references, checks, files):
    refs = None if references is None else [["a"]] * references
    with pytest.raises(ValueError, match=f"{pictures} pictures, {captions} captions, "):
        show_captions(files[:pictures], ["a"] * captions, refs, checks=None if checks is None else ["✓"] * checks)


def test_checks_that_belong_to_no_caption_are_an_error(files):
    with pytest.raises(ValueError):
        show_captions(files[:1], [["a", "b"]], checks=[["✓ right"]])


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.jpg"):
        show_captions([tmp_path / "missing.jpg"], ["a"])
