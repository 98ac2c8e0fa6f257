"""The trained models on the disk: found, listed and deleted without loading any; no TensorFlow."""

import contextlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from captioning.files import DamagedError, only_one, read_json
from captioning.lines import Lines, aligned
from captioning.training.history import best_epoch, read_history

FORMAT, PACKED_FORMAT, ENSEMBLE_FORMAT = 3, 1, 1  # of settings.json; of a packed model; of members.json
MEMBERS = "members.json"  # makes a folder an ensemble: the names of the experiments beside it that caption together
_KINDS = "settings.json", MEMBERS
_READ, _LARGEST = ("settings.json", "history.csv", "scores.json", "manifest.json"), 1 << 24  # bytes of each, unpacked


def folders(checkpoints: Path, ensembles: bool = False) -> list[Path]:
    """Return the folders of all experiments on a dataset, finished or not, by name; those of ensembles if asked."""
    try:
        found = {path.parent for kind in _KINDS[: 1 + ensembles] for path in checkpoints.glob(f"*/{kind}")}
        return sorted(found)
    except PermissionError:  # it cannot be looked into; `table` says so
        return []


def datasets(home: Path) -> list[Path]:
    """Return the folders of `checkpoints` that hold experiments or ensembles, one per dataset."""
    return sorted({path.parents[1] for kind in _KINDS for path in (home / "checkpoints").glob(f"*/*/{kind}")})


def named(home: Path, name: str, first: Path | None = None) -> Path:
    """Return what has a name, such as "gru-vgg16" or, where several datasets have it, "scenes/gru-vgg16".

    What is in the folder `first` of a dataset has precedence; a ValueError where there is none, or are several.
    """
    everywhere = [folder for checkpoints in datasets(home) for folder in folders(checkpoints, ensembles=True)]
    found = [folder for folder in everywhere if name in (folder.name, f"{folder.parent.name}/{folder.name}")]
    found = [folder for folder in found if folder.parent == first] or found
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in found or everywhere) or "none"
    raise ValueError(
        f"{home / 'checkpoints'} holds {'several experiments' if found else 'no experiment'} {name!r}; "
        f"{'give one of' if found else 'there are'}: {there}."
    )


def table(experiments: Path | Sequence[Path]) -> Lines:
    """Return a line per experiment and ensemble: epochs, best CIDEr on validation and on test, minutes, disk.

    Given are their folders or packed models; or the folder of a dataset that holds them.
    """
    heading = ("experiment", "epochs", "val CIDEr", "test CIDEr", "minutes", "MB", "")
    listed = folders(experiments, ensembles=True) if isinstance(experiments, Path) else experiments
    return aligned([heading, *map(_row, listed)])


def _row(folder: Path) -> tuple[str, ...]:
    """Return the cells of an experiment, or why there are none: the others are listed all the same."""
    try:
        if (folder.is_dir() or not folder.exists()) and not any((folder / kind).exists() for kind in _KINDS):
            remark = "no trained model" if folder.exists() else "no such folder or file"
        else:
            return _cells(folder)
    except zipfile.BadZipFile:
        remark = "neither a folder nor a zip that is whole"
    except OSError as error:
        remark = f"cannot be read: {error.strerror or error}"
    return folder.name or folder.resolve().name, *["-"] * 5, remark


def _cells(experiment: Path) -> tuple[str, ...]:
    """Return the cells of an experiment, a dash for what is not there yet or damaged."""
    epochs = best = test = minutes = "-"
    folder = _opened(experiment)
    ensemble = (folder / MEMBERS).is_file()
    remarks = _remarks_of_ensemble(experiment) if ensemble else _remarks(folder)
    try:
        history = read_history(cast(Path, folder / "history.csv"))  # of a zip, it is read like one
        epochs, minutes = (str(len(history)), f"{sum(row['seconds'] for row in history) / 60:.1f}") if history else "--"
        best = f"{history[best_epoch(history)]['val_CIDEr']:.3f}" if history else best
    except (DamagedError, KeyError):
        remarks.append("history.csv is damaged")
    with contextlib.suppress(FileNotFoundError):
        try:
            scores = read_json(folder / "scores.json", "")
            test = f"{scores['CIDEr']:.3f}"
            best = f"{scores['decoding']['validation_CIDEr']:.3f}" if ensemble else best
        except (DamagedError, KeyError, TypeError, ValueError):
            remarks.append("scores.json is damaged: run notebooks/11_evaluate.ipynb again")
    name = experiment.name or experiment.resolve().name  # of the current folder
    return name, epochs, best, test, minutes, f"{megabytes(experiment):.1f}", ", ".join(remarks)


def _remarks(folder: Path | zipfile.Path) -> list[str]:
    """Return what keeps an experiment from being used, if anything does."""
    try:
        settings = read_json(folder / "settings.json", "")
        if not isinstance(settings, dict) or settings.get("format") != FORMAT or _packed_newer(folder):
            return ["of another version"]
        return [] if settings.get("finished") else ["unfinished"]
    except FileNotFoundError:
        return ["no trained model"]
    except DamagedError:
        return ["settings.json is damaged"]


def _remarks_of_ensemble(folder: Path) -> list[str]:
    """Return how many models caption together, and which of them are gone."""
    try:
        names = members(folder)
    except DamagedError:
        return [f"{MEMBERS} is damaged, or of another version"]
    gone = [name for name in names if not (folder.absolute().with_name(name) / "settings.json").is_file()]
    return [f"{len(names)} models together", *(f"{name} is missing" for name in gone)]


def members(ensemble: Path) -> dict[str, str]:
    """Return the names of the experiments that caption together -> the digest of their weights."""
    file, way_out = ensemble / MEMBERS, "Run notebooks/11_evaluate.ipynb again, or delete the ensemble by its name."
    content = read_json(file, way_out)
    names = content.get("members") if isinstance(content, dict) and content.get("format") == ENSEMBLE_FORMAT else None
    if not isinstance(names, dict) or not all(name not in ("", "..") and Path(name).name == name for name in names):
        raise DamagedError(f"{file} is not a list of members, or of another version of this package. {way_out}")
    return names


def _packed_newer(folder: Path | zipfile.Path) -> bool:
    """Return whether this is a packed model of a newer version."""
    file = folder / "manifest.json"
    manifest = read_json(file, "") if isinstance(folder, zipfile.Path) and file.exists() else None
    format_ = manifest.get("format") if isinstance(manifest, dict) else None
    return isinstance(format_, int) and format_ > PACKED_FORMAT


def delete(checkpoints: Path, names: Sequence[str]) -> None:
    """Delete the experiments and ensembles of these names, and say how much disk that frees.

    A ValueError where there is none of a name: nothing is deleted then. A BusyError for one that is being trained.
    """
    there = {folder.name: folder for folder in folders(checkpoints, ensembles=True)}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ValueError(f"{checkpoints} holds no experiment {unknown[0]!r}; there are: {', '.join(there) or 'none'}.")
    for folder in (there[name] for name in names):
        with only_one(folder / "training"):
            size = megabytes(folder)
            shutil.rmtree(folder)
        print(f"{folder.name}: deleted, {size:.1f} MB are free again.")


def _opened(experiment: Path) -> Path | zipfile.Path:
    """Return a folder, or a packed model as one."""
    if experiment.is_dir() or not experiment.exists():
        return experiment
    members = zipfile.ZipFile(experiment).infolist()
    if any(member.file_size > _LARGEST for member in members if member.filename in _READ):
        raise zipfile.BadZipFile("a text of that size")
    return zipfile.Path(experiment)


def megabytes(folder: Path) -> float:
    """Return the size of a file, or of all files in a folder; 0 where there is none."""
    if folder.is_file():
        return folder.stat().st_size / 1e6
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
