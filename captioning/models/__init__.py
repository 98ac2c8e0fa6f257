"""The decoders, one per file, found by the name that a bundle carries."""

from __future__ import annotations

import dataclasses

import keras

from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.models.bilstm import BiLSTMConfig, BiLSTMDecoder
from captioning.models.decoder import Decoder, DecoderConfig
from captioning.models.gru import GRUConfig, GRUDecoder
from captioning.models.merge import MergeConfig, MergeDecoder

KINDS: dict[str, tuple[type[DecoderConfig], type[Decoder]]] = {
    "gru": (GRUConfig, GRUDecoder),
    "bahdanau": (BahdanauConfig, BahdanauDecoder),
    "merge": (MergeConfig, MergeDecoder),
    "bilstm": (BiLSTMConfig, BiLSTMDecoder),
}


def build(config: DecoderConfig, seed: int = 0) -> Decoder:
    """Return a new decoder for a configuration, with seeded weights."""
    keras.utils.set_random_seed(seed)
    model = next(model for kind, model in KINDS.values() if type(config) is kind)(config)
    model.build()
    return model


def kind_of(config: DecoderConfig) -> str:
    """Return the name of the kind of decoder that a configuration belongs to."""
    return next(name for name, (kind, _) in KINDS.items() if type(config) is kind)


def config_from(kind: str, fields: dict) -> DecoderConfig:
    """Return the configuration that `dataclasses.asdict` turned into `fields`.

    Raises:
        ValueError: an unknown kind or an unknown field.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of decoder {kind!r}; known: {', '.join(KINDS)}.")
    config = KINDS[kind][0]
    known = {field.name for field in dataclasses.fields(config)}
    if set(fields) != known:
        raise ValueError(f"A {kind} decoder has the fields {sorted(known)}, not {sorted(fields)}.")
    return config(**fields)
