"""The folder of a training run: one run at a time, of one model and one set of settings; no TensorFlow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from captioning.files import only_one, read_json, write_json
from captioning.provenance import StaleError, difference


@contextmanager
def training_in(folder: Path, **settings: dict) -> Iterator[None]:
    """Hold a folder for a training run; another process waits, then finds what this one has made.

    The settings are written to `training.json` before the first epoch, and compared by every later run.

    Args:
        folder: made where it is missing.
        settings: all that decides how the run goes: of the model, of the training.

    Raises:
        StaleError: the folder belongs to a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / "training", wait=True):
        now = json.loads(json.dumps(settings))  # tuples become lists, as in the file
        file, way_out = folder / "training.json", f"Delete {folder} and train again."
        if file.is_file():
            kept = read_json(file, way_out)
            if found := difference(kept if isinstance(kept, dict) else {}, now):
                raise StaleError(
                    f"{folder} holds another training run: {found}. Run the cell that chooses the folder again "
                    f"(`bundle.start`), or delete {folder} by hand."
                )
        elif made := [name for name in ("history.csv", "last") if (folder / name).exists()]:
            raise StaleError(f"{folder} holds {made[0]}, but no training.json that says of which run. {way_out}")
        else:
            write_json(file, now)
        yield


def tidy(folder: Path) -> None:
    """Remove what only resuming needs, once a training run is finished, and what killed processes left."""
    shutil.rmtree(folder / "last", ignore_errors=True)
    for draft in folder.glob("partial-*"):
        draft.unlink(missing_ok=True)
