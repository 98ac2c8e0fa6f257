"""The documents: their pictures and names agree with the code, their links lead somewhere, terms are where they say."""

import importlib.util
import json
import re
import tomllib
from types import SimpleNamespace

import pytest
import yaml

from tests.test_house import NAMES, ROOT, imported

DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(*parts):
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def families():
    """Return family -> the families that its modules import, with what these import in turn."""
    family = {name: name.split(".")[1] for name in NAMES.keys() - {"captioning", "captioning.__main__"}}
    direct = {each: set() for each in family.values()}
    for name, of in family.items():
        direct[of] |= {family[other] for other in imported(name) if other in family} - {of}

    def reached(of):
        return direct[of].union(*(reached(other) for other in direct[of]))

    return {of: reached(of) for of in direct}


def test_the_architecture_shows_every_module_and_only_imports_that_are_there():
    text, imports = read("docs", "architecture.md"), families()
    _, drawn = re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)
    nodes = re.findall(r"^ {8}(\w+)$", drawn, re.MULTILINE)
    assert sorted(nodes) == sorted(imports) == sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    arrows = re.findall(r"^    (\w+) --> (\w+)$", drawn, re.MULTILINE)
    assert {each for arrow in arrows for each in arrow} == set(nodes)
    assert [
        f"{importer} does not import {module}" for module, importer in arrows if module not in imports[importer]
    ] == []


def test_the_path_of_the_data_names_modules():
    drawn = re.search(r"```mermaid\n(.*?)```", read("docs", "architecture.md"), re.DOTALL)[1]
    named = {word for label in re.findall(r'\|"(.*?)"\|', drawn) for word in re.findall(r"[a-z_]{3,}", label)}
    assert {"datasets", "training", "serving"} <= named <= families().keys()


def terms():
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \| (.+?) \| \[(\d\d)\]\((.+?)\) \|$", read("docs", "glossary.md"), re.MULTILINE
    )
    assert len(rows) >= 40
    return rows


def test_the_glossary_is_in_order_and_says_each_term_once():
    names = [term.lower() for term, *_ in terms()]
    assert names == sorted(set(names))
    assert all(meaning.endswith(".") and meaning.count(". ") <= 2 for _, meaning, *_ in terms())


def test_every_term_of_the_glossary_occurs_in_the_notebook_it_names():
    for term, _, number, link in terms():
        assert link.startswith(f"../notebooks/{number}_")
        cells = json.loads(ROOT.joinpath("docs", link).read_text(encoding="utf-8"))["cells"]
        text = " ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        assert term.lower() in re.sub(r"\s+", " ", text).lower(), f"{term} is not in {link}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_to_a_file(path):
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert link.startswith("http") or path.parent.joinpath(link).exists(), link


def test_the_glossary_is_linked_from_the_readme_and_named_in_the_first_notebooks():
    assert "(docs/glossary.md)" in read("README.md")
    for name in ("00_first_captioner", "01_download"):
        assert "`docs/glossary.md`" in read("notebooks", f"{name}.ipynb")


def test_the_changelog_and_the_citation_have_the_version_of_the_package():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == project["version"] and citation["license"] == "MIT"
    assert f"## [{project['version']}]" in read("CHANGELOG.md")


def test_commits_are_checked_by_what_make_lint_runs():
    """Each local hook runs a command of `make lint`, and none is missing."""
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)
    commands = [line.strip().removeprefix("$(BIN)/") for line in recipe.splitlines()]
    (local,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in local["hooks"]] == commands


def test_the_forms_for_issues_are_valid():
    for name in ("bug.yml", "feature.yml"):
        form = yaml.safe_load(read(".github", "ISSUE_TEMPLATE", name))
        assert form["name"] and form["description"]
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids))
    asked = read(".github", "ISSUE_TEMPLATE", "bug.yml")
    assert all(word in asked for word in ("captioning", "Python", "TensorFlow", "CAPTIONING_DATASET", "notebook"))


def loaded(name):
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_the_readme_is_filled_from_a_run():
    """It has a row per notebook, and only what a run tells changes."""
    text, costs = read("README.md"), loaded("costs")
    rows = costs.ROW.findall(text)
    assert rows == [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    scenes = {rows[1]: {"minutes": 2.06, "memory_GB": 1.25, "disk_MB": 1234.5}}
    filled = costs.filled(text, scenes, {rows[2]: {"minutes": 9.96}})
    changed = [pair for pair in zip(text.splitlines(), filled.splitlines(), strict=True) if pair[0] != pair[1]]
    assert [after.split(" | ")[0][2:] for _, after in changed] == rows[1:3]
    assert changed[0][1].split(" | ")[3:6] == ["2.1", "1.2", "1,234"] and changed[1][1].endswith(" | 10.0 |")
    assert costs.filled(filled, {}, {}) == filled


def test_a_run_that_is_not_there_is_named_and_the_readme_stays(tmp_path, monkeypatch):
    costs = loaded("costs")
    monkeypatch.setattr(costs, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["costs.py"])
    (tmp_path / "README.md").write_text("as it was")
    with pytest.raises(SystemExit, match=r"runs/scenes/costs\.json is missing: `make demo` writes it"):
        costs.main()
    assert (tmp_path / "README.md").read_text() == "as it was"


def test_captions_are_good_middling_or_bad_by_what_was_drawn():
    things = [{"object": "boat", "colour": "red"}, {"object": "car", "colour": "blue"}]
    record = SimpleNamespace(truth={"place": "beach", "objects": things}, image_id="1")
    mark = loaded("pictures").mark
    assert mark(record, "a red boat and a blue car at the beach") == "good"
    assert mark(record, "a red boat at the beach") == mark(record, "a red boat and a red car") == "middling"
    assert mark(record, "a boat and a red car at the beach") == mark(record, "") == "bad"


def test_what_the_readme_links_to_is_published():
    """The index of the executed notebooks, and the page that captions photos."""
    steps = yaml.safe_load(read(".github", "workflows", "ci.yml"))["jobs"]["pages"]["steps"]
    commands = "\n".join(step.get("run", "") for step in steps)
    assert "make demo" in commands and "cp runs/scenes/*.html site/" in commands
    linked = set(re.findall(r"github\.io/[\w-]+/(.*?)\)", read("README.md")))
    assert linked == {"", "page/"} and re.search(r"captioning export \S+ site/page$", commands, re.MULTILINE)
    uploaded = next(step["with"]["path"] for step in steps if "upload-pages" in step.get("uses", ""))
    assert uploaded == "site"


def test_the_badges_open_what_is_there():
    opened = re.findall(r"blob/main/(notebooks/\w+\.ipynb)", read("README.md"))
    assert len(opened) == 2 and all((ROOT / name).is_file() for name in opened)
    made = json.loads(read(".devcontainer", "devcontainer.json"))["postCreateCommand"]
    assert made == "make .venv/installed" and f"{made.removeprefix('make .venv')}:" in read("Makefile")
    assert made in read("Dockerfile")
