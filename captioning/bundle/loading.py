"""Load a bundle; refuse one whose files do not fit each other, or not the code that is here now."""

import dataclasses
import math
import textwrap
from pathlib import Path
from typing import Any, cast

import numpy as np

from captioning import models
from captioning.bundle import packed
from captioning.bundle.bundle import Bundle, maker, weights_file
from captioning.bundle.ensemble import Ensemble
from captioning.bundle.packed import BundleError, Packed, packed_of
from captioning.catalog import FORMAT, MEMBERS
from captioning.files import DamagedError, read_json
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.provenance import StaleError, code_digest, difference, digest
from captioning.settings import require
from captioning.tokenizer import Tokenizer

_FIELDS: dict[str, type] = dict.fromkeys(("class", "model", "training", "batches", "data", "encoder"), dict)
_FIELDS |= {"kind": str, "tokenizer": str, "finished": bool}
_FEW, _TIMES = 1 << 24, 64  # numbers in an array of a packed model, at least; and as against all that it holds


def load(
    path: Path | str, other_code: bool = False, sha256: str | None = None, allow_private: bool = False
) -> Bundle | Ensemble:
    """Load a bundle or an ensemble; nothing is written, and no random state is touched.

    Args:
        path: a folder as an experiment left it, where a line tells of an unfinished training; that of an ensemble; or
            a packed model: a file or an http(s) address, whose checksum is told.
        other_code: load it also where the code of its model has changed since; its captions may be others then.
        sha256: the checksum that the packed model must have.
        allow_private: fetch it from an address of this machine and its network, too.

    Raises:
        FileNotFoundError: the bundle or a file of it is missing.
        BundleError: settings, tokenizer, weights and the model's code do not belong together; or a packed model is
            damaged, not to be trusted, or of a newer version; or a member of an ensemble is no longer what it was.
    """
    folder = packed.find(path, sha256, allow_private)
    if isinstance(folder, Path) and (folder / MEMBERS).is_file():
        return Ensemble.read(folder, lambda member: load_one(member, other_code))
    return load_one(folder, other_code)


def load_one(folder: Path | Packed, other_code: bool = False) -> Bundle:
    """Load a bundle that is no ensemble; see `load`."""
    settings, travels = read_settings(folder), packed_of(folder)
    if travels:
        settings.pop("weights_folder", None)  # a place on another machine, if not an attempt to read here
    kind, made_by = settings["kind"], maker(settings)
    tokenizer = _tokenizer(folder, settings)
    weights = require(folder / (packed.WEIGHTS if travels else weights_file(kind)), made_by)
    try:
        model_class = CaptioningRNN
        if not kind.startswith("numpy_"):
            name, module = settings["class"]["name"], settings["class"]["module"]
            # What comes from anywhere has a class of the package, whatever it says.
            model_class = models.find_class(name, "captioning" if travels else module)
        if not other_code and code_digest(model_class) != settings["class"]["code"]:
            raise BundleError(
                f"{folder} was trained with other code of {model_class.__name__} than there is now. Run "
                f"notebooks/{made_by}.ipynb to train the new code beside it, or load it with other_code=True."
            )
        arrays = travels.arrays(packed.WEIGHTS) if travels else None
        model = _load_model(model_class, settings["model"], weights, arrays)
    except BundleError:
        raise
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        reason = textwrap.shorten(str(error), 300, placeholder=" …")  # Keras lists every layer, on lines of its own
        raise BundleError(f"{weights} does not fit {folder}/settings.json: {reason}") from error
    numbers = model.parameters.values() if isinstance(model, CaptioningRNN) else model.get_weights()
    if not all(np.isfinite(array).all() for array in numbers):
        way_out = packed.AGAIN if travels else f"Delete {folder} and run notebooks/{made_by}.ipynb with a lower one."
        raise BundleError(f"{weights} holds NaN or infinity: was the learning rate too high? {way_out}")
    if not settings["finished"]:
        print(f"{folder.name}: its training is unfinished; these are the best weights so far.")
    return Bundle(cast(Path, folder), model, tokenizer, settings)


def _tokenizer(folder: Path | Packed, settings: dict) -> Tokenizer:
    made_by = maker(settings)
    way_out = f"Put the right one back, or delete {folder} and run notebooks/{made_by}.ipynb again."
    if isinstance(folder, Packed):
        way_out = packed.AGAIN
    try:
        tokenizer = Tokenizer.load(cast(Path, require(folder / "tokenizer.json", made_by)), way_out=way_out)
    except (DamagedError, StaleError) as error:
        raise BundleError(str(error)) if isinstance(folder, Packed) else error from error
    vocabulary = settings["model"].get("vocabulary")
    if digest(tokenizer.vocabulary) != settings["tokenizer"] or len(tokenizer) != vocabulary:
        raise BundleError(
            f"{folder}/tokenizer.json ({len(tokenizer)} ids) is not the tokenizer that the weights were trained with "
            f"({vocabulary} ids). {way_out}"
        )
    return tokenizer


def read_settings(folder: Path | Packed) -> dict:
    """Return a bundle's settings; a BundleError where they are damaged, or of another version of this package."""
    file = folder / "settings.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: {folder} is not a trained bundle. A model notebook, 04 to 10, makes one."
        )
    try:
        settings = read_json(file, "Delete the folder and train it again.")
    except DamagedError as error:
        raise BundleError(str(error)) from error
    format_ = settings.get("format") if isinstance(settings, dict) else None
    if format_ != FORMAT or not all(isinstance(settings.get(name), type_) for name, type_ in _FIELDS.items()):
        newer = isinstance(format_, int) and format_ > FORMAT
        way_out = f"Its format is {format_}, this one reads {FORMAT}: update it." if newer else "Train it again."
        raise BundleError(f"{file} was written by another version of this package, or edited. {way_out}")
    return settings


def _load_model(model_class: type, fields: dict, weights: Any, arrays: dict[str, np.ndarray] | None) -> Any:
    """Return the model with its weights, of a file or of arrays; they must be exactly its own."""
    if arrays is not None:
        _check_sizes(fields, arrays)
    if model_class is CaptioningRNN:
        model = CaptioningRNN.load(weights) if arrays is None else CaptioningRNN.from_arrays(arrays, weights)
        if found := difference(fields, dataclasses.asdict(model.config)):  # the arrays hold their own settings, too
            raise ValueError(found)
        return model
    model = models.build(model_class, models.config_from(model_class, fields), alone=True)
    if arrays is None:
        models.load_weights(model, weights)
    else:
        models.set_weights(model, list(arrays.values()))
    return model


def _check_sizes(fields: dict, arrays: dict[str, np.ndarray]) -> None:
    """Refuse settings that ask for far more memory than the arrays have: the model is built before it is compared."""
    largest = sorted((value for value in fields.values() if type(value) is int), reverse=True)[:2]
    if math.prod(largest) > max(_FEW, _TIMES * sum(array.size for array in arrays.values())):
        raise ValueError(f"it holds too few numbers for sizes of {' and '.join(map(str, largest))}")
