"""Training of the from-scratch captioner: best epoch by CIDEr, patience, and a kill that changes no bit."""

import tracemalloc
from dataclasses import fields, replace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning.batches import CaptionBatches
from captioning.from_scratch import early_stopping
from captioning.from_scratch.early_stopping import NumpyTrainingConfig, Validation, caption_arrays, fit_best
from captioning.from_scratch.pooling import channel_statistics
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig
from captioning.provenance import StaleError
from captioning.tokenizer import PAD, START
from captioning.training.history import best_epoch, read_history
from tests.bundles import everything_in
from tests.small_training import Killed, scores_only
from tests.tiny import store_of, tiny_dataset, tokenizer_of

TRAINING = NumpyTrainingConfig(epochs=4, patience=9, learning_rate=0.02, batch=5, seed=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    dataset = tiny_dataset(folder, splits=("train", "train", "train", "val"))
    return dataset, store_of(dataset, folder), tokenizer_of(dataset)


class Scores:
    """Stands for a validation: gives scores in a row; an exception among them stands for the end of the process."""

    caption = "a red square"

    def __init__(self, *scores):
        self.scores, self.weights = iter(scores), []

    def score(self, model):
        score = next(self.scores)
        if isinstance(score, Exception):
            raise score
        self.weights.append({name: values.copy() for name, values in model.parameters.items()})
        return {"val_loss": 1.0, "val_accuracy": 0.5, "val_CIDEr": score}


def run(made, folder, cell="lstm", training=TRAINING, validation=None, **settings):
    dataset, store, tokenizer = made
    settings = {"embedding": 8, "units": 12, "dropout": 0.3, "seed": 1} | settings
    config = CaptioningRNNConfig(len(tokenizer), store.channels, cell, **settings)
    captions = caption_arrays(dataset.split("train"), store, tokenizer)
    validation = validation or Validation(dataset.split("val"), store, tokenizer)
    return fit_best(config, training, captions, validation, folder)


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one) and set(one) == set(other)


@pytest.mark.parametrize("max_words", [20, 3, 4])
def test_the_arrays_hold_what_the_batches_of_the_keras_models_hold(made, max_words):
    dataset, store, tokenizer = made
    records = dataset.split("train")
    arrays = caption_arrays(records, store, tokenizer, max_words)
    batches = CaptionBatches(records, store, tokenizer, batch_size=99, captions=2, max_words=max_words, averaged=True)
    inputs, targets = next(iter(batches.evaluation().as_numpy_iterator()))
    expected = np.concatenate([inputs["tokens"][..., :1], targets], axis=-1).reshape(len(arrays.tokens), -1)
    np.testing.assert_array_equal(expected, arrays.tokens[:, : expected.shape[1]])
    assert (arrays.tokens[:, expected.shape[1] :] == PAD).all() and (arrays.tokens[:, 0] == START).all()
    np.testing.assert_array_equal(arrays.features, inputs["features"][:, 0])
    np.testing.assert_array_equal(arrays.images, np.repeat(np.arange(len(records)), 2))


def test_validation_averages_over_words_and_scores_free_running_captions(made):
    dataset, store, tokenizer = made
    records = [*dataset.split("val")] * 80  # more captions than one part
    validation = Validation(records, store, tokenizer)
    features, images, tokens = caption_arrays(records, store, tokenizer)
    model = CaptioningRNN(CaptioningRNNConfig(len(tokenizer), store.channels, units=6, embedding=4, dropout=0.4))
    scores = validation.score(model)
    loss, _ = model.loss(features[images], tokens)
    assert scores["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert 0 <= scores["val_accuracy"] <= 1
    model.parameters["output_kernel"][:] = 0
    words = tokens[:, 1:][tokens[:, 1:] != PAD]
    first = np.bincount(words).argmax()
    model.parameters["output_bias"][first] = 9
    assert validation.score(model)["val_accuracy"] == pytest.approx((words == first).mean())


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_it_learns_to_name_what_the_features_hold(made, tmp_path, cell):
    _, history = run(made, tmp_path, cell, replace(TRAINING, epochs=40, patience=40), dropout=0.0)
    assert history[-1]["loss"] < 0.35 * history[0]["loss"]
    assert max(row["val_CIDEr"] for row in history) > 2 * history[0]["val_CIDEr"] + 0.5


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_two_epochs_a_kill_and_two_more_equal_four_to_the_bit(made, tmp_path, cell):
    scores = (0.1, 0.3, 0.2, 0.6)
    whole, history = run(made, tmp_path / "whole", cell, validation=Scores(*scores))
    with pytest.raises(Killed):
        run(made, tmp_path / "broken", cell, validation=Scores(*scores[:2], Killed()))
    resumed, again = run(made, tmp_path / "broken", cell, validation=Scores(*scores[2:]))
    assert scores_only(history) == scores_only(again)
    assert same(whole.arrays(), resumed.arrays())


@pytest.mark.parametrize("lost", ["save_checkpoint", "write_history"])
def test_a_kill_between_the_files_of_an_epoch_makes_it_run_again(made, tmp_path, monkeypatch, lost):
    scores = (0.1, 0.3, 0.2, 0.6)
    whole, history = run(made, tmp_path / "whole", validation=Scores(*scores))
    kept, calls = getattr(early_stopping, lost), []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        kept(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(early_stopping, lost, dies)
        with pytest.raises(Killed):
            run(made, tmp_path / "broken", validation=Scores(*scores))
    resumed, again = run(made, tmp_path / "broken", validation=Scores(*scores[1:]))
    assert scores_only(history) == scores_only(again)
    assert same(whole.arrays(), resumed.arrays())


def test_it_stops_by_the_captions_and_keeps_the_best_weights(made, tmp_path):
    scores = Scores(0.1, 0.5, 0.5, 0.2, 0.9)
    model, history = run(made, tmp_path, training=replace(TRAINING, epochs=9, patience=2), validation=scores)
    assert [row["val_CIDEr"] for row in history] == [0.1, 0.5, 0.5, 0.2]
    assert same(model.parameters, scores.weights[1])
    assert same(CaptioningRNN.load(tmp_path / "model.npz").parameters, scores.weights[1])


def test_a_finished_training_is_loaded_and_not_run_again(made, tmp_path, capsys):
    model, history = run(made, tmp_path, validation=Scores(0.1, 0.4, 0.3, 0.2))
    again, same_history = run(made, tmp_path, validation=Scores())
    assert same_history == history and same(model.arrays(), again.arrays())
    assert "Resuming" not in capsys.readouterr().out


def test_the_history_and_the_files_are_those_of_a_bundle(made, tmp_path):
    _, history = run(made, tmp_path)
    assert read_history(tmp_path / "history.csv") == history
    names = {"epoch", "loss", "val_loss", "val_accuracy", "val_CIDEr", "gradient_norm", "seconds"}
    assert set(history[0]) == names and [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert {path.name for path in tmp_path.iterdir()} == {"model.npz", "history.csv", "training.json"}


CHANGES = {"epochs": 3, "learning_rate": 0.002, "weight_decay": 0.5, "batch": 4, "clip_norm": 1e-3, "seed": 2}


@pytest.mark.parametrize("field", fields(NumpyTrainingConfig), ids=lambda field: field.name)
def test_every_setting_of_the_training_matters(made, tmp_path, field):
    if field.name == "patience":  # by how long it waits, not by what it learns
        training = replace(TRAINING, patience=2)
        assert len(run(made, tmp_path, training=training, validation=Scores(0.3, 0.2, 0.1))[1]) == 3
        return
    change = {field.name: CHANGES[field.name]}
    usual, other = (
        run(made, tmp_path / name, training=training, validation=Scores(1, 2, 3, 4))[0]
        for name, training in (("usual", TRAINING), ("other", replace(TRAINING, **change)))
    )
    assert not same(usual.parameters, other.parameters)


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("cell", "change", "training", "named"),
    [
        ("rnn", {"units": 9}, TRAINING, "model.cell was 'lstm' and is now 'rnn'"),
        ("lstm", {"units": 9}, TRAINING, "model.units was 12 and is now 9"),
        ("lstm", {}, replace(TRAINING, epochs=6), "training.epochs was 4 and is now 6"),
    ],
)
def test_a_folder_with_another_run_is_refused_and_kept(made, tmp_path, finished, cell, change, training, named):
    if finished:
        run(made, tmp_path, validation=Scores(0.1, 0.4, 0.3, 0.2))
    else:
        with pytest.raises(Killed):
            run(made, tmp_path, validation=Scores(0.1, Killed()))
    before = everything_in(tmp_path)
    with pytest.raises(StaleError, match=f"{tmp_path.name}.*{named}"):
        run(made, tmp_path, cell, training, Scores(), **change)
    assert before == everything_in(tmp_path)


def test_a_checkpoint_of_another_model_is_refused_without_the_record(made, tmp_path):
    """As if its code had been edited: the file of one run beside the record of another."""
    with pytest.raises(Killed):
        run(made, tmp_path / "lstm", validation=Scores(0.1, Killed()))
    with pytest.raises(Killed):
        run(made, tmp_path / "rnn", "rnn", validation=Scores(0.1, Killed()), units=9)
    (tmp_path / "lstm" / "last" / "checkpoint.npz").replace(tmp_path / "rnn" / "last" / "checkpoint.npz")
    with pytest.raises(StaleError, match=r"checkpoint.npz.*cell was 'lstm' and is now 'rnn'"):
        run(made, tmp_path / "rnn", "rnn", validation=Scores(), units=9)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("captions", [1, 2])
def test_one_picture_per_split_is_trained_by_the_loss(tmp_path, cell, captions, capsys):
    dataset = tiny_dataset(tmp_path, pictures=3, captions=captions, splits=("train", "val", "test"))
    few = dataset, store_of(dataset, tmp_path), tokenizer_of(dataset)
    _, history = run(few, tmp_path / "run", cell)
    assert [row["val_CIDEr"] for row in history] == [0.0] * 4  # no word tells one picture from others
    losses = [row["val_loss"] for row in history]
    assert np.isfinite(losses).all() and best_epoch(history) == np.argmin(losses)
    assert f"the loss decided: the weights of epoch {np.argmin(losses) + 1} are kept" in capsys.readouterr().out


def test_no_picture_is_named(made):
    for gather in (caption_arrays, Validation):
        with pytest.raises(ValueError, match="No picture of the split"):
            gather((), made[1], made[2])
    with pytest.raises(ValueError, match="No image"):
        channel_statistics(np.zeros((0, 6)))


def test_statistics_are_exact_and_need_little_memory():
    features = np.random.default_rng(0).normal(1000, 1, size=(6000, 300)).astype(np.float16)
    tracemalloc.start()
    mean, deviation = channel_statistics(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(mean, features.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(deviation, features.std(axis=0, dtype=np.float64), rtol=1e-9)
    assert peak < 2.5 * features.nbytes < 4 * features.astype(np.float32).nbytes
    regions = features[:900].reshape(100, 9, 300)
    np.testing.assert_allclose(channel_statistics(regions)[0], regions.mean(axis=(0, 1), dtype=np.float64))


def test_the_features_are_scaled_by_the_train_split(made, tmp_path):
    model, _ = run(made, tmp_path, validation=Scores(1, 2, 3, 4))
    mean, deviation = channel_statistics(caption_arrays(made[0].split("train"), made[1], made[2]).features)
    np.testing.assert_allclose(model.channel_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(model.channel_deviation, deviation, rtol=1e-6)


def test_a_channel_that_hardly_varies_is_left_out():
    features = np.random.default_rng(0).normal(size=(200, 5))
    features[:, 2] *= 1e-4
    model = CaptioningRNN(CaptioningRNNConfig(9, 5, units=4), *channel_statistics(features))
    fired = features[:3].copy()
    fired[:, 2] = 7
    for part, other in zip(model.initial_state(features[:3]), model.initial_state(fired), strict=True):
        np.testing.assert_array_equal(part, other)
    fired[:, 1] += 1
    assert (model.initial_state(fired)[0] != model.initial_state(features[:3])[0]).any()
