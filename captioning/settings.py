"""Which dataset, which folders, quick or full: chosen by notebook 01, read by all others."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

DATASETS = ("scenes", "coco2014", "flickr8k", "open-images", "folder")
ENCODERS = ("vgg16", "inception_v3", "resnet50", "mobilenet")
PREFIX = "CAPTIONING_"
VARIABLES = ("DATASET", "ROOT", "LIMIT", "WEIGHTS", "ENCODER", "QUICK", "HOME", "MIRROR")  # MIRROR: see `download`


class SettingError(ValueError):
    """A setting has an unknown name or a value that cannot be used."""


@dataclass(frozen=True)
class Project:
    """What all notebooks agree on; `choose` and `active` make one."""

    dataset: str = "scenes"
    root: str | None = None  # where the dataset's original files lie; never written to
    limit: int | None = None  # the first N images of the fixed shuffled order
    weights: str | None = None  # imagenet, random, or a folder of files under Keras's own names
    encoder: str | None = None  # replaces the encoder of every notebook
    quick: bool = False  # smallest sizes
    home: Path = Path(__file__).resolve().parents[1]  # holds data/, checkpoints/ and runs/

    @property
    def name(self) -> str:
        """The folder name of this dataset: quick runs have one of their own."""
        return f"{self.dataset}-quick" if self.quick else self.dataset

    @property
    def data(self) -> Path:
        """The folder with the captions, tokenizer and features of this dataset."""
        return self.home / "data" / self.name

    @property
    def originals(self) -> Path:
        """The folder with this dataset's own files: `root`, else where they are downloaded to; quick runs share it."""
        return Path(self.root) if self.root else self.home / "data" / "originals" / self.dataset

    @property
    def checkpoints(self) -> Path:
        """The folder with the bundles trained on this dataset."""
        return self.home / "checkpoints" / self.name

    @property
    def encoders(self) -> Path:
        """The folder with random encoder weights, shared by all datasets."""
        return self.home / "data" / "encoders"

    @property
    def encoder_weights(self) -> str:
        """The weights in force: as set, else random for drawn scenes and imagenet for photos."""
        return self.weights or ("random" if self.dataset == "scenes" else "imagenet")

    def encoder_or(self, default: str) -> str:
        """Return the encoder that replaces every notebook's own, else `default`."""
        return self.encoder or default


def choose(
    dataset: str = "scenes",
    root: str | None = None,
    limit: int | None = None,
    weights: str | None = None,
    encoder: str | None = None,
) -> Project:
    """Choose what the series runs on and write it to data/active.json; the environment has the last word.

    Args:
        dataset: one of `DATASETS`.
        root: the folder with the dataset's original files, or None to fetch or draw them.
        limit: number of images, or None for all.
        weights: imagenet, random or a folder; None for the dataset's own default.
        encoder: one of `ENCODERS`, or None for each notebook's own.

    Raises:
        SettingError: an unknown variable, dataset or encoder, or a value that cannot be used.
    """
    chosen = {"dataset": dataset, "root": root, "limit": limit, "weights": weights, "encoder": encoder}
    project = _checked(Project(**(chosen | _environment())))
    kept = dataclasses.asdict(project)
    del kept["home"]
    active_file = project.home / "data" / "active.json"
    active_file.parent.mkdir(parents=True, exist_ok=True)
    active_file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return project


def active() -> Project:
    """Return what notebook 01 chose; the environment has the last word.

    Raises:
        FileNotFoundError: notebook 01 has not been run.
        SettingError: see `choose`.
    """
    environment = _environment()
    home = environment.get("home", Project.home)
    active_file = require(home / "data" / "active.json", made_by="01_download")
    try:
        chosen = json.loads(active_file.read_text(encoding="utf-8"))
        project = Project(**(chosen | environment))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise SettingError(f"{active_file} cannot be read ({error}): run 01_download again.") from error
    return _checked(project)


def from_environment() -> Project:
    """Return what the environment alone asks for; notebook 01 may choose otherwise where it is silent.

    Raises:
        SettingError: see `choose`.
    """
    return _checked(Project(**_environment()))


def require(path: Path | str, made_by: str) -> Path:
    """Return the path if it is there.

    Raises:
        FileNotFoundError: it is missing; the message names the notebook that makes it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing. Run notebooks/{made_by}.ipynb first: it makes this file.")
    return path


def _environment() -> dict:
    """Return the settings that stand in CAPTIONING_* variables, converted."""
    given = {name.removeprefix(PREFIX): value for name, value in os.environ.items() if name.startswith(PREFIX)}
    unknown = sorted(set(given) - set(VARIABLES))
    if unknown:
        known = ", ".join(PREFIX + name for name in VARIABLES)
        raise SettingError(f"Unknown setting {PREFIX}{unknown[0]}; known: {known}.")
    given = {name: value for name, value in given.items() if value}
    settings: dict = {name.lower(): given[name] for name in ("DATASET", "WEIGHTS", "ENCODER") if name in given}
    if "ROOT" in given:
        settings["root"] = str(Path(given["ROOT"]).expanduser().resolve())
    if "HOME" in given:
        settings["home"] = Path(given["HOME"]).expanduser().resolve()
    if "LIMIT" in given:
        settings["limit"] = _positive(given["LIMIT"])
    if "QUICK" in given:
        settings["quick"] = _flag(given["QUICK"])
    return settings


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise SettingError(f"{PREFIX}LIMIT={text!r}: give a whole number of images, 1 or more.")
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise SettingError(f"{PREFIX}QUICK={text!r}: give 1 (smallest sizes) or 0.")
    return text == "1"


def _checked(project: Project) -> Project:
    """Return the project once its values are known to be usable."""
    for setting, value, known in (("DATASET", project.dataset, DATASETS), ("ENCODER", project.encoder, ENCODERS)):
        if value is not None and value not in known:
            raise SettingError(f"Unknown {PREFIX}{setting} {value!r}; known: {', '.join(known)}.")
    limit = project.limit
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise SettingError(f"{PREFIX}LIMIT={limit!r}: give a whole number of images, 1 or more.")
    if project.root is not None and not Path(project.root).expanduser().is_dir():
        raise SettingError(f"{PREFIX}ROOT={project.root}: there is no such folder.")
    weights = project.weights
    if weights not in (None, "imagenet", "random") and not Path(weights).expanduser().is_dir():
        raise SettingError(
            f"{PREFIX}WEIGHTS={weights}: give imagenet, random, or an existing folder with Keras's weight files."
        )
    return dataclasses.replace(project, root=_absolute(project.root), weights=_absolute(weights))


def _absolute(folder: str | None) -> str | None:
    if folder in (None, "imagenet", "random"):
        return folder
    return str(Path(folder).expanduser().resolve())
