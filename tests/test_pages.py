"""Pages: no network, formulas drawn by the browser, links, contents, descriptions of figures, and the index."""

import base64
import io
import os
import re
from pathlib import Path

import nbformat
import pytest
from IPython.display import Code
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from captioning import notebooks
from captioning.pages import write_index, write_page
from captioning.pages.markdown import formula, to_html
from captioning.pages.page import LONG, STYLE

SERIES = ["01_first", "02_second", "03_third"]
TEXT = "# 02. The *second*\n\nIt shows $x_1$. And more.\n\n$$\\underbrace{a}_{\\text{b}}$$\n$$c$$"


def png(size=40):
    file = io.BytesIO()
    Image.effect_noise((size, size), 80).convert("RGB").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shown(lines):
    code = Code(
        "\n".join(["class Long:", "    def first(self):", *["        x = '<b>'"] * (lines - 2)]), language="python"
    )
    return new_output("execute_result", {"text/html": code._repr_html_(), "text/plain": code.data})


def figure(**about):
    metadata = {"image/png": about} if about else {}
    return new_output("display_data", {"image/png": png()}, metadata=metadata)


def executed(folder, name="02_second", text=TEXT, outputs=(), about=None):
    cells = [
        new_markdown_cell(text),
        new_markdown_cell("## Look at `it`"),
        new_code_cell("1", outputs=list(outputs)),
        new_markdown_cell("## What you learned\n\nNext: `03_third`."),
    ]
    file = folder / f"{name}.ipynb"
    done = {"duration": 90.0, "end_time": "2026-01-01", "exception": None}
    nbformat.write(new_notebook(cells=cells, metadata={"papermill": done if about is None else about}), file)
    return file


def test_a_drawing_is_shown_as_svg_with_its_alt_text(tmp_path):
    data = {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'><text>é</text></svg>", "image/png": png()}
    drawing = new_output("display_data", data, metadata={"image/svg+xml": {"alt": "a <box>"}})
    (picture,) = re.findall(r"<img[^>]*>", body(page_of(executed(tmp_path, outputs=[drawing]))))
    kind, data = re.search(r'src="data:(.*?);base64,(.*?)"', picture).groups()
    assert kind == "image/svg+xml" and "<text>é</text>" in base64.b64decode(data).decode()
    assert 'alt="a &lt;box&gt;"' in picture


def page_of(file):
    return write_page(file, SERIES).read_text(encoding="utf-8")


def body(page):
    return page[page.index("<main>") :]


def test_a_page_asks_no_network_for_anything(tmp_path):
    page = page_of(executed(tmp_path, outputs=[figure(), shown(3)]))
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*", page)
    assert not re.findall(r"@import|url\(['\"]?https?:|import\(?['\"]https?:|<script", page)


def test_formulas_are_drawn_and_no_dollar_is_left(tmp_path):
    page = body(page_of(executed(tmp_path)))
    assert page.count("<math") == 3 and page.count('display="block"') == 2 and "$" not in page and "\\" not in page


@pytest.mark.parametrize("file", sorted(notebooks.FOLDER.glob("*.ipynb")), ids=lambda file: file.stem)
def test_every_formula_of_the_series_can_be_drawn(file):
    for cell in nbformat.read(file, as_version=4).cells:
        if cell.cell_type == "markdown":
            page, _ = to_html(cell.source)
            assert 'class="formula"' not in page and "$$" not in page, cell.id


@pytest.mark.parametrize("tex", ["\\frac{1}{", "\\nosuchcommand{x} < 1", " ", "\\left( x"])
def test_what_cannot_be_drawn_stays_readable(tex):
    assert formula(tex) == f'<code class="formula">{tex.strip().replace("<", "&lt;")}</code>'


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5, or $6 with tax.",
        "From $5-$6 on",
        "`$x$` and `$$` and `$$`",
        "```\n$$x$$\n```",
        "```bash\necho $HOME $PATH$\n```",
        "    echo $a$\n",
        "set $HOME and $PATH",
        "a \\$5 note and a \\$6 one",
        "it costs $5 and `a$` is code",
    ],
)
def test_a_dollar_in_prose_or_code_is_no_formula(text):
    page, _ = to_html(text)
    assert "<math" not in page and 'class="formula"' not in page
    assert re.sub(r"<[^>]+>", "", page).count("$") == text.count("$")


def test_a_link_to_a_section_of_a_notebook_leads_to_that_section_of_its_page():
    drawn, _ = to_html("[there](04_gru.ipynb#The-model), [not](04_gru.ipynb)", ["04_gru"])
    assert re.findall(r'href="([^"]*)"', drawn) == ["04_gru.html#The-model", "04_gru.html"]


@pytest.mark.parametrize("text", ["$x$", "so $a\n= b$.", "($h'$)", "$10^{-3}$ to 1", "$x$-axis", "a $b$, $c$"])
def test_a_formula_in_a_line_is_one(text):
    page, _ = to_html(text)
    assert page.count("<math") == text.count("$") / 2 and "$" not in page


def test_names_of_functions_and_primes_are_readable():
    assert "<mo>log</mo><mspace" in formula("\\log p_y").replace("mi>", "mo>")
    assert "<msup><mi>tanh</mi><mn>2</mn></msup>" in formula("\\tanh^2 a").replace("mo>", "mi>")
    assert "<msup>" not in formula("h'")


def test_a_page_has_a_title_links_and_contents(tmp_path):
    page = page_of(executed(tmp_path))
    assert "<title>02. The second - Image captioning</title>" in page
    links = re.findall(r'<nav [^>]*class="series">.*?</nav>', page)
    assert len(links) == 2 and all(re.findall(r'href="([^"]*)"', nav) == HREFS for nav in links)
    assert '<a data-page="03_third" href="03_third.html"><code>03_third</code></a>.' in page
    contents = re.search(r'<nav class="contents".*?</nav>', page, re.DOTALL)[0]
    places = re.findall(r'href="#([^"]*)"', contents)
    assert len(places) == 2 and all(f'id="{place}"' in page for place in places)


HREFS = ["01_first.html", "index.html", "03_third.html"]


@pytest.mark.parametrize(("name", "hrefs"), [("01_first", ["index.html", "02_second.html"]), ("copy", ["index.html"])])
def test_the_ends_of_the_series_have_one_neighbor(tmp_path, name, hrefs):
    page = page_of(executed(tmp_path, name))
    assert re.findall(r'href="([^"]*)"', re.search(r'<nav [^>]*class="series">.*?</nav>', page)[0]) == hrefs


def test_every_figure_is_described(tmp_path):
    page = page_of(executed(tmp_path, outputs=[figure(alt='Six "pictures" & captions', width=300), figure()]))
    assert "alt='Six \"pictures\" &amp; captions'" in page or 'alt="Six &quot;pictures&quot; &amp; captions"' in page
    assert 'width="300"' in page and 'alt="Figure of the section: Look at it"' in page
    assert "No description has been provided" not in page


@pytest.mark.parametrize(("lines", "folded"), [(LONG, False), (LONG + 1, True)])
def test_a_long_source_is_folded_below_its_names(tmp_path, lines, folded):
    page = page_of(executed(tmp_path, outputs=[shown(lines)]))
    assert (f"<summary>class Long, first ({lines} lines)</summary>" in page) == folded
    assert page.count("<details") == page.count("</details>") == 1 + folded


def test_a_progress_bar_is_one_line_of_the_copy_and_of_the_page(tmp_path):
    ticks = [new_output("stream", name="stdout", text=f"\rfiles: {n}%") for n in range(50)]
    file = executed(tmp_path, outputs=[*ticks, new_output("stream", name="stdout", text="\rfiles: 100%\n")])
    page = page_of(file)
    (output,) = nbformat.read(file, as_version=4).cells[2].outputs
    assert output.text.strip() == "files: 100%" and page.count("files: ") == 1


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    for name in SERIES:
        executed(tmp_path, name)
    return tmp_path / "run"


def index_of(folder):
    return write_index(folder, [folder.parent / f"{name}.ipynb" for name in SERIES], "scenes").read_text()


def states(index):
    return re.findall(r'<p class="state( failed)?">(.*?)</p>', index)


def test_the_index_lists_what_ran_and_what_did_not(folder):
    write_page(executed(folder, outputs=[figure(alt="Small"), figure(alt="x")]), SERIES)
    index = index_of(folder)
    assert states(index) == [("", "Not run yet."), ("", "1.5 minutes"), ("", "Not run yet.")]
    assert '<a href="02_second.html">02. The second</a>' in index and index.count("<h2><a ") == 1
    assert index.count("data:image/jpeg;base64,") == 1 and "1 of 3 notebooks, 1.5 minutes." in index
    assert re.search(r"<p>It shows <math.*?</math>\.</p>", index)
    assert not re.search(r"(src|href)=.https?:", index)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"duration": 30.0, "end_time": "2026", "exception": True}, "FAILED after 30 seconds."),
        ({"duration": 1.2, "end_time": "2026", "exception": True}, "FAILED after 1 second."),
        ({"duration": None, "end_time": None, "exception": None}, "Interrupted."),
        (None, "Stopped before its first cell ended."),
    ],
)
def test_the_index_says_how_a_notebook_ended(folder, about, said):
    if about:  # papermill puts the error before the title
        executed(folder, "01_first", "An error was met.\n\n" + TEXT, about=about)
    else:
        (folder / "01_first.ipynb").write_text('{"cells": [')
    index = index_of(folder)
    assert states(index)[0] == (" failed", said) and "An error" not in index


def test_links_to_a_page_that_is_not_there_lead_to_the_index(folder):
    page = write_page(executed(folder), SERIES)
    index_of(folder)
    assert page.read_text().count('href="index.html#03_third"') == 3 and 'href="03_third.html"' not in page.read_text()
    write_page(executed(folder, "03_third"), SERIES)
    index_of(folder)
    assert page.read_text().count('href="03_third.html"') == 3 and 'href="index.html#01_first"' in page.read_text()


WARNING = "[IPKernelApp] WARNING | Kernel is running over TCP without encryption. All communication ...\n"


@pytest.mark.parametrize(
    ("said", "left"), [(WARNING * 9, None), (WARNING + "Segmentation fault\n", "Segmentation fault\n")]
)
def test_the_log_of_the_kernels_holds_what_matters_or_is_not_there(tmp_path, said, left):
    log = tmp_path / "kernels.log"
    with notebooks.stderr_into(log):
        os.write(2, said.encode())
    assert (log.read_text() if log.exists() else None) == left


@pytest.mark.notebooks
def test_a_run_of_one_notebook_leaves_its_page_and_the_index(tmp_path, monkeypatch, capsys):
    for name in SERIES:
        executed(tmp_path, name)
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    monkeypatch.setenv("CAPTIONING_HOME", str(tmp_path))
    monkeypatch.setenv("CAPTIONING_DATASET", "scenes")
    assert notebooks.main(["02"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    index = Path(last.removeprefix("Pages: "))
    assert index == tmp_path / "runs" / "scenes" / "index.html"
    assert [bad for bad, _ in states(index.read_text())] == ["", "", ""]
    names = {path.name for path in index.parent.iterdir() if path.name[0] != "."}
    assert {"02_second.ipynb", "02_second.html", "index.html"} <= names and "kernels.log" not in names


def test_whoever_uses_the_keyboard_can_scroll_what_is_wider_than_a_phone():
    drawn, _ = to_html("$$a + b$$\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\ntext with $c$")
    assert re.findall(r'<div class="wide" tabindex="0">\s*<(\w+)', drawn) == ["math", "table"]


@pytest.mark.parametrize("color", re.findall("color: (#[0-9a-f]{6})", STYLE))
def test_code_has_the_contrast_that_wcag_asks_for(color):
    """Contrast by WCAG 2.2, "relative luminance" and "contrast ratio", against the gray behind code."""

    def luminance(text):
        parts = [int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    assert (luminance("#f5f5f5") + 0.05) / (luminance(color) + 0.05) >= 4.5
