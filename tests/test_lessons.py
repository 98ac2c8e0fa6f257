"""What model notebooks share: settings that suit the dataset, an experiment's identity, figures with their sentence."""

import numpy as np
import pytest

from captioning import experiments, lessons, models
from captioning.models.gru import GRUConfig, GRUDecoder
from captioning.settings import Project
from captioning.training.config import TrainingConfig
from tests.tiny import store_of, tiny_dataset, tokenizer_of


@pytest.fixture
def data(tmp_path):
    dataset = tiny_dataset(tmp_path, 8, splits=("train", "val"))
    store, tokenizer = store_of(dataset, tmp_path), tokenizer_of(dataset)
    empty = lessons.Data(dataset, tokenizer, store, None, None)
    like = lessons.CaptionBatches(dataset.split("train"), store, tokenizer, batch_size=2, max_words=7, seed=3)
    return empty._replace(train=like, validation=empty._replace(train=like).batches(dataset.split("val")))


def test_settings_left_open_suit_the_dataset_and_others_are_kept():
    knobs = {"max_words": None, "dropout": 0.0, "batch": None}
    assert lessons.suited(Project(dataset="scenes"), **knobs) == (20, 0.0, 32)
    assert lessons.suited(Project(dataset="open-images"), **knobs) == (50, 0.0, 16)
    assert lessons.suited(Project(dataset="scenes"), dropout=None) < lessons.suited(Project("coco2014"), dropout=None)
    with pytest.raises(KeyError, match="no_such_setting"):
        lessons.suited(Project(), no_such_setting=None)


def test_batches_of_other_pictures_are_like_those_of_train(data):
    (inputs, _), *_ = data.validation.epoch(0)
    assert inputs["features"].shape == (2, 4, 6) and (data.validation.max_words, data.validation.seed) == (7, 3)
    assert data.batches(data.train.records, 3).batch_size == 3


def test_an_experiment_is_identified_by_what_it_is_trained_with(data, monkeypatch, tmp_path):
    config = GRUConfig(len(data.tokenizer), data.train.regions, data.store.channels, embedding=4, units=5)
    model, seen = lessons.build(GRUDecoder, config, data), []
    monkeypatch.setattr(experiments, "start", lambda *given: seen.append(given) or tmp_path)
    monkeypatch.setattr(experiments, "finish", seen.append)
    monkeypatch.setattr(lessons, "fit", lambda *given: seen.append(given) or [])
    training = TrainingConfig(epochs=1)
    assert lessons.train("project", model, training, data, "mine") == (tmp_path, [])
    made_from = GRUDecoder, config, training, data.dataset, data.tokenizer, data.store
    identity = experiments.settings_for(*made_from, batch=2, max_words=7, seed=3)
    assert seen[0] == ("project", identity, data.tokenizer, "mine")
    assert seen[1] == (model, data.train, data.validation, data.tokenizer, training, tmp_path) and seen[2] == tmp_path


def test_a_model_is_built_from_the_seed_with_the_scale_of_the_train_pictures(data):
    config = GRUConfig(len(data.tokenizer), data.train.regions, data.store.channels, embedding=4, units=5)
    built, plain = lessons.build(GRUDecoder, config, data), models.build(GRUDecoder, config, 3)
    assert np.array_equal(built.embedding.embeddings, plain.embedding.embeddings)
    assert np.array_equal(built.normalization.adapt_mean, data.train.statistics()[0])


def test_figures_come_before_the_sentence_about_them(data, monkeypatch):
    shown = []
    monkeypatch.setattr(lessons, "display", shown.append)
    records = data.train.records[:2]
    told = lessons.show_captions(records, ["a red wall", "a wall"], "Two walls")
    assert isinstance(told, lessons.Finding) and "Different captions: 2 of 2." in told
    assert shown[0].alt.startswith("Two walls. Pictures: 2.")
    maps = [np.full((2, 4), 0.25)] * 2
    told = lessons.show_looks(records, ["a wall"] * 2, [["a", "wall"]] * 2, maps)
    assert "Shown: the first two." in shown[1] and [figure.alt[:9] for figure in shown[2:]] == ["Attention"] * 2
    assert told.count("has the sharpest map") == 2
