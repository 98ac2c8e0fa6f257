"""Experiments side by side, one folder per set of settings, none deleted but by name."""

import contextlib
import dataclasses
import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioning import bundle, devices
from captioning.bundle import Bundle, BundleError
from captioning.catalog import delete, folders, table  # noqa: F401 (for notebooks)
from captioning.datasets.dataset import CaptionDataset
from captioning.environment import of_process
from captioning.features import FeatureError, FeatureStore
from captioning.files import DamagedError, only_one, read_json, write_json
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.models.decoder import PRECISIONS
from captioning.provenance import StaleError, code_digest, content_digest, difference, differences, digest
from captioning.quiet import keras
from captioning.settings import Project
from captioning.tokenizer import Tokenizer
from captioning.training.folder import tidy
from captioning.training.history import best_epoch, read_history

# What a folder's name says of these; fields that follow from others are not named.
_WORDS = {"data.captions": "other-captions", "data.features": "other-features", "tokenizer": "other-words"}
_WORDS |= {"data.pictures": "{}-pictures", "class.name": "{}", "class.code": "other-code", "precision": "{}"}
_WORDS |= {"encoder": "other-encoder", "parent.name": "from-{}", "parent.weights": "other-parent", "parent": "sc"}
_FROM = {"data.pictures": ("data.captions", "data.features", "tokenizer"), "class.name": ("class.code",)}
_FOLLOWS = ("format", "model.vocabulary", "model.regions", "model.channels", "class.module", "kind", "weights_folder")
_MOST_WORDS = 4
_DURATION = {"training.epochs", "training.patience"}
WAIT = 300  # seconds within which the first of several machines marks what all of them have trained


def settings_for(
    model_class: Any,
    config: Any,
    training: Any,
    dataset: CaptionDataset,
    tokenizer: Tokenizer,
    store: FeatureStore,
    parent: Bundle | None = None,
    **batches: Any,
) -> dict:
    """Return all that decides how a model comes out, as JSON values: an experiment's identity.

    Args:
        model_class: from the package, or defined in a notebook.
        config, training: of the model and of its training, dataclasses.
        dataset, tokenizer, store: captions and splits, the vocabulary that ties ids to weights, and features.
        parent: the trained model that self-critical training starts from.
        batches: further settings of a notebook: pictures per batch, longest caption, seed.
    """
    numpy = issubclass(model_class, CaptioningRNN)
    asked = of_process("PRECISION")
    precision = keras.config.dtype_policy().name if asked == "float32" else PRECISIONS[asked]
    settings = {
        "format": bundle.FORMAT,
        "kind": f"numpy_{config.cell}" if numpy else model_class.kind,
        "class": {"name": model_class.__qualname__, "module": model_class.__module__, "code": code_digest(model_class)},
        "model": dataclasses.asdict(config),
        "training": dataclasses.asdict(training),
        "batches": batches,
        "precision": config.dtype if numpy else precision,
        "data": bundle.data_of(dataset, store),
        "tokenizer": digest(tokenizer.vocabulary),
        "encoder": store.identity,
    }
    if parent:
        settings["parent"] = {"name": parent.name, "weights": content_digest(parent.weights_file.read_bytes())}
    return json.loads(json.dumps(settings))  # tuples become lists, as they will be when read again


def start(project: Project, settings: dict, tokenizer: Tokenizer, name: str | None = None) -> Path:
    """Find the folder of the experiment with exactly these settings, finished or not, or make a new one; says which.

    Args:
        project: holds the experiments in `checkpoints`.
        settings: from `settings_for`.
        tokenizer: a copy goes into the folder.
        name: part of the folder's name; None: it is named by what differs from the first one of its kind.
    """
    if name is not None and not re.fullmatch(r"[\w.+-]+", name):
        raise ValueError(f"NAME = {name!r}: use letters, digits, dots, dashes and underscores.")
    further = "sc" if "parent" in settings else None
    stem = "-".join(filter(None, (settings["kind"], settings["encoder"]["encoder"], further, name)))
    project.checkpoints.mkdir(parents=True, exist_ok=True)
    with only_one(project.checkpoints / stem, wait=True):
        for folder, kept in _all(project.checkpoints):
            if not difference(_identity(kept), settings):
                state = "trained with exactly these settings; it is loaded" if kept["finished"] else "training resumes"
                print(f"{folder.name}: {state}.")
                return folder
        folder = _new_folder(project.checkpoints / stem, settings)
        folder.mkdir()
        tokenizer.save(folder / "tokenizer.json")
        # Not a part of the identity: the weights' own digest is.
        write_json(folder / "settings.json", settings | {"finished": False, "weights_folder": project.weights})
    print(f"{folder.name}: a new experiment.{_why_from_the_start(project.checkpoints, settings)}")
    return folder


def _why_from_the_start(checkpoints: Path, settings: dict) -> str:
    """Say why an experiment that differs from another one in its epochs or patience only does not resume that one."""
    for folder, kept in _all(checkpoints):
        changed = {field: (before, now) for field, before, now in differences(_identity(kept), settings)}
        if "training.epochs" in changed and changed.keys() <= _DURATION:
            before, now = changed["training.epochs"]
            return (
                f" The cosine schedule of {folder.name} is over {before} epoch{'s' * (before != 1)}, not {now}: "
                "the learning rates differ from the first steps on, so it trains from the start."
            )
        if changed.keys() == {"training.patience"} and kept["finished"]:
            return f" {folder.name} is finished and its optimizer's state is gone: it trains from the start."
    return ""


def finish(folder: Path) -> None:
    """Mark an experiment as trained, and remove what only resuming needed; of several machines, the first one does.

    A StaleError on another one that does not see it within `WAIT` seconds.
    """
    if not devices.is_chief(devices.machines()):
        until = time.monotonic() + WAIT
        while not bundle.read_settings(folder)["finished"]:
            if time.monotonic() > until:
                raise StaleError(
                    f"{folder} is not marked as trained. The first machine of TF_CONFIG does that, once it has written "
                    "the weights: has it been stopped, or is this another disk? Give all machines the same one "
                    "(CAPTIONING_HOME) and run the same again."
                )
            time.sleep(0.2)
        return
    settings = bundle.read_settings(folder)
    if not settings["finished"]:
        write_json(folder / "settings.json", settings | {"finished": True})
    tidy(folder)


def find(checkpoints: Path) -> list[Path]:
    """Return the folders of all finished experiments, by name; a line for each of the others."""
    finished = []
    for folder in folders(checkpoints):
        try:
            if bundle.read_settings(folder)["finished"]:
                finished.append(folder)
            else:
                print(f"{folder.name}: left out, its training is unfinished.")
        except BundleError as error:
            print(f"{folder.name}: left out. {error}")
    return _some(finished, checkpoints)


def best(checkpoints: Path) -> Path:
    """Return the finished experiment of the highest CIDEr on validation pictures; of equal ones the first by name.

    It is that of the decoding that `evaluation` chose; before an evaluation, that of the best epoch.
    """
    finished = [folder for folder, settings in _all(checkpoints) if settings["finished"]]
    return max(_some(finished, checkpoints), key=_cider)


def parent(
    checkpoints: Path, stores: Mapping[str, FeatureStore], dataset: CaptionDataset, name: str | None = None
) -> Bundle:
    """Return the finished experiment that self-critical training starts from.

    Args:
        checkpoints: the folder of a dataset.
        stores, dataset: features (by encoder), captions and splits that are here now.
        name: of the experiment, or a kind, as "bahdanau": of the Keras models of that kind without a parent that fit
            what is here now, the one with the highest CIDEr on validation pictures; None: of any kind.

    Raises:
        ValueError: there is none of that name or kind, it is unfinished, or a NumPy model.
        BundleError, StaleError: none of them fits; the message is about the best.
    """
    known = {folder.name: settings for folder, settings in _all(checkpoints)}
    can = [each for each, kept in known.items() if kept["finished"] and not kept["kind"].startswith("numpy_")]
    firsts = {each for each, kept in known.items() if "parent" not in kept}
    chosen = [each for each in can if each in firsts and name in (None, known[each]["kind"])]
    if name in can:
        chosen = [name]
    if chosen or name is None or not known:
        # The training alone ranks them: an evaluation in between picks no other.
        ranked = sorted(_some([checkpoints / each for each in chosen], checkpoints), key=_trained_cider, reverse=True)
        return _first_that_fits(ranked, stores, dataset)
    kinds = {kept["kind"] for each, kept in known.items() if name == each or (each in firsts and name == kept["kind"])}
    why = "it is unfinished" if kinds else "there is no such experiment, and none of that kind"
    if kinds and all(kind.startswith("numpy_") for kind in kinds):
        why = "it is a NumPy model, and self-critical training needs a TensorFlow model"
    raise ValueError(f"PARENT = {name!r}: {why}. Use None or one of: {', '.join(can) or 'none yet'}.")


def _first_that_fits(ranked: list[Path], stores: Mapping[str, FeatureStore], dataset: CaptionDataset) -> Bundle:
    """Load the first experiment that fits the present code, photos, captions and features; else the first error."""
    errors = []
    for folder in ranked:
        try:
            loaded = bundle.load_one(folder)
            loaded.check_fits(stores, dataset)
            return loaded
        except (BundleError, StaleError, DamagedError, FeatureError) as error:
            errors.append(error)
    raise errors[0]


def _some(finished: list[Path], checkpoints: Path) -> list[Path]:
    if not finished:
        raise FileNotFoundError(
            f"{checkpoints} holds no trained model. Run a model notebook first, for example "
            f"notebooks/{bundle.MADE_BY['gru']}.ipynb."
        )
    return finished


def _cider(folder: Path) -> float:
    """Return what `best` compares; -1 where it is not known."""
    with contextlib.suppress(FileNotFoundError, DamagedError, KeyError, TypeError, ValueError):
        return float(read_json(folder / "scores.json", "")["decoding"]["validation_CIDEr"])
    return _trained_cider(folder)


def _trained_cider(folder: Path) -> float:
    """Return the CIDEr of the best epoch; -1 where it is not known."""
    with contextlib.suppress(DamagedError, KeyError):
        history = read_history(folder / "history.csv")
        return history[best_epoch(history)]["val_CIDEr"] if history else -1.0
    return -1.0


def _all(checkpoints: Path) -> Iterator[tuple[Path, dict]]:
    """Yield every experiment that this version can read, with its settings."""
    for folder in folders(checkpoints):
        with contextlib.suppress(BundleError):
            yield folder, bundle.read_settings(folder)


def _identity(settings: dict) -> dict:
    return {field: value for field, value in settings.items() if field not in ("finished", "weights_folder")}


def _new_folder(first: Path, settings: dict) -> Path:
    """Return a folder that does not exist: `first`, or one named by what differs from the experiment there."""
    if not first.exists():
        return first
    words = []
    with contextlib.suppress(BundleError, FileNotFoundError):
        words = _what_differs(_identity(bundle.read_settings(first)), settings)
    name = "-".join([first.name, *words])
    names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
    return next(folder for folder in map(first.with_name, names) if not folder.exists())


def _what_differs(kept: dict, now: dict) -> list[str]:
    changed = {field: after for field, _, after in differences(kept, now)}
    unsaid = set(_FOLLOWS).union(*(_FROM.get(field, ()) for field in changed))
    if "parent.name" in changed:  # which says the rest
        unsaid |= {field for field in changed if field.startswith(("parent.weights", "model.", "class."))}
    words = list(dict.fromkeys(_said(field, value) for field, value in changed.items() if field not in unsaid))
    if len(words) > _MOST_WORDS:
        words = [*words[: _MOST_WORDS - 1], digest(words)[:4]]
    return [re.sub(r"[^\w.+-]+", "_", word) for word in words]


def _said(field: str, value: object) -> str:
    family, _, name = field.rpartition(".")
    if words := _WORDS.get(field) or _WORDS.get(family):
        return words.format(value)
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    return f"{name}-{value:g}" if isinstance(value, float) else f"{name}-{value}"
