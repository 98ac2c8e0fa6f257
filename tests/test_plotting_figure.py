"""What holds for every figure: letters that a page shows large enough, an alt text, and once in a notebook."""

import nbclient
import nbformat
import pytest
from figures import EXAMPLES, draw
from matplotlib.text import Text

from captioning.plotting.figure import wrapped

PAGE = 950  # pixels for a figure on a page 1,100 pixels wide


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", EXAMPLES)
def test_no_letter_is_below_11_pixels_on_a_page(name, files):
    figure = draw(EXAMPLES[name](files))
    assert figure.dpi == 100
    scale = min(1, PAGE / (100 * figure.get_tightbbox().width))  # notebooks cut figures tightly
    hidden = {text for axis in figure.axes if not axis.axison for side in (axis.xaxis, axis.yaxis)
              for text in side.findobj(Text)}  # fmt: skip
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text not in hidden]
    sizes = {text.get_text(): text.get_fontsize() * 100 / 72 * scale for text in texts}
    assert sizes and min(sizes.values()) >= 11, sizes


@pytest.mark.parametrize("name", EXAMPLES)
def test_figures_end_where_they_say(name, files):
    """What is drawn beyond its edge makes a figure wider, and so smaller on the page."""
    figure = draw(EXAMPLES[name](files))
    box, (wide, high) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.2 and box.x1 < wide + 0.2 and box.y0 > -0.2 and box.y1 < high + 0.2
    assert not any(text.get_parse_math() for text in figure.findobj(Text))  # names and captions may hold dollars


@pytest.mark.parametrize("name", EXAMPLES)
def test_alt_texts_tell_what_is_in_the_figure(name, files):
    figure = EXAMPLES[name](files)
    assert 20 < len(figure.alt) <= 1000
    assert figure.get_suptitle().split("\n")[0] in figure.alt or name == "one bar"
    told = {
        "captions": ("0.png", "(empty)", "umbrella a red", "✓ right", "✗ no dog", "ref: "),
        "attention": ("0.png", "7 by 7 regions", "umbrella ×", "at row ", "% of the weight", "% of the area"),
        "history": ("GRU: epoch 3 of 3 kept", "val_loss 0.2 first, 0.2 lowest, 2.2 highest, 2.2 last"),
        "two histories": ("RNN: epoch 12 of 12", "LSTM: epoch 9 of 9"),
        "bars": ("CIDEr", "GRU 0.500 (0.400 to 0.700)", "most common (baseline) 0.100"),
        "one bar": ("Captions per picture, pictures", "5 captions 1,900"),
        "lengths": ("train: 4 captions of 3 to 9 words, most often 4", "longer than 5 words: 1 of 6 captions (16.7 %)"),
        "similarities": ("1 0.png", "1 and 2: 0.00", "3 and 4: 0.00"),
        "curves": ("Across: update.", "clipped 3 first", "norm: free 9 first, 1.5 lowest, 9 highest, 1.5 last"),
        "architecture": ("features (mean over the regions, 6) to standardized", "LSTM at the next word"),
        "cell": ("One step of a GRU", "384 → 256", "to next state h'"),
        "beam": ("Result: a dog END", "Kept: a -0.70; a dog -1.10; a dog END -1.10.", "Dropped: the -1.20"),
        "points": ("Across CIDEr, up exact", "model number 8: 2.04, 17.9"),
    }
    assert all(part in figure.alt for part in told.get(name, ())), figure.alt


def test_notebooks_show_a_figure_once_and_with_its_alt_text(monkeypatch):
    one = "plotting.plot_bars({'%s': 2}, 'Bars')"
    cells = {
        "from captioning import plotting": [],
        one % "quiet" + ";": ["quiet"],
        one % "last": ["last"],
        f"{one % 'first'}\n{one % 'second'};": ["first", "second"],
        f"figure = {one % 'named'}\nfigure": ["named"],
        "plotting.draw_beam({('END',): (-1.0, True)}, ['END'], 'Tree');": ["Tree"],
        "1": [],
    }
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    monkeypatch.delenv("MPLBACKEND")
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    for cell, names in zip(notebook.cells, cells.values(), strict=True):
        shown = [output for output in cell.outputs if "image/png" in output.get("data", ())]
        alts = [output.metadata["image/png"]["alt"] for output in shown]
        tree = "Tree. Result: END. Kept: END -1.00. Dropped: ."
        assert alts == [tree if name == "Tree" else f"Bars: Bars. {name} 2." for name in names], cell.source
        drawn = [output for output in shown if "image/svg+xml" in output.data]
        assert len(drawn) == ("Tree" in names)
        assert all(output.metadata["image/svg+xml"]["alt"] == tree and "<svg" in output.data["image/svg+xml"]
                   and ">END</text>" in output.data["image/svg+xml"] for output in drawn)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", 1), ("a", 1), ("  a \n b ", 1), ("umbrella " * 40, 20), ("x" * 200, 10), ("狗" * 60, 1),
        ("क" + "क्षि" * 30, 1),
    ],
)  # fmt: skip
def test_lines_are_as_wide_as_they_may_be(text, lines):
    """A word is broken only where it does not fit a line, and never between a letter and its marks."""
    broken = wrapped(text, 150).split("\n")
    assert len(broken) >= lines and "".join(broken).replace(" ", "") == "".join(text.split())
    assert all(line == line.strip() and not line.startswith(("\u094d", "\u093f")) for line in broken)
    assert text.count(" ") < 9 or all(word == "umbrella" for line in broken for word in line.split())


def test_wide_letters_take_more_lines_than_narrow_ones():
    assert len(wrapped("W" * 60, 200).split("\n")) > 2 * len(wrapped("i" * 60, 200).split("\n"))
