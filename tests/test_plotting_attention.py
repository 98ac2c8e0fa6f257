"""Where the decoder looks: cells on a pale picture, all words on one scale, and the share of weight in a box."""

import numpy as np
import pytest
from figures import LENGTHS, caption, draw, looks, panels
from matplotlib.patches import Rectangle
from PIL import Image

from captioning.plotting import show_attention


def pixels(figure, axis, *places):
    """Return what is drawn at places of a panel, given as shares from the left and the top: (places, RGB)."""
    figure.canvas.draw()
    drawn, box = np.asarray(figure.canvas.buffer_rgba())[..., :3], axis.get_window_extent()
    return np.array(
        [drawn[round(len(drawn) - box.y1 + y * box.height), round(box.x0 + x * box.width)] for x, y in places], int
    )


@pytest.mark.parametrize(("length", "regions"), [*((length, 4) for length in LENGTHS), (3, 1), (3, 49), (5, 64)])
def test_attention_for_captions_of_any_length(length, regions, files):
    words, attention = caption(length).split(), looks(length, regions)
    figure = draw(show_attention(files[0], words, attention, title="Where it looks"))
    assert [axis.get_title("left") for axis in panels(figure)] == ["the picture", *words]
    assert figure.get_suptitle() == "Where it looks"
    strongest = [f"×{regions * weights.max():.1f}" for weights in attention]
    assert [axis.get_title("right") for axis in panels(figure)] == ["", *strongest]


@pytest.mark.parametrize("brightness", [0, 128, 255])
@pytest.mark.parametrize("region", range(4))
def test_the_darkest_cell_is_the_region_whatever_the_picture(brightness, region, tmp_path):
    """Regions run row by row: region 1 of 2 x 2 is the upper right. Neither night nor snow hides the weight."""
    Image.new("L", (40, 40), brightness).save(tmp_path / "flat.png")
    figure = show_attention(tmp_path / "flat.png", ["here"], np.eye(4)[region : region + 1])
    corners = pixels(figure, panels(figure)[1], (0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))
    grey = corners @ (0.3, 0.6, 0.1)
    assert np.argmin(grey) == region and min(np.delete(grey, region)) - grey[region] > 50
    assert min(np.delete(grey, region)) > 120  # the picture itself is never nearly black
    assert (pixels(figure, panels(figure)[0], (0.5, 0.5)) == brightness).all()


def test_cells_are_not_smoothed(tmp_path):
    Image.new("L", (40, 40), 255).save(tmp_path / "white.png")
    figure = show_attention(tmp_path / "white.png", ["here"], np.eye(4)[:1])
    left, middle, right = pixels(figure, panels(figure)[1], (0.05, 0.25), (0.47, 0.25), (0.53, 0.25))
    assert (left == middle).all() and (middle != right).any()


def test_all_words_have_one_scale_on_which_an_even_look_is_pale(files):
    sharp, even = np.eye(49)[:1], np.full((1, 49), 1 / 49)
    both = show_attention(files[2], ["sharp", "even"], np.concatenate([sharp, even]))
    scales = {axis.images[1].norm for axis in panels(both)[1:]}
    assert len(scales) == 1 and (scales.pop().vmax) == pytest.approx(49)
    alone = panels(show_attention(files[2], ["even"], even))[1].images[1]
    assert alone.norm.vmin == 0 and alone.norm(1.0) == pytest.approx(0.5)


def test_the_scale_is_shown_and_named(files):
    figure = draw(show_attention(files[2], ["a", "dog"], looks(2, 49)))
    (scale,) = [axis for axis in figure.axes if axis.get_label() == "scale"]
    assert scale.get_xlabel().replace("\n", " ") == "weight, in multiples of an even look"
    assert scale.get_window_extent().y1 < min(axis.get_window_extent().y0 for axis in panels(figure))


@pytest.mark.parametrize(
    ("weights", "box", "note"),
    [
        (np.eye(4)[1], (0.5, 0, 1, 0.5), "box: 100 % of the weight, 25 % of the area"),
        (np.eye(4)[1], (0, 0.5, 0.5, 1), "box: 0 % of the weight, 25 % of the area"),
        (np.full(4, 0.25), (0.25, 0.25, 0.75, 0.75), "box: 25 % of the weight, 25 % of the area"),
        (np.full(1, 1.0), (0.0, 0.0, 0.1, 1.0), "box: 10 % of the weight, 10 % of the area"),
        (np.full(49, 0.7 / 48) + np.eye(49)[0] * (0.3 - 0.7 / 48), (0, 0, 1 / 14, 1 / 7),
         "box: 15 % of the weight, 1 % of the area"),
    ],
)  # fmt: skip
def test_the_share_of_weight_in_a_box(weights, box, note, files):
    figure = draw(show_attention(files[2], ["a", "dog"], np.array([weights, weights]), boxes={1: box}))
    _, without, axis = panels(figure)
    assert not without.texts and [text.get_text().replace("\n", " ") for text in axis.texts] == [note]
    outlines = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    assert outlines[-1].get_linestyle() == "--" and not without.patches
    np.testing.assert_allclose(outlines[-1].get_bbox().extents, box)
    assert figure.alt.count(note) == 1


@pytest.mark.parametrize("words", [1, 2, 5, 6, 7, 10, 16, 20, 25, 30])
def test_no_last_row_of_a_single_panel(words, files):
    figure = show_attention(files[2], ["a"] * words, looks(words, 4))
    heights = [round(axis.get_position().y0, 4) for axis in panels(figure)]
    rows = [heights.count(height) for height in sorted(set(heights), reverse=True)]
    assert rows[-1] > 1 and max(rows) <= 6


@pytest.mark.parametrize(
    ("words", "shape", "message"),
    [
        (2, (3, 4), "2 words but the weights of 3"),
        (1, (0, 4), "1 words but the weights of 0"),
        (2, (2, 5), "5 regions form no square"),
    ],
)
def test_attention_of_the_wrong_shape_is_an_error(words, shape, message, files):
    with pytest.raises(ValueError, match=message):
        show_attention(files[0], ["a"] * words, np.ones(shape))
