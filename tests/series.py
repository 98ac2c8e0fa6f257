"""The notebooks of the series, run with cells changed, and what they have left."""

import base64

import nbformat
import pytest

from captioning import notebooks

FILES = sorted(notebooks.FOLDER.glob("[0-9]*.ipynb"))


def pictures_in(notebook):
    """Return how many pictures the outputs of an executed notebook hold; each must be in its page, too, or as SVG."""
    outputs = [out for cell in nbformat.read(notebook, as_version=4).cells for out in cell.get("outputs", [])]
    pictures = [
        base64.b64encode(out.data["image/svg+xml"].encode()).decode()
        if "image/svg+xml" in out.data
        else out.data["image/png"]
        for out in outputs
        if "image/png" in out.get("data", {})
    ]
    page = notebook.with_suffix(".html").read_text(encoding="utf-8").replace("\n", "")
    assert all(picture.replace("\n", "")[:200] in page for picture in pictures), notebook
    return len(pictures)


def files_of(folder):
    """Return name -> bytes of every file."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_changed(number, changes, folder, until=None):
    """Run a notebook with cells changed; return what it printed, tables that it shows included.

    Args:
        number: of the notebook.
        changes: id of a cell -> (old, new), several such pairs, or (None, whole cell).
        folder: for the changed notebook and its executed copy.
        until: id of the last cell that is needed; None runs the whole notebook.
    """
    (path,) = (path for path in FILES if path.name.startswith(number))
    notebook = nbformat.read(path, as_version=4)
    names = [cell.id for cell in notebook.cells]
    notebook.cells = notebook.cells[: names.index(until) + 1 if until else None]
    assert changes.keys() <= {cell.id for cell in notebook.cells}
    for cell in notebook.cells:
        pairs = changes.get(cell.id, ())
        for old, new in [pairs] if isinstance(pairs, tuple) and pairs else pairs:
            assert old is None or old in cell.source
            cell.source = new if old is None else cell.source.replace(old, new)
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks, "_write_pages", lambda *_: None)  # nobody looks at them
        notebooks.run([folder / path.name], folder / "runs")
    cells = nbformat.read(folder / "runs" / path.name, as_version=4).cells
    return "".join(output.get("text") or table_of(output) for cell in cells for output in cell.get("outputs", []))


def table_of(output):
    """Return the lines of a table that a cell shows, "" for any other output."""
    data = output.get("data", {})
    return f"\n{data['text/plain']}\n" if data.get("text/html", "").startswith("<pre") else ""
