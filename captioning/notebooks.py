"""Run every notebook top to bottom and turn the executed copies into pages: `python -m captioning.notebooks`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
import papermill
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from papermill.exceptions import PapermillExecutionError

from captioning import settings

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
PATHS = ("CAPTIONING_ROOT", "CAPTIONING_HOME", "CAPTIONING_WEIGHTS", "KERAS_HOME")


def run(notebooks: Sequence[Path], folder: Path) -> dict[str, float]:
    """Execute notebooks in their order; stop at the first that fails.

    The executed copy and its page are written to `folder`, also after a failure.

    Returns:
        Name -> seconds.

    Raises:
        PapermillExecutionError: a cell failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seconds = {}
    for notebook in notebooks:
        print(f"{notebook.stem} ...", flush=True)
        started = time.perf_counter()
        executed = folder / notebook.name
        try:
            with _stderr_into(folder / "kernels.log"), _inline_figures():
                papermill.execute_notebook(
                    notebook, executed, cwd=notebook.parent, kernel_name="python3", progress_bar=False
                )
        finally:
            if executed.exists():
                write_page(executed)
        seconds[notebook.stem] = time.perf_counter() - started
    return seconds


@contextlib.contextmanager
def _stderr_into(path: Path) -> Iterator[None]:
    """Send file descriptor 2 to a file: kernels talk about themselves there, what cells print is in the copy."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with path.open("ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _inline_figures() -> Iterator[None]:
    """Hide MPLBACKEND from kernels: with a backend named there, figures would not appear in the notebooks."""
    kept = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["MPLBACKEND"] = kept


def write_page(notebook: Path) -> Path:
    """Write an executed notebook as HTML beside it and return the page."""
    exporter = HTMLExporter()
    # A progress bar is one line in the page, not one per update.
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    body, _ = exporter.from_notebook_node(nbformat.read(notebook, as_version=4))
    page = notebook.with_suffix(".html")
    page.write_text(body, encoding="utf-8")
    return page


def make_paths_absolute(environment: dict) -> None:
    """Let relative paths mean: from where the command was typed. Kernels start in notebooks/."""
    for name in PATHS:
        value = environment.get(name)
        if value and value not in ("imagenet", "random"):
            environment[name] = str(Path(value).expanduser().resolve())


def main(names: Sequence[str]) -> int:
    """Run the notebooks whose names start with one of `names`; all for none. Returns the exit code."""
    make_paths_absolute(os.environ)
    try:
        project = settings.from_environment()
    except settings.SettingError as error:
        print(error)
        return 2
    notebooks = [path for path in sorted(FOLDER.glob("[0-9]*.ipynb")) if path.name.startswith(tuple(names or [""]))]
    folder = project.home / "runs" / project.name
    try:
        seconds = run(notebooks, folder)
    except PapermillExecutionError as error:
        failed = max(folder.glob("*.ipynb"), key=lambda path: path.stat().st_mtime)
        print(f"\n{error.ename}: {error.evalue}")
        print(f"FAILED: {failed.stem}, cell {error.cell_index + 1}. See {failed.with_suffix('.html')}")
        return 1
    minutes = ", ".join(f"{name[:2]} {value / 60:.1f}" for name, value in seconds.items())
    print(f"Pages in {folder}. Minutes: {minutes}; together {sum(seconds.values()) / 60:.1f}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
