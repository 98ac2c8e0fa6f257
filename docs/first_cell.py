"""Give every notebook its first cell, and every file the address of this repository: `python docs/first_cell.py`.

The address is `Repository` in pyproject.toml. `python docs/first_cell.py https://github.com/someone/captioning` sets
it there, and replaces the old one in the README, in CITATION.cff and in the notebooks.
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
NAMING = ("pyproject.toml", "README.md", "CITATION.cff")
CELL = """\
try:
    import captioning
except ModuleNotFoundError:  # opened alone, as on Colab: fetch the repository, install what is missing
    import os
    import runpy

    source = os.environ.get("CAPTIONING_REPOSITORY") or "{address}"
    folder = ".." if os.path.exists("alone.py") else "image-captioning"
    if not os.path.exists(folder):
        !git clone --quiet --depth 1 {{source}} {{folder}}
    assert os.path.exists(folder), f"{{source}} cannot be cloned: is Internet on, and CAPTIONING_REPOSITORY right?"
    runpy.run_path(f"{{folder}}/notebooks/alone.py")"""


def address(root: Path = ROOT) -> str:
    """Return where the repository is published."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def forms(of: str) -> list[str]:
    """Return the forms in which files hold an address: of the repository, the published pages, its path alone."""
    parts = urlsplit(of)
    owner, _, name = parts.path.strip("/").partition("/")
    if parts.scheme != "https" or not owner or not re.fullmatch(r"[\w.-]+", name):
        sys.exit(f"{of}: give the repository's address, such as https://github.com/someone/captioning.")
    return [of, f"{owner}.github.io/{name}", f"{owner}/{name}"]


def move(root: Path, to: str) -> None:
    """Replace the address in every file that names it."""
    old, new = forms(address(root)), forms(to)
    for file in (root / name for name in NAMING):
        text = file.read_text(encoding="utf-8")
        for number, form in enumerate(old):  # in two steps: a new form may hold an old one
            text = text.replace(form, f"\0{number}\0")
        for number, form in enumerate(new):
            text = text.replace(f"\0{number}\0", form)
        file.write_text(text, encoding="utf-8")


def insert(notebook: Path, source: str) -> None:
    """Put the cell before the one that imports, or renew it."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["id"] != "get"]
    new = {"cell_type": "code", "execution_count": None, "id": "get", "metadata": {}, "outputs": []}
    place = [cell["id"] for cell in cells].index("setup")
    content["cells"] = [*cells[:place], new | {"source": source.splitlines(keepends=True)}, *cells[place:]]
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Write all files."""
    if sys.argv[1:]:
        move(ROOT, sys.argv[1].rstrip("/").removesuffix(".git"))
    for notebook in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        insert(notebook, CELL.format(address=address()))


if __name__ == "__main__":
    main()
