"""Small experiments on the tiny dataset: made, started, trained without training."""

import json
import random
from dataclasses import dataclass

import numpy as np

from captioning import decoding, encoders, experiments, models
from captioning.datasets.dataset import CaptionDataset
from captioning.features import FeatureStore
from captioning.from_scratch.pooling import channel_statistics
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.models.bahdanau import BahdanauDecoder
from captioning.models.gru import GRUDecoder
from captioning.settings import Project
from captioning.tokenizer import END, Tokenizer
from captioning.training.config import TrainingConfig
from tests.tiny import store_of, tiny_dataset, tokenizer_of
from tests.tiny_encoder import SPEC, tiny_encoder


@dataclass(frozen=True)
class Made:
    """What notebooks 01 to 03 have made."""

    dataset: CaptionDataset
    store: FeatureStore
    tokenizer: Tokenizer
    project: Project
    classes = (*models.CLASSES.values(), CaptioningRNN)


def made_in(folder, pictures=20):
    """Make the dataset, its features and its vocabulary in a folder."""
    dataset = tiny_dataset(folder, pictures=pictures, splits=("train", "train", "val", "test"))
    return Made(dataset, store_of(dataset, folder), tokenizer_of(dataset), Project(home=folder))


def config_of(made, kind="bahdanau", **sizes):
    """Return class and settings of a small model."""
    shape = {"vocabulary": len(made.tokenizer), "channels": made.store.channels, "embedding": 4, "units": 5} | sizes
    if kind.startswith("numpy_"):
        return CaptioningRNN, CaptioningRNNConfig(cell=kind.removeprefix("numpy_"), **shape)
    if kind == "gru":
        return GRUDecoder, GRUDecoder.config_class(regions=1, **shape)
    return BahdanauDecoder, BahdanauDecoder.config_class(**({"regions": 4, "attention": 3} | shape))


def settings_of(made, model_class=BahdanauDecoder, config=None, training=None, batches=None):
    """Return the identity of an experiment."""
    config = config or config_of(made)[1]
    made_from = made.dataset, made.tokenizer, made.store
    return experiments.settings_for(model_class, config, training or TrainingConfig(), *made_from, **(batches or {}))


def start(made, kind="bahdanau", name=None, training=None, batches=None, model_class=None, **sizes):
    """Start an experiment and return its folder."""
    usual, config = config_of(made, kind, **sizes)
    settings = settings_of(made, model_class or usual, config, training, batches)
    return experiments.start(made.project, settings, made.tokenizer, name)


def finished(made, kind="bahdanau", seed=0, model_class=None, **settings):
    """Start an experiment and finish it with its first weights; return folder and model."""
    settings |= {"seed": seed} if kind.startswith("numpy_") else {}
    folder = start(made, kind, model_class=model_class, **settings)
    sizes = {name: value for name, value in settings.items() if name not in ("name", "training", "batches")}
    usual, config = config_of(made, kind, **sizes)
    train = made.dataset.split("train")
    if kind.startswith("numpy_"):
        model = CaptioningRNN(config, *channel_statistics(made.store.rows(train)))
        model.save(folder / "model.npz")
    else:
        model = models.build(model_class or usual, config, seed)
        model.scale_features(*made.store.statistics(train, averaged=model.averaged))
        model.save_weights(folder / "model.weights.h5")
    experiments.finish(folder)
    return folder, model


def edit(folder, **fields):
    """Change fields of settings.json."""
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | fields))
    return settings


def everything_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def random_state():
    """Return the state of the generators that all of a program shares."""
    _, keys, position, *_ = np.random.get_state()
    return random.getstate(), keys.tolist(), position


def talkative(arrays, bias):
    """Set weights under which pictures of different colors have different captions, and some of them an end."""
    generator = np.random.default_rng(0)
    for array in arrays:
        value = generator.normal(size=array.shape)
        value += 2 * np.eye(1, *array.shape, END)[0] if array is bias else 0
        array.assign(value) if hasattr(array, "assign") else array.__setitem__(slice(None), value)


def photo_bundle(made, monkeypatch):
    """Give a bundle the tiny encoder; return its folder, the encoder and a list of how its weights are asked for."""
    asked, encoder = [], tiny_encoder()
    monkeypatch.setattr(encoders, "load", lambda *given: asked.append(given[:3]) or encoder)
    folder, model = finished(made, regions=SPEC.regions, channels=SPEC.channels)
    talkative(model.trainable_variables, model.logits.bias)
    model.save_weights(folder / "model.weights.h5")
    monkeypatch.setattr(decoding, "MAX_LENGTH", 6)  # some captions end, some are cut off
    edit(folder, encoder=encoder.identity)
    return folder, encoder, asked
