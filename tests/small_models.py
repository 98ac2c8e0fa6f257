"""Keras decoders of every kind, small enough for tests, and what goes into them."""

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import models
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.bilstm import BiLSTMConfig
from captioning.models.gru import GRUConfig
from captioning.models.merge import MergeConfig
from captioning.models.transformer import TransformerConfig
from captioning.tokenizer import START

SIZES = {"vocabulary": 11, "regions": 4, "channels": 6, "embedding": 5, "units": 7}
CONFIGS = [
    GRUConfig(**SIZES, dropout=0.5),
    BahdanauConfig(**SIZES, attention=3, dropout=0.5),
    MergeConfig(**SIZES, dropout=0.5),
    BiLSTMConfig(**SIZES, attention=3, dropout=0.5, longest=8),
    TransformerConfig(11, 4, 6, units=8, heads=2, dropout=0.5, longest=16),
]
CLASS_OF = {model.config_class: model for model in models.CLASSES.values()}
BY_KIND = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: CLASS_OF[type(config)].kind)


def build(config, seed=0):
    return models.build(CLASS_OF[type(config)], config, seed)


def features(batch=3, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, SIZES["regions"], SIZES["channels"])).astype(np.float32)


def tokens(batch=3, captions=2, steps=6, seed=1):
    rows = np.random.default_rng(seed).integers(4, SIZES["vocabulary"], (batch, captions, steps), dtype=np.int32)
    rows[..., 0] = START
    return rows
