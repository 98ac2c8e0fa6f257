"""The decoders, one per file: built from seeds, found by the name that a bundle carries."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import captioning.quiet  # noqa: F401 (before the models import Keras)
from captioning import devices
from captioning.models.bahdanau import BahdanauDecoder
from captioning.models.bilstm import BiLSTMDecoder
from captioning.models.decoder import Decoder, DecoderConfig
from captioning.models.gru import GRUDecoder
from captioning.models.merge import MergeDecoder
from captioning.models.transformer import TransformerDecoder

CLASSES: dict[str, type[Decoder]] = {
    model.__name__: model for model in (GRUDecoder, BahdanauDecoder, MergeDecoder, BiLSTMDecoder, TransformerDecoder)
}


def build(model_class: type[Decoder], config: DecoderConfig, seed: int = 0, alone: bool = False) -> Decoder:
    """Return a new decoder with seeded weights; Python's and NumPy's random state is left as it was.

    Args:
        model_class: of the package, or a subclass of one of its classes, for example from a notebook's cell.
        config: of the class's own `config_class`.
        seed: of weights and dropout.
        alone: on one device of this machine, whatever CAPTIONING_DEVICES and TF_CONFIG say: to decode.

    Raises:
        TypeError: no decoder's class, or the settings of another.
    """
    if not (isinstance(model_class, type) and issubclass(model_class, Decoder)):
        raise TypeError(f"models.build takes the class first, for example GRUDecoder, and got {model_class!r}.")
    if type(config) is not model_class.config_class:
        raise TypeError(
            f"{model_class.__name__} takes a {model_class.config_class.__name__}, not a {type(config).__name__}; "
            f"a subclass with settings of its own names them: config_class = {type(config).__name__}."
        )
    kept, kept_numpy = random.getstate(), np.random.get_state()
    try:
        random.seed(seed)  # Keras draws the seeds of its layers from it
        np.random.seed(seed)
        with contextlib.nullcontext() if alone else devices.scope():
            model = model_class(config)
            model.build()
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)
    return model


def config_from(model_class: type[Decoder], fields: Mapping[str, Any]) -> DecoderConfig:
    """Return the configuration that `dataclasses.asdict` turned into `fields`.

    Raises:
        ValueError: a field is unknown or missing.
    """
    config = model_class.config_class
    known = {field.name for field in dataclasses.fields(config)}
    if wrong := sorted(known ^ set(fields)):
        raise ValueError(f"{config.__name__} has the fields {sorted(known)}; unknown or missing: {', '.join(wrong)}.")
    return config(**fields)


def find_class(name: str, module: str) -> type[Decoder]:
    """Return the class of a decoder that a file names; nothing is imported for it.

    Args:
        name: its `__qualname__`.
        module: its `__module__`; `__main__` for a class from a notebook.

    Raises:
        ValueError: there is no such class, or it is no decoder.
    """
    if module.partition(".")[0] == __package__.partition(".")[0]:
        if name in CLASSES:
            return CLASSES[name]
        raise ValueError(f"The package has no decoder {name!r}; known: {', '.join(CLASSES)}.")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, Decoder):
        return found
    raise ValueError(
        f"The class {name!r} was defined in a notebook or a script (module {module!r}): run the cell that defines it, "
        "a subclass of a decoder, first."
    )


def load_weights(model: Decoder, file: Path | str) -> None:
    """Give a decoder the weights of a file, which must hold exactly its own.

    Raises:
        ValueError: an array is missing, of another shape, or one too many.
    """
    arrays: list[str] = []
    with h5py.File(file) as archive:
        archive.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
    if len(arrays) != len(model.weights):  # Keras would pass over a surplus layer
        raise ValueError(
            f"{file} holds {len(arrays)} arrays, a {type(model).__name__} has {len(model.weights)}: it was trained "
            "with other code."
        )
    model.load_weights(file)


def set_weights(model: Decoder, arrays: Sequence[np.ndarray]) -> None:
    """Give a decoder its weights in the order of `model.weights`.

    Args:
        model: the decoder.
        arrays: as `model.get_weights()` gave them, in float16 or float32.

    Raises:
        ValueError: they are not exactly its own.
    """
    model.set_weights(arrays)
    model.normalization.finalize_state()  # Keras reads mean and variance once, after a file; see `scale_features`
