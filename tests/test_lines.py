"""Aligned lines, and what notebooks show of the project, of a record and of a model's weights."""

import html
import re
from pathlib import Path

import pytest
from IPython.lib.pretty import pretty

from captioning.datasets.records import Record
from captioning.lines import aligned, short_path
from captioning.settings import Project


def test_columns_are_aligned_and_numbers_on_the_right():
    table = aligned([("layer", "n"), ("a", "7"), ("embedding", "1,024")])
    assert table.splitlines() == ["layer          n", "a              7", "embedding  1,024"]
    assert pretty(table) == str(table)
    assert aligned([("id", "7"), ("caption", "a car")]).splitlines() == ["id       7", "caption  a car"]


def test_a_table_is_shown_with_its_columns_however_wide_it_is():
    """Jupyter breaks lines of plain text that are wider than the window, and the columns with them."""
    wide = aligned([("", *map(str, range(60))), ("a < b", *60 * ["+12.5?"])])
    shown = wide._repr_html_()
    assert re.search("^<pre [^>]*white-space: pre;[^>]*overflow-x: auto", shown) and 'tabindex="0"' in shown
    assert html.unescape(re.sub("<[^>]*>", "", shown)) == str(wide) and "a &lt; b" in shown


def test_a_path_counts_from_the_users_home():
    assert short_path(Path.home() / "pictures" / "a.jpg") == "~/pictures/a.jpg"
    assert short_path("/data/a.jpg") == str(Path("/data/a.jpg"))


def test_a_record_is_shown_in_short_lines():
    captions = ("a red car", "a red car in the snow")
    shown = pretty(Record(7, Path("/x/7.jpg"), captions, "train", {"objects": ["car"] * 60}, "abcdef0123456789" * 2))
    assert shown.splitlines()[:5] == [
        "image_id  7", f"file      {Path('/x/7.jpg')}", "split     train",
        "captions  a red car", "          a red car in the snow",
    ]  # fmt: skip
    assert "abcdef01…" in shown and "abcdef012" not in shown
    assert max(map(len, shown.splitlines())) <= 120


@pytest.mark.parametrize(
    "project", [Project(), Project("folder", root="/x", limit=5, weights="random", encoder="vgg16")]
)
def test_a_project_is_shown_in_short_lines_with_what_is_in_force(project):
    shown = pretty(project)
    assert len(shown.splitlines()) == 7 and "None" not in shown and "PosixPath" not in shown
    assert f"weights  {project.encoder_weights}" in shown
