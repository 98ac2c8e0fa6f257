"""Plans and solutions agree with the notebooks: minutes and lines, names of sections, an answer to every exercise."""

import re

import nbformat
import pytest

from tests.series import FILES
from tests.test_house import ROOT

TEACHING, SOLUTIONS = ((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("teaching", "solutions"))
WORDS_A_MINUTE = 200


def cells_of(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def headings_of(path):
    return re.findall(r"^#+ (.+)$", "\n".join(cell.source for cell in cells_of(path, "markdown")), re.MULTILINE)


def test_the_minutes_and_lines_are_those_of_the_notebooks():
    """Within a quarter, or a minute: small edits need no new table."""
    rows = re.findall(r"^\| \[(\d\d)\]\(\.\./notebooks/(.+)\) \|.* \| (\d+) \| (\d+) \|$", TEACHING, re.MULTILINE)
    assert [name for _, name, *_ in rows] == [path.name for path in FILES]
    far = {}
    for path, (number, _, minutes, lines) in zip(FILES, rows, strict=True):
        words = sum(len(cell.source.split()) for cell in cells_of(path, "markdown"))
        code = sum(bool(line.strip()) for cell in cells_of(path, "code") for line in cell.source.splitlines())
        counted = round(words / WORDS_A_MINUTE), code
        if abs(int(minutes) - counted[0]) > max(1, counted[0] / 4) or abs(int(lines) - code) > code / 4:
            far[number] = counted
    assert far == {}, "write these minutes and lines into docs/teaching.md"


def test_every_section_that_the_map_names_is_there():
    by_name, named = {path.name: headings_of(path) for path in FILES}, 0
    for notebook, section in re.findall(r"\[\d\d\]\(\.\./notebooks/([^)]+)\): (.+?)(?=; \[| \|)", TEACHING):
        assert section in by_name[notebook], notebook
        named += 1
    assert named >= 20


def test_every_class_takes_90_minutes():
    plans = [re.findall(r"^\| (\d+) \| ", part, re.MULTILINE) for part in TEACHING.split("| minutes | what happens |")]
    assert [sum(map(int, minutes)) for minutes in plans[1:]] == [90] * 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_exercise_has_a_solution(path):
    (exercises,) = (cell.source for cell in cells_of(path, "markdown") if "## Try it yourself" in cell.source)
    (solved,) = re.findall(rf"^## {path.name[:2]}\. .+?$(.*?)(?=^## |\Z)", SOLUTIONS, re.MULTILINE | re.DOTALL)
    asked, answered = (re.findall(r"^(\d+)\. \S", text, re.MULTILINE) for text in (exercises, solved))
    assert asked == answered != []
