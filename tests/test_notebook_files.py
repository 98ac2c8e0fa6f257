"""The committed notebooks: clean files, one skeleton, short code, and a computed sentence after every figure."""

import itertools
import json
import re
import statistics

import nbformat
import pytest

from captioning import plotting
from tests.series import FILES

BY_NAME = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
FINDING = re.compile(r"^findings\.\w+\(", re.MULTILINE)
FIGURES = re.compile(r"plotting\.(show|plot)_\w+\(")


@BY_NAME
def test_a_committed_notebook_is_clean(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert "widgets" not in notebook["metadata"]
    for cell in notebook["cells"]:
        assert re.fullmatch(r"[a-z0-9-]+", cell["id"]) and not re.fullmatch(r"[0-9a-f]{8}", cell["id"])
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None, cell["id"]


@BY_NAME
def test_a_notebook_follows_the_skeleton(path):
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert texts[0].startswith(f"# {path.name[:2]}. ")
    assert "**Needs:**" in texts[0] and "**Makes:**" in texts[0] and "**Time" in texts[0]
    headings = [line for text in texts for line in text.splitlines() if line.startswith("#")]
    for heading in ("## Setup", "## Settings", "## What you learned", "## Try it yourself"):
        assert heading in headings
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in cells) == 1


@BY_NAME
def test_code_is_short_and_mostly_announced(path):
    cells = nbformat.read(path, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    lines = [source.count("\n") + 1 for source in code]
    assert max(lines) <= 30 and statistics.median(lines) <= 6
    pairs = itertools.pairwise(cells)
    announced = [
        before.cell_type == "markdown"
        for before, cell in pairs
        if cell.cell_type == "code" and not FINDING.search(cell.source)
    ]
    assert sum(announced) / len(announced) >= 0.65
    for source in code:
        assert not re.search(r"\bif\b.*\b(DATASET|dataset(\.name)?) *==", source)


@BY_NAME
def test_a_lesson_is_told_once(path):
    """At most a quarter of the cells of a notebook occur word for word in another one."""
    others = {cell.source for other in FILES if other != path for cell in nbformat.read(other, as_version=4).cells}
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    assert sum(source in others for source in cells) <= len(cells) / 4


@BY_NAME
def test_links_to_a_section_of_a_notebook_lead_to_its_heading(path):
    for name, section in re.findall(r"\]\((\w+\.ipynb)(?:#([^)\s]*))?\)", path.read_text(encoding="utf-8")):
        cells = nbformat.read(path.with_name(name), as_version=4).cells
        texts = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        headings = re.findall(r"^#+ (.*)$", texts, re.MULTILINE)
        assert not section or section in [heading.replace(" ", "-") for heading in headings], f"{name}#{section}"


@BY_NAME
def test_the_words_are_plain(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\b(simply|just|easily|obviously)\b", cell.source, re.IGNORECASE), cell.id


@BY_NAME
def test_a_computed_sentence_follows_every_figure(path):
    """In the next code cell, since a figure appears below all that its own cell shows."""
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for cell, following in itertools.pairwise([*code, nbformat.v4.new_code_cell()]):
        if FIGURES.search(cell.source):
            assert FINDING.search(following.source), cell.id


def test_every_figure_function_is_known_by_its_name():
    names = {name for name in vars(plotting) if name.startswith(("show_", "plot_"))}
    assert {"show_captions", "plot_history"} <= names and all(FIGURES.match(f"plotting.{name}(") for name in names)
