"""Load a bundle; refuse one whose files do not fit each other, or not the code that is here now."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from captioning import models
from captioning.bundle.bundle import Bundle, BundleError, maker, weights_file
from captioning.catalog import FORMAT
from captioning.files import DamagedError, read_json
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.provenance import code_digest, difference, digest
from captioning.settings import require
from captioning.tokenizer import Tokenizer

_FIELDS = dict.fromkeys(("class", "model", "training", "batches", "data", "encoder"), dict)
_FIELDS |= {"kind": str, "tokenizer": str, "finished": bool}


def load(folder: Path | str, other_code: bool = False) -> Bundle:
    """Load a bundle; nothing is written, and no random state is touched.

    Args:
        folder: as an experiment left it; a line tells where its training is unfinished.
        other_code: load it also where the code of its model has changed since; its captions may be others then.

    Raises:
        FileNotFoundError: the bundle or a file of it is missing.
        BundleError: settings, tokenizer, weights and the model's code do not belong together.
        DamagedError, StaleError: the tokenizer cannot be used.
    """
    folder = Path(folder)
    settings = read_settings(folder)
    kind, made_by = settings["kind"], maker(settings["kind"])
    way_out = f"Put the right one back, or delete {folder} and run notebooks/{made_by}.ipynb again."
    tokenizer = Tokenizer.load(require(folder / "tokenizer.json", made_by), way_out=way_out)
    vocabulary = settings["model"].get("vocabulary")
    if digest(tokenizer.vocabulary) != settings["tokenizer"] or len(tokenizer) != vocabulary:
        raise BundleError(
            f"{folder}/tokenizer.json ({len(tokenizer)} ids) is not the tokenizer that the weights were trained with "
            f"({vocabulary} ids). {way_out}"
        )
    weights = require(folder / weights_file(kind), made_by)
    try:
        model_class = CaptioningRNN if kind.startswith("numpy_") else models.find_class(**_name_of_class(settings))
        if not other_code and code_digest(model_class) != settings["class"]["code"]:
            raise BundleError(
                f"{folder} was trained with other code of {model_class.__name__} than there is now. Run "
                f"notebooks/{made_by}.ipynb to train the new code beside it, or load it with other_code=True."
            )
        model = _load_model(model_class, settings["model"], weights)
    except BundleError:
        raise
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        raise BundleError(f"{weights} does not fit {folder}/settings.json: {error}") from error
    if not settings["finished"]:
        print(f"{folder.name}: its training is unfinished; these are the best weights so far.")
    return Bundle(folder, model, tokenizer, settings)


def read_settings(folder: Path) -> dict:
    """Return a bundle's settings.

    Raises:
        FileNotFoundError: the folder is no bundle.
        BundleError: they are damaged, or of another version of this package.
    """
    file = folder / "settings.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: {folder} is no trained bundle. A model notebook, 04 to 08, makes one."
        )
    try:
        settings = read_json(file, "Delete the folder and train it again.")
    except DamagedError as error:
        raise BundleError(str(error)) from error
    whole = isinstance(settings, dict) and all(isinstance(settings.get(name), type_) for name, type_ in _FIELDS.items())
    if not whole or settings.get("format") != FORMAT:
        raise BundleError(f"{file} was written by another version of this package, or edited. Train it again.")
    return settings


def _name_of_class(settings: dict) -> dict[str, str]:
    return {field: settings["class"][field] for field in ("name", "module")}


def _load_model(model_class: type, fields: dict, weights: Path) -> Any:
    """Return the model with its weights; both must be exactly those of the file."""
    if model_class is CaptioningRNN:
        model = CaptioningRNN.load(weights)  # the file holds its own settings, too
        if found := difference(fields, dataclasses.asdict(model.config)):
            raise ValueError(found)
        return model
    model = models.build(model_class, models.config_from(model_class, fields))
    models.load_weights(model, weights)
    return model
