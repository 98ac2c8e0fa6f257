"""The house: small files, short functions, imports that run one way, and the modules of CONTRIBUTING's list."""

import ast
import graphlib
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "captioning").rglob("*.py"))
NAMES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES
}  # module -> file


def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def test_files_are_short():
    files = [*FILES, *(ROOT / "tests").rglob("*.py")]
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(lines) > 300
    assert {str(file.relative_to(ROOT)): count for file, count in lines.items() if count > 300} == {}


def test_functions_are_short():
    nodes = [(file, node) for file in FILES for node in ast.walk(parsed(file)) if isinstance(node, ast.FunctionDef)]
    lines = {f"{file.relative_to(ROOT)}, {node.name}": node.end_lineno - node.lineno for file, node in nodes}
    assert len(lines) > 900
    assert {name: count for name, count in lines.items() if count >= 60} == {}


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
