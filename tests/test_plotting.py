"""Every figure, for captions of any length; what is drawn is what was given."""

import subprocess
import sys
import warnings
from itertools import pairwise
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image

from captioning import plotting
from captioning.plotting import (
    plot_bars,
    plot_history,
    plot_lengths,
    plot_norms,
    plot_vectors,
    show_attention,
    show_captions,
)

LENGTHS = (0, 1, 2, 3, 5, 40)


def caption(length):
    return " ".join(["umbrella", "a", "red", "dog's"][number % 4] for number in range(length))


@pytest.fixture
def files(tmp_path):
    """Six pictures: wide, high, grey, with a palette, transparent, tiny."""
    pictures = [
        Image.new("RGB", (60, 30), "red"), Image.new("RGB", (30, 60), "green"), Image.new("L", (40, 40), 90),
        Image.new("RGB", (40, 40), "blue").quantize(4), Image.new("RGBA", (40, 40), (0, 0, 0, 0)),
        Image.new("RGB", (1, 1)),
    ]  # fmt: skip
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    return [tmp_path / f"{number}.png" for number in range(len(pictures))]


def texts(figure):
    """Return the texts below the pictures, line ends undone."""
    return [text for axis in figure.axes for text in axis.texts]


def shown(text):
    return text.get_text().replace("\n", " ")


def draw(figure):
    figure.canvas.draw()
    assert figure.axes
    return figure


def test_figures_need_no_screen():
    assert matplotlib.get_backend().lower() == "agg"


def test_figures_load_no_training_code():
    code = "import sys, captioning.plotting; print([name for name in sys.modules if 'from_scratch' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("length", LENGTHS)
def test_captions_of_any_length(length, files):
    figure = draw(show_captions(files[:1], [caption(length)], [[caption(length), "a ref"]], title="One"))
    assert figure.get_suptitle() == "One"
    assert [shown(text) for text in texts(figure)] == [
        caption(length) or "(empty)",
        f"ref: {caption(length)}".strip(),
        "ref: a ref",
    ]


def test_captions_of_all_lengths_side_by_side(files):
    figure = draw(show_captions(files, [caption(length) for length in LENGTHS], columns=4))
    assert len(figure.axes) == 8 and not any(axis.axison for axis in figure.axes)
    assert [shown(text) for text in texts(figure)] == [caption(length) or "(empty)" for length in LENGTHS]
    assert [len(axis.images) for axis in figure.axes] == [1] * 6 + [0] * 2


def test_each_picture_stands_above_its_own_caption(files):
    figure = show_captions(files[:2], ["the red one", "the green one"])
    for axis, name, colour in zip(figure.axes, ("red", "green"), ((255, 0, 0), (0, 128, 0)), strict=True):
        assert shown(axis.texts[0]) == f"the {name} one"
        assert (np.asarray(axis.images[0].get_array())[..., :3] == colour).all()


@pytest.mark.parametrize("references", [None, 5])
def test_long_captions_do_not_run_into_the_next_row(references, files):
    refs = None if references is None else [[caption(40)] * references] * 6
    figure = draw(show_captions(files, [caption(40)] * 6, refs, columns=3))
    boxes = [axis.get_window_extent() for axis in figure.axes]
    for number, axis in enumerate(figure.axes):
        extents = [text.get_window_extent() for text in axis.texts]
        floor = boxes[number + 3].y1 if number < 3 else 0
        assert min(extent.y0 for extent in extents) >= floor
        assert all(upper.y0 > lower.y1 - 3 for upper, lower in pairwise(extents))
        assert max(extent.x1 for extent in extents) < (boxes[number + 1].x0 if number % 3 < 2 else figure.bbox.x1) + 20


def test_references_differ_from_predictions_without_colour(files):
    figure = show_captions(files[:1], ["a red field"], [["some red", "all red"]])
    prediction, *references = texts(figure)
    assert prediction.get_style() == "normal" and prediction.get_fontweight() == "bold"
    for text in references:
        assert text.get_style() == "italic" and text.get_text().startswith("ref: ")
        assert text.get_fontweight() in ("normal", 400)
    assert len({text.get_color() for text in texts(figure)}) == 1


def test_several_captions_per_picture(files):
    figure = show_captions(files[:2], [["greedy", "beam"], ["one"]])
    assert [shown(text) for text in texts(figure)] == ["greedy", "beam", "one"]


def test_dollars_are_dollars(files):
    """Two of them enclose a formula for matplotlib, which this is not."""
    text = r"for $5 or \frac $6"
    figure = draw(show_captions(files[:1], [text], [[text]]))
    assert shown(texts(figure)[0]) == text and not any(one.get_parse_math() for one in texts(figure))
    draw(show_attention(files[0], [r"$\frac$"], np.full((1, 4), 0.25)))


# Scripts

SCRIPTS = {
    "CJK": "一只狗在海滩上奔跑", "HIRAGANA": "いぬ", "DEVANAGARI": "कुत्ता दौड़ता है", "THAI": "สุนัขวิ่ง",
    "HANGUL": "개가 달린다", "emoji": "a 🐕",
}  # fmt: skip


class Font:
    """A font that has the letters of some scripts."""

    scalable = True

    def __init__(self, family, *scripts):
        self.family_name, self.letters = family, {ord(letter) for script in scripts for letter in SCRIPTS[script]}

    def get_char_index(self, code):
        return 5 if code < 256 or code in self.letters else 0


@pytest.fixture
def fonts(monkeypatch):
    """The fonts of a machine, by path, that a test puts there; those that were taken are noted."""
    here, added, real = {}, [], font_manager.get_font
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(here))
    monkeypatch.setattr(font_manager, "get_font", lambda path, **o: here[path] if path in here else real(path, **o))
    monkeypatch.setattr(font_manager.fontManager, "addfont", added.append)
    monkeypatch.setattr(plotting, "_looked_for", set())
    with matplotlib.rc_context(), warnings.catch_warnings():
        yield here, added


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_font_that_has_the_letters_is_taken(script, fonts, capsys):
    here, added = fonts
    here |= {
        "/latin.ttf": Font("Latin"), "/LastResort.otf": Font("Last Resort", *SCRIPTS),
        "/all.ttf": Font("All", script),
    }  # fmt: skip
    plotting.find_fonts("a dog", SCRIPTS[script])
    assert added == ["/all.ttf"]
    assert matplotlib.rcParams["font.family"] == ["sans-serif", "All"] and not capsys.readouterr().out


def test_several_scripts_take_as_few_fonts_as_they_need(fonts, capsys):
    here, added = fonts
    here |= {"/1": Font("One", "CJK"), "/2": Font("Two", "CJK", "HIRAGANA", "HANGUL"), "/3": Font("Three", "THAI")}
    plotting.find_fonts(*SCRIPTS.values())
    assert added == ["/2", "/3"]
    assert capsys.readouterr().out.startswith("No font on this machine has DEVANAGARI letters, emoji and symbols:")
    plotting.find_fonts(*SCRIPTS.values())
    assert len(added) == 2 and not capsys.readouterr().out  # once


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("figure", ["captions", "attention", "bars", "vectors"])
@pytest.mark.filterwarnings("error")
def test_without_a_font_there_is_one_line_and_no_flood(script, figure, fonts, files, capsys):
    text = SCRIPTS[script]
    draws = {
        "captions": lambda: show_captions(files[:1], [text], [[text]], title=text),
        "attention": lambda: show_attention(files[0], [text], np.full((1, 4), 0.25)),
        "bars": lambda: plot_bars({text: 0.5}, text),
        "vectors": lambda: plot_vectors(np.ones((1, 64)), [text]),
    }
    for _ in range(2):
        draw(draws[figure]())
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("No font on this machine has ") and script in line and "apt install fonts-noto" in line


def test_a_font_that_cannot_be_read_is_passed_over(fonts, tmp_path, capsys, monkeypatch):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    broken = [str(tmp_path / "broken.ttf"), str(tmp_path / "gone.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: broken)
    plotting.find_fonts(SCRIPTS["CJK"])
    assert "CJK" in capsys.readouterr().out


def test_latin_letters_look_for_no_font(fonts, monkeypatch, files):
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: pytest.fail("looked for fonts"))
    draw(show_captions(files[:1], ["Un café à Paris"], [["собака бежит"]]))


def test_wide_letters_wrap_at_half_the_width(fonts, files):
    figure = show_captions(files[:1], ["狗" * 60])
    assert max(map(len, texts(figure)[0].get_text().split("\n"))) == plotting.WRAP // 2


@pytest.mark.parametrize(
    ("text", "style"), [("a dog", "italic"), ("собака", "italic"), ("狗", "normal"), ("", "italic")]
)
def test_only_scripts_that_have_italics_are_set_in_them(text, style, fonts, files):
    assert texts(show_captions(files[:1], ["a"], [[text]]))[1].get_style() == style


@pytest.mark.parametrize(
    ("pictures", "captions", "references"),
    [(2, 1, None), (1, 2, None), (3, 2, 2), (2, 2, 1), (0, 0, None)],
)
def test_wrong_numbers_of_captions_are_an_error(pictures, captions, references, files):
    refs = None if references is None else [["a"]] * references
    with pytest.raises(ValueError, match=f"{pictures} pictures, {captions} captions, "):
        show_captions(files[:pictures], ["a"] * captions, refs)


@pytest.mark.parametrize(("length", "regions"), [*((length, 4) for length in LENGTHS), (3, 1), (3, 49), (5, 64)])
def test_attention_for_captions_of_any_length(length, regions, files):
    words = caption(length).split()
    attention = np.random.default_rng(0).dirichlet(np.ones(regions), length).reshape(length, regions)
    figure = draw(show_attention(files[0], words, attention, title="Where it looks"))
    titles = [axis.get_title() for axis in figure.axes if axis.images]
    assert titles == ["the picture", *words] and figure.get_suptitle() == "Where it looks"


@pytest.mark.parametrize("region", range(4))
def test_the_light_falls_on_the_region(region, tmp_path):
    """Regions run row by row: region 1 of 2 x 2 is the upper right."""
    Image.new("RGB", (40, 40), "white").save(tmp_path / "white.png")
    figure = show_attention(tmp_path / "white.png", ["here"], np.eye(4, dtype=np.float32)[region : region + 1])
    lit = np.asarray(figure.axes[1].images[0].get_array()).astype(float)[..., 0]
    corners = [lit[y, x] for y in (2, 37) for x in (2, 37)]
    assert np.argmax(corners) == region
    assert corners[region] > 240 and max(np.delete(corners, region)) < 80
    assert (np.asarray(figure.axes[0].images[0].get_array()) == 255).all()


@pytest.mark.parametrize(
    ("words", "shape", "message"),
    [(2, (3, 4), "2 words but 3 rows"), (1, (0, 4), "1 words but 0 rows"), (2, (2, 5), "5 regions form no square")],
)
def test_attention_of_the_wrong_shape_is_an_error(words, shape, message, files):
    with pytest.raises(ValueError, match=message):
        show_attention(files[0], ["a"] * words, np.ones(shape))


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.jpg"):
        show_captions([tmp_path / "missing.jpg"], ["a"])


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 40])
def test_curves(epochs):
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "val_CIDEr")
    history = [
        {"epoch": e, "seconds": 1.0} | {name: e + 0.1 * i for i, name in enumerate(names)} for e in range(epochs)
    ]
    figure = draw(plot_history(history, "GRU"))
    assert [axis.get_title() for axis in figure.axes] == ["loss", "accuracy", "CIDEr"]
    train, validation = figure.axes[0].get_lines()
    assert list(train.get_xdata()) == list(range(1, epochs + 1))
    np.testing.assert_allclose(validation.get_ydata(), [row["val_loss"] for row in history])
    assert train.get_linestyle() == "--" and validation.get_linestyle() == "-"
    assert train.get_marker() != validation.get_marker()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["train", "validation"]
    (cider,) = figure.axes[2].get_lines()
    assert cider.get_label() == "validation"


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_bars(count):
    values = {f"model {number}": 0.1 * number - 0.2 for number in range(count)}
    (axis,) = draw(plot_bars(values, "CIDEr", label="score")).axes
    np.testing.assert_allclose([patch.get_width() for patch in axis.patches], list(values.values()), atol=1e-12)
    assert [label.get_text() for label in axis.get_yticklabels()] == list(values)
    assert axis.get_title() == "CIDEr" and axis.get_xlabel() == "score"
    heights = [axis.transData.transform((0, patch.get_y()))[1] for patch in axis.patches]
    assert heights == sorted(heights, reverse=True)  # the first one on top


def test_error_bars_end_at_the_intervals():
    values, intervals = {"a": 0.5, "b": 0.3}, {"a": (0.4, 0.7)}
    (axis,) = draw(plot_bars(values, "CIDEr", intervals=intervals)).axes
    ends = [path.vertices[:, 0] for path in axis.collections[0].get_paths()]
    np.testing.assert_allclose(ends, [(0.4, 0.7), (0.3, 0.3)])


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_of_captions(length):
    lengths = {"train": [length, length, 3, 5], "val": [2], "test": [0, 40]}
    (axis,) = draw(plot_lengths(lengths, cut=length)).axes
    train, val, test, cut = axis.get_lines()
    expected = {number: lengths["train"].count(number) / 4 for number in lengths["train"]}
    shares = dict(zip(train.get_xdata(), train.get_ydata(), strict=True))
    assert {int(x): share for x, share in shares.items() if share} == expected
    assert len({line.get_linestyle() for line in (train, val, test)}) == 3
    assert list(cut.get_xdata()) == [length + 0.5] * 2
    assert test.get_label() == "test (2 captions)"


def test_lengths_without_a_cut():
    (axis,) = draw(plot_lengths({"train": [1, 2]}, cut=None)).axes
    assert len(axis.get_lines()) == 1


@pytest.mark.parametrize("pictures", [1, 2, 5])
def test_vectors(pictures):
    vectors = np.random.default_rng(0).normal(size=(pictures, 768)).astype(np.float16)
    figure = draw(plot_vectors(vectors, [f"picture {number}" for number in range(pictures)], title="fc2"))
    for number, axis in enumerate(figure.axes):
        np.testing.assert_array_equal(axis.images[0].get_array(), vectors[number].astype(np.float32).reshape(16, 48))
        assert axis.get_ylabel() == f"picture {number}"


def test_vectors_without_names_are_an_error():
    with pytest.raises(ValueError):
        plot_vectors(np.zeros((3, 64)), ["a", "b"])


@pytest.mark.parametrize("limit", [1.0, None])
def test_norms_and_losses_of_runs_that_end_early(limit):
    runs = {
        name: [SimpleNamespace(gradient_norm=2.0**number, loss=1 / (1 + number)) for number in range(updates)]
        for name, updates in (("clipped", 9), ("free", 3), ("one", 1))
    }
    figure = draw(plot_norms(runs, limit, title="Norms"))
    norms, losses = figure.axes
    assert figure.get_suptitle() == "Norms" and norms.get_yscale() == losses.get_yscale() == "log"
    assert [len(line.get_ydata()) for line in losses.get_lines()] == [9, 3, 1]
    labels = [text.get_text() for text in norms.get_legend().get_texts()]
    assert labels == ["clipped", "free", "one"] + ["limit 1"] * (limit is not None)
