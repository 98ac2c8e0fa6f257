"""The folder of a training run: one run at a time, of one model and one set of settings; no TensorFlow."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from captioning.files import only_one, read_json, write_json
from captioning.provenance import StaleError, difference


@contextmanager
def training_in(folder: Path, model: dict, training: dict, code: str) -> Iterator[None]:
    """Hold a folder for a training run; another process waits, then finds what this one has made.

    What decides how the run goes is compared with the experiment's `settings.json`. A folder that is no experiment gets
    it as `training.json` before the first epoch.

    Args:
        folder: made where it is missing.
        model: the settings of the model that is here.
        training: those of the run.
        code: `provenance.code_digest` of the model's class.

    Raises:
        StaleError: the folder belongs to another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / "training", wait=True):
        now = json.loads(json.dumps({"code": code, "model": model, "training": training}))  # tuples become lists
        if found := difference(_settings_of(folder, now), now):
            raise StaleError(
                f"{folder} holds another training run: {found}. Run all cells again from the one that builds the "
                "model, which find or make the experiment that fits it."
            )
        yield


def _settings_of(folder: Path, now: dict) -> dict:
    """Return the settings that the folder was made for; those of now are written into a new one."""
    experiment, file, way_out = folder / "settings.json", folder / "training.json", f"Delete {folder} and train again."
    if experiment.is_file():
        kept = read_json(experiment, way_out)
        return {"code": kept["class"]["code"], "model": kept["model"], "training": kept["training"]}
    if file.is_file():
        kept = read_json(file, way_out)
        return kept if isinstance(kept, dict) else {}
    if made := [name for name in ("history.csv", "last") if (folder / name).exists()]:
        raise StaleError(f"{folder} holds {made[0]}, but nothing says of which run. {way_out}")
    write_json(file, now)
    return now


def run_name(name: str, folder: Path, kind: str) -> str:
    """Return what the log calls a run: as asked, else the name of the experiment, else the kind of the model."""
    return name or (folder.name if (folder / "settings.json").is_file() else kind)


def tidy(folder: Path) -> None:
    """Remove what only resuming needs, once a training run is finished, and what killed processes left."""
    shutil.rmtree(folder / "last", ignore_errors=True)
    for draft in folder.glob("partial-*"):
        draft.unlink(missing_ok=True)
