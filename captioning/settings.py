"""Which dataset, which folders, quick or full: chosen by notebook 01, read by all others."""

import dataclasses
import hashlib
import json
import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from captioning import lines
from captioning.environment import PREFIX, RESOLVED, VARIABLES, SettingError, variables
from captioning.files import DamagedError, Readable, read_json, write_json

DATASETS = ("scenes", "coco2014", "coco2017", "flickr8k", "flickr30k", "open-images", "folder")
# Encoder -> (regions, channels) of its features; the rest is in `encoders`.
ENCODERS = {
    "vgg16": (1, 4096), "inception_v3": (64, 2048), "resnet50": (49, 2048), "mobilenet": (49, 768),
    "mobilenet_v3": (49, 960), "efficientnet_v2": (49, 1280),
}  # fmt: skip
SomeFile = TypeVar("SomeFile", bound=Readable)
KNOBS = ("dataset", "root", "limit", "weights", "encoder")  # what notebook 01 chooses
WEIGHTS = ("imagenet", "random")
# The clone that this package is used from; None where it is installed among other packages.
_ABOVE = Path(__file__).resolve().parents[1]
REPOSITORY = _ABOVE if (_ABOVE / "pyproject.toml").is_file() else None


def default_home() -> Path:
    """Return what holds data/, checkpoints/ and runs/ where nothing was set: the clone, else the current folder."""
    return REPOSITORY or Path.cwd()


@dataclass(frozen=True)
class Project:
    """What all notebooks agree on; `choose` and `active` make one."""

    dataset: str = "scenes"
    root: str | None = None  # where the dataset's original files lie; never written to
    limit: int | None = None  # the first N images of the fixed shuffled order
    weights: str | None = None  # imagenet, random, or a folder of files under Keras's own names
    encoder: str | None = None  # replaces the encoder of every notebook
    quick: bool = False  # smallest sizes
    home: Path = field(default_factory=default_home)  # holds data/, checkpoints/ and runs/

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show a field per line, and what is in force where nothing was chosen."""
        rest = {"root": "downloaded or drawn", "limit": "all pictures", "encoder": "each notebook's own"}
        rest |= {"weights": f"{self.encoder_weights}, the default of this dataset"}
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields |= {name: lines.short_path(fields[name]) for name in ("root", "home") if fields[name]}
        rows = [(name, str(rest.get(name) if value is None else value)) for name, value in fields.items()]
        lines.aligned(rows)._repr_pretty_(printer, cycle)

    @property
    def name(self) -> str:
        """The folder name of this dataset: each own folder and quick runs have one of their own."""
        name = _folder_name(self.root, self.home) if self.dataset == "folder" and self.root else self.dataset
        return f"{name}-quick" if self.quick else name

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

    @property
    def weights_kind(self) -> str:
        """What the folders of features call the weights in force: imagenet, random, or files."""
        return self.encoder_weights if self.encoder_weights in WEIGHTS else "files"

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
    """Choose what the series runs on and write it to data/active.json; the environment takes precedence.

    What comes from the environment is in force, but never written down. The arguments are the fields of `Project`.
    """
    knobs: dict[str, Any] = dict(zip(KNOBS, (dataset, root, limit, weights, encoder), strict=True))
    project = from_environment(**knobs)
    kept = knobs | {name: knobs[name] and _from_home(knobs[name], project.home) for name in _FOLDERS}
    write_json(project.home / "data" / "active.json", kept)
    return project


def active() -> Project:
    """Return what notebook 01 chose; the environment takes precedence, and is enough where it names a dataset.

    A FileNotFoundError where notebook 01 has not been run; a SettingError as in `choose`.
    """
    if os.environ.get(RESOLVED):
        return _handed_over()
    environment = _environment()
    file = environment.get("home", default_home()) / "data" / "active.json"
    if "dataset" in environment and not file.exists():
        return _over({}, "", environment)
    return _over(_read(require(file, made_by="01_download")), file, environment)


def from_environment(**knobs: Any) -> Project:
    """Return the project of these arguments of `choose`, the environment over them; nothing is written."""
    if os.environ.get(RESOLVED):
        _check(knobs, "")
        return _handed_over()
    return _over(knobs, "", _environment())


def hand_over(project: Project) -> dict[str, str]:
    """Return the variable with which another process uses exactly this project, whatever else is set there."""
    return {RESOLVED: json.dumps(dataclasses.asdict(project) | {"home": str(project.home)})}


def is_quick() -> bool:
    """Return whether the smallest sizes are asked for, whatever the dataset and whether or not one was chosen.

    Raises:
        SettingError: an unknown variable, or CAPTIONING_QUICK is neither 0 nor 1.
    """
    if os.environ.get(RESOLVED):
        return _handed_over().quick
    _check(asked := {name: value for name, value in _environment().items() if name == "quick"}, PREFIX)
    return asked.get("quick", False)


def quick_sizes(**smallest: Any) -> tuple:
    """Say which knobs of the settings cell a quick run replaces; return their new values in the order given."""
    told = ", ".join(f"{name} = {value!r}" for name, value in smallest.items())
    print(f"Quick run: {told} instead of the values in the settings cell; those count without {PREFIX}QUICK=1.")
    return tuple(smallest.values())


def require(path: SomeFile, made_by: str) -> SomeFile:
    """Return the path if it is there; else the FileNotFoundError names the notebook that makes it."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing. Run notebooks/{made_by}.ipynb first: it makes this file.")
    return path


def with_full_paths(knobs: dict, base: Path) -> dict:
    """Return the knobs with folders that count from `base` written out; what is no path stays as it is."""
    return knobs | {
        name: os.path.join(base, os.path.expanduser(knobs[name]))
        for name in _FOLDERS
        if isinstance(knobs.get(name), str) and knobs[name] not in (*WEIGHTS, "")
    }


def _environment() -> dict:
    """Return the settings that CAPTIONING_* variables hold, converted where that is possible."""
    given = variables()
    convert = {
        "LIMIT": lambda text: int(text) if text.isdecimal() else text,
        "QUICK": lambda text: {"0": False, "1": True}.get(text, text),
        "HOME": lambda text: Path(os.path.realpath(os.path.expanduser(text))),
    }
    filled = [name for name in VARIABLES if name.lower() in _RULES and given.get(name)]
    return {name.lower(): convert.get(name, str)(given[name]) for name in filled}


def _read(file: Path) -> dict:
    """Return the knobs in active.json; paths there count from the project's home."""
    try:
        chosen = read_json(file, _AGAIN)
    except DamagedError as error:
        raise SettingError(str(error)) from error
    unknown = sorted(set(chosen) - set(KNOBS)) if isinstance(chosen, dict) else ["a list or a bare value"]
    if unknown:
        raise SettingError(f"{file} holds {', '.join(unknown)}: which notebook 01 does not write. {_AGAIN}")
    return with_full_paths(chosen, file.parents[1])


def _over(knobs: dict, source: Path | str, environment: dict) -> Project:
    """Return the project of checked knobs with the checked environment over them; `source` as in `_refused`."""
    knobs = {"dataset": Project.dataset} | knobs
    _check(knobs, source)
    _check(environment, PREFIX)
    values = knobs | environment
    if values["dataset"] != knobs["dataset"]:
        values["root"] = environment.get("root")  # that of the knobs belongs to the other dataset
    for asked, said_by in ((knobs, source), (values, PREFIX)):
        if asked["dataset"] == "scenes" and asked.get("root") is not None:
            wrong = f"scenes are drawn, not read; set {PREFIX}DATASET (in notebook 01: DATASET) too"
            raise _refused(said_by, "root", asked["root"], wrong)
    for name, wrong in _FOLDERS.items():
        folder = values.get(name)
        if folder is None or (name == "weights" and folder in WEIGHTS):
            continue
        folder = os.path.abspath(os.path.expanduser(folder))
        if not os.path.isdir(folder):
            raise _refused(PREFIX if name in environment else source, name, folder, wrong)
        values[name] = os.path.realpath(folder)
    return Project(**values)


def _check(values: dict, source: Path | str) -> None:
    """Refuse values that cannot be used wherever they come from."""
    for name, value in values.items():
        fits, wrong = _RULES[name]
        if not fits(value) and not (value is None and name in _OPTIONAL):
            raise _refused(source, name, value, wrong)


def _refused(source: Path | str, name: str, value: Any, wrong: str) -> SettingError:
    """Return the error about a value of the environment (`PREFIX`), of a knob ("") or of a file (its path)."""
    if isinstance(source, Path):
        return SettingError(f'{source}: "{name}" is {value!r}: {wrong}. {_AGAIN}')
    return SettingError(f"{source}{name.upper()}={str(value) if name in _FOLDERS else repr(value)}: {wrong}.")


def _handed_over() -> Project:
    """Return the project that the runner hands to its kernels."""
    try:
        fields = json.loads(os.environ[RESOLVED])
        return Project(**(fields | {"home": Path(fields["home"])}))
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(f"{RESOLVED} is for the kernels of `python -m captioning.notebooks`: unset it.") from error


def _from_home(folder: str, home: Path) -> str:
    """Return a folder's path as seen from the project's home where it lies inside, so that both may move."""
    if folder in WEIGHTS:
        return folder
    place, home = Path(os.path.realpath(os.path.expanduser(folder))), Path(os.path.realpath(home))
    # The beginning tells a folder "random" from the weights of that name.
    return f"./{place.relative_to(home).as_posix()}" if place.is_relative_to(home) else place.as_posix()


def _folder_name(root: str, home: Path) -> str:
    """Return a name for the data of a folder: readable, and another one for another folder of the same name."""
    place = unicodedata.normalize("NFC", _from_home(root, home))
    words = re.sub(r"[^\w.-]+", "-", Path(place).name)[:40].strip("-._")
    digits = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:4]
    return "-".join(filter(None, ("folder", words, digits)))


_AGAIN = "Run notebooks/01_download.ipynb again."
# Settings that name a folder -> what is wrong where it is not there.
_FOLDERS = {
    "root": "there is no such folder",
    "weights": "give imagenet, random, or an existing folder with Keras's weight files",
}
_OPTIONAL = KNOBS[1:]
# Setting -> whether a value can be used, and what to say of one that cannot.
_RULES = {
    "dataset": (lambda value: value in DATASETS, f"use one of {', '.join(DATASETS)}"),
    "encoder": (lambda value: value in tuple(ENCODERS), f"use one of {', '.join(ENCODERS)}"),
    "limit": (lambda value: type(value) is int and value > 0, "give a whole number of images, 1 or more"),
    "quick": (lambda value: isinstance(value, bool), "give 1 (smallest sizes) or 0"),
    "home": (lambda value: value.is_dir() or not value.exists(), "this is a file, not a folder"),
    **dict.fromkeys(
        _FOLDERS,
        (lambda value: isinstance(value, str | Path) and value != "", "give the path of a folder as text"),
    ),
}
