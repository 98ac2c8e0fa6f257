"""The house: small files, short functions, imports that run one way, and the modules of CONTRIBUTING's list."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "captioning").rglob("*.py"))
NAMES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES
}  # module -> file


def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT / "captioning")))
def test_files_and_functions_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_test_files_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300


def imported(name):
    """The modules of the package that a module imports when it is imported itself; types alone do not count."""
    found = set()
    for node in parsed(NAMES[name]).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("captioning"):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= submodules & NAMES.keys() or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in NAMES}
    return found - {name}


def test_imports_run_one_way():
    graph = {name: imported(name) for name in NAMES}
    assert {"captioning.files", "captioning.datasets.dataset"} <= graph["captioning.datasets.prepare"]
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_imports_run_up_the_list_of_the_contributing_guide():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"above it in this list: (.*?)\.", text, re.DOTALL)
    order = re.sub(r"\s+", " ", listed).split(", ")
    families = {name: name.split(".")[1] for name in NAMES.keys() - {"captioning", "captioning.__main__"}}
    assert sorted(order) == sorted(set(families.values()))
    for name, family in families.items():
        for other in imported(name):
            assert order.index(families.get(other, family)) <= order.index(family), f"{name} imports {other}"
