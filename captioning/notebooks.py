"""Run every notebook top to bottom and turn the executed copies into pages: `python -m captioning.notebooks`."""

import ast
import contextlib
import importlib.metadata
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from captioning import costs, settings
from captioning.files import BusyError, only_one, write_text
from captioning.pages import write_index, write_page
from captioning.settings import Project, SettingError


def _series() -> Path:
    """Return the folder of the notebooks: the clone's own, or where the installed package has put them."""
    if settings.REPOSITORY:
        return settings.REPOSITORY / "notebooks"
    installed = (file for found in importlib.metadata.distributions(name="captioning") for file in found.files or ())
    folders = (Path(file.locate()).resolve().parent for file in installed if file.suffix == ".ipynb")
    return next(folders, Path("notebooks"))


FOLDER = _series()
CHOOSES = "01"  # the notebook whose knobs choose the dataset
NEEDS_NOTHING = "00"  # not even that choice
DIED = (
    "The kernel died, as it does when memory runs out. Set a smaller CAPTIONING_LIMIT, CAPTIONING_ENCODER=mobilenet, "
    "or a smaller BATCH in the settings cell of the notebook."
)
HARMLESS = "IPKernelApp] WARNING | Kernel is running over TCP"  # as it always does; the kernel is on this machine


class NotebookError(RuntimeError):
    """A notebook is unknown, or did not run to its end; the message says which one, where and why."""


def run(notebooks: Sequence[Path], folder: Path, project: Project | None = None) -> dict[str, dict]:
    """Execute notebooks in their order; stop at the first that fails, whose copy and page are written, too.

    Args:
        notebooks: the files.
        folder: for the executed copies, the pages, and what kernels complain about.
        project: what every kernel works on, whatever becomes of the settings meanwhile; None: see `resolve`.

    Returns:
        Name -> what it took, see `costs.measured`; the folder's `costs.json` keeps it.
    """
    project = project or resolve(notebooks)
    folder.mkdir(parents=True, exist_ok=True)
    took, made = {}, [project.data, project.encoders, project.checkpoints]
    made += [] if project.root else [project.originals]
    for notebook in notebooks:
        print(f"{notebook.stem} ...", flush=True)
        with costs.measured(made) as took[notebook.stem]:
            _run_one(notebook, folder / notebook.name, project)
        costs.keep(folder, notebook.stem, took[notebook.stem])
    return took


def resolve(notebooks: Sequence[Path]) -> Project:
    """Return what these notebooks work on: the environment over the knobs of notebook 01, else over its last choice.

    Notebook 00 alone needs no choice; where there is one, its page belongs to that dataset's.

    Raises:
        FileNotFoundError: notebook 01 is not among them, has never been run, and the environment names no dataset.
        SettingError: a setting cannot be used, or a knob of notebook 01 is no plain value.
    """
    first = [notebook for notebook in notebooks if notebook.name.startswith(CHOOSES)]
    if first:
        return settings.from_environment(**knobs_of(first[0]))
    try:
        return settings.active()
    except FileNotFoundError:
        if all(notebook.name.startswith(NEEDS_NOTHING) for notebook in notebooks):
            return settings.from_environment()
        raise


def knobs_of(notebook: Path) -> dict:
    """Return what a notebook's settings cell gives to `settings.choose`; a SettingError for what is no plain value."""
    cells = nbformat.read(notebook, as_version=4).cells
    source = "\n".join(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
    knobs: dict[str, Any] = {}
    try:
        for statement in ast.parse(source).body:
            knobs |= _knob(statement)
    except (SyntaxError, ValueError) as error:
        names = ", ".join(settings.KNOBS).upper()
        raise SettingError(f"{notebook}: give each of {names} as a plain value, {error.args[0]}.") from error
    return settings.with_full_paths(knobs, notebook.parent)  # the kernel starts there


def _knob(statement: ast.stmt) -> dict:
    """Return the knob that a line of the settings cell sets, if it sets one that `settings.choose` takes."""
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    if names.isdisjoint(map(str.upper, settings.KNOBS)):
        return {}
    match statement:
        case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
            with contextlib.suppress(TypeError, ValueError):
                return {name.lower(): ast.literal_eval(value)}
    raise ValueError(f"not `{ast.unparse(statement)}`")


def _run_one(notebook: Path, executed: Path, project: Project) -> None:
    """Execute a notebook and write its copy and page; say where and why it did not reach its end."""
    for kept in (executed, executed.with_suffix(".html")):
        kept.unlink(missing_ok=True)  # of an earlier run
    try:
        with stderr_into(executed.with_name("kernels.log")), environment_of_kernels(project):
            papermill.execute_notebook(
                notebook, executed, cwd=notebook.parent, kernel_name="python3", progress_bar=False
            )
    except Exception as error:  # also a time limit, a kernel that does not start, a disk that is full
        why = DIED if isinstance(error, DeadKernelError) else f"{type(error).__name__}: {error}"
        if isinstance(error, PapermillExecutionError):  # whose text is the cell and the whole traceback
            why = f"{error.ename}: {error.evalue}"
        raise NotebookError(f"{why}\nFAILED: {_keep(executed, project)}") from error
    except KeyboardInterrupt:
        print(f"\nINTERRUPTED: {_keep(executed, project)}")
        raise
    _write_pages(executed, project)


def _write_pages(executed: Path, project: Project) -> Path:
    """Write the page of an executed copy and the index of its folder; return the page."""
    notebooks = named(())
    try:
        return write_page(executed, [notebook.stem for notebook in notebooks])
    finally:
        write_index(executed.parent, notebooks, project.name)


def _keep(executed: Path, project: Project) -> str:
    """Write the page of a notebook that did not reach its end; return its name, the cell reached and the page."""
    try:
        page = _write_pages(executed, project)
        cells = nbformat.read(executed, as_version=4).cells
    except (OSError, ValueError):  # the copy was not begun, or is cut off
        return f"{executed.stem}; there is no page of it."
    # Cells without this mark tell of the error; papermill has put them in between.
    marks = [cell.metadata.papermill for cell in cells if "papermill" in cell.metadata]
    started = [number for number, mark in enumerate(marks, 1) if mark.start_time]
    return f"{executed.stem}, cell {max(started, default=1)}. See {page}"


@contextlib.contextmanager
def stderr_into(path: Path) -> Iterator[None]:
    """Send file descriptor 2 to a file: kernels complain there, what cells print is in the copy."""
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
        if path.exists():  # without what every kernel says, and not at all if nothing is left
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            write_text(path, "".join(line for line in lines if line.strip() and HARMLESS not in line))
            if not path.stat().st_size:
                path.unlink()


@contextlib.contextmanager
def environment_of_kernels(project: Project) -> Iterator[None]:
    """Hand the project to the kernels that start meanwhile; they start in notebooks/, so that paths are absolute."""
    before = dict(os.environ)
    os.environ.update(settings.hand_over(project))
    os.environ["TQDM_MININTERVAL"] = "10"  # seconds: nobody watches
    os.environ.pop("MPLBACKEND", None)  # with a backend named there, figures would not appear in the notebooks
    if before.get("KERAS_HOME"):
        os.environ["KERAS_HOME"] = os.path.abspath(os.path.expanduser(before["KERAS_HOME"]))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def named(names: Sequence[str]) -> list[Path]:
    """Return the notebooks whose names start with one of `names`, in the order of the series; all for none."""
    notebooks = sorted(FOLDER.glob("[0-9]*.ipynb"))
    if not notebooks:
        raise NotebookError(f"{FOLDER} holds no notebooks: install captioning again, or use a clone of its repository.")
    begun = {name: [file for file in notebooks if file.name.startswith(Path(name).name or "no name")] for name in names}
    if unknown := [name for name, files in begun.items() if not files]:
        known = ", ".join(notebook.stem for notebook in notebooks)
        raise NotebookError(f"No notebook's name begins with {unknown[0]!r}; there are: {known}.")
    return sorted(set().union(*begun.values())) if names else notebooks


@contextlib.contextmanager
def _folder_of_its_own(folder: Path) -> Iterator[Path]:
    """Give the folder, or a numbered one beside it while another run writes its pages there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        for number in itertools.count(1):
            own = folder.with_name(f"{folder.name}-{number}") if number > 1 else folder
            with contextlib.suppress(BusyError):
                held.enter_context(only_one(own))
                break
        yield own


def main(names: Sequence[str]) -> int:
    """Run the notebooks whose names start with one of `names`; all for none. Returns the exit code."""
    try:
        notebooks = named(names)
        project = resolve(notebooks)
    except (FileNotFoundError, NotebookError, SettingError) as error:
        print(error)
        return 2
    try:
        with _folder_of_its_own(project.home / "runs" / project.name) as folder:
            took = run(notebooks, folder, project)
    except NotebookError as error:
        print(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        return 130  # as shells say it
    print(f"\n{costs.table(took)}\nPages: {folder / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
