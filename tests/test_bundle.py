"""Bundles: what belongs together stays together; anything else is refused or moved aside."""

import json
from dataclasses import replace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import bundle, encoders, evaluation, models
from captioning.features import encode_files
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.gru import GRUConfig
from captioning.numpy_rnn import CaptioningRNN, CaptioningRNNConfig, channel_statistics
from captioning.settings import Project
from captioning.tokenizer import Tokenizer
from captioning.training import TrainingConfig
from tests.tiny import store_of, tiny_dataset, tokenizer_of


@pytest.fixture
def made(tmp_path):
    dataset = tiny_dataset(tmp_path, splits=("train", "train", "val", "test"))
    return dataset, store_of(dataset, tmp_path), tokenizer_of(dataset), Project(home=tmp_path)


def start(made, kind="bahdanau", training=None, **sizes):
    dataset, store, tokenizer, project = made
    shape = {"vocabulary": len(tokenizer), "channels": store.channels, "embedding": 4, "units": 5} | sizes
    if kind.startswith("numpy_"):
        config = CaptioningRNNConfig(cell=kind.removeprefix("numpy_"), **shape)
    else:
        config = GRUConfig(regions=1, **shape) if kind == "gru" else BahdanauConfig(regions=4, attention=3, **shape)
    settings = bundle.settings_for(config, training or TrainingConfig(), dataset, tokenizer)
    folder = bundle.start(project.checkpoints / f"{kind}-mobilenet", settings, tokenizer, store, project)
    return folder, config


def finished(made, kind="bahdanau", seed=0):
    folder, config = start(made, kind)
    if kind.startswith("numpy_"):
        train = [record.image_id for record in made[0].split("train")]
        model = CaptioningRNN(config, *channel_statistics(made[1].rows(train)))
        model.save(folder / "model.npz")
    else:
        model = models.build(config, seed=seed)
        model.scale_features(*made[1].statistics(made[0].split("train")))
        model.save_weights(folder / "model.weights.h5")
    bundle.finish(folder)
    return folder, model


@pytest.mark.parametrize("kind", ["gru", "bahdanau", "numpy_rnn", "numpy_lstm"])
def test_a_loaded_bundle_decodes_like_the_model_it_was_made_of(made, kind):
    folder, model = finished(made, kind)
    features = made[1].rows([0, 1, 2])
    loaded = bundle.load(folder)
    assert loaded.settings["kind"] == kind
    captions = loaded.decode(features, beam_width=2, max_length=5)
    regions = features if kind == "bahdanau" else features.mean(axis=1, keepdims=True, dtype=np.float32)
    initial_state, step = model.compile_step()
    expected = bundle.decoding.beam_search(step, initial_state(regions), beam_width=2, max_length=5)
    assert [caption.tokens for caption in captions] == [caption.tokens for caption in expected]


def test_photos_are_captioned_with_nothing_but_the_bundle_and_the_encoder(made, monkeypatch):
    dataset, _, _, project = made
    encoder = encoders.load("mobilenet", "random", project.encoders)
    identity = encoder.identity
    manifest = made[1].folder / "manifest.json"
    made[1].manifest.update(identity | {"regions": 49, "channels": 768})
    manifest.write_text(json.dumps(made[1].manifest))
    shape = {"vocabulary": len(made[2]), "regions": 49, "channels": 768, "embedding": 4, "units": 5}
    config = BahdanauConfig(**shape, attention=3)
    settings = bundle.settings_for(config, TrainingConfig(), dataset, made[2])
    folder = bundle.start(project.checkpoints / "bahdanau-mobilenet", settings, made[2], made[1], project)
    models.build(config).save_weights(folder / "model.weights.h5")
    bundle.finish(folder)
    loaded = bundle.load(folder)
    files = [record.file for record in dataset.records[:2]]
    captions = loaded.decode(encode_files(files, encoder), 3)
    assert loaded.caption(files) == [made[2].decode(caption.tokens) for caption in captions]

    other = dict(loaded.encoder_identity, weights_hash="f" * 16)
    (folder / "encoder.json").write_text(json.dumps(other))
    with pytest.raises(bundle.BundleError, match="weights_hash"):
        bundle.load(folder).caption(files)


def test_the_same_settings_find_the_finished_bundle(made, capsys):
    folder, _ = finished(made)
    weights = (folder / "model.weights.h5").read_bytes()
    assert start(made)[0] == folder
    assert "it is loaded" in capsys.readouterr().out
    assert (folder / "model.weights.h5").read_bytes() == weights


def test_an_unfinished_bundle_goes_on(made, capsys):
    folder, _ = start(made)
    (folder / "last").mkdir()
    start(made)
    assert "goes on" in capsys.readouterr().out
    assert (folder / "last").is_dir()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda made: start(made, units=6), "model.units"),
        (lambda made: start(made, training=TrainingConfig(epochs=3)), "training.epochs"),
        (lambda made: start((made[0], made[1], Tokenizer(["a", "red"]), made[3])), "model.vocabulary"),
        (lambda made: start((replace(made[0], records=made[0].records[:-2]), *made[1:])), "data.captions"),
        (lambda made: (made[1].manifest.update(weights_hash="1" * 16), start(made)), "weights_hash"),
    ],
)
def test_another_setting_moves_the_old_bundle_aside_and_says_which(made, capsys, change, field):
    folder, _ = finished(made)
    weights = (folder / "model.weights.h5").read_bytes()
    change(made)
    assert field in capsys.readouterr().out
    assert not (folder / "model.weights.h5").exists()
    assert (folder.with_name(folder.name + ".previous") / "model.weights.h5").read_bytes() == weights


def test_a_tokenizer_that_does_not_fit_the_weights_is_refused(made):
    folder, _ = finished(made)
    words = list(made[2].vocabulary)
    Tokenizer(words[::-1]).save(folder / "tokenizer.json")  # as many words, in another order
    with pytest.raises(bundle.BundleError, match=r"tokenizer\.json.*not the tokenizer"):
        bundle.load(folder)


def test_weights_of_other_sizes_are_refused(made):
    folder, _ = finished(made)
    settings = json.loads((folder / "settings.json").read_text())
    settings["model"]["units"] = 9
    (folder / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(bundle.BundleError, match="does not fit"):
        bundle.load(folder)


@pytest.mark.parametrize("change", [{"units": 9}, {"cell": "rnn"}, {"dropout": 0.2}])
def test_numpy_weights_trained_with_other_settings_are_refused(made, change):
    folder, model = finished(made, "numpy_lstm")
    CaptioningRNN(replace(model.config, **change)).save(folder / "model.npz")
    with pytest.raises(bundle.BundleError, match=f"does not fit.*{next(iter(change))}"):
        bundle.load(folder)


def test_numpy_weights_of_another_kind_or_none_are_refused(made):
    folder, _ = finished(made, "numpy_lstm")
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | {"kind": "numpy_rnn"}))
    with pytest.raises(bundle.BundleError, match="holds a numpy_lstm, not a numpy_rnn"):
        bundle.load(folder)
    (folder / "settings.json").write_text(json.dumps(settings | {"kind": "transformer"}))
    with pytest.raises(bundle.BundleError, match="'transformer'; known: gru,"):
        bundle.load(folder)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model.npz").write_bytes(b"half")
    with pytest.raises(bundle.BundleError, match=r"model\.npz"):
        bundle.load(folder)
    (folder / "model.npz").unlink()
    with pytest.raises(FileNotFoundError, match="08_rnn_from_scratch"):
        bundle.load(folder)


def test_a_numpy_bundle_trained_with_another_setting_moves_aside(made, capsys):
    folder, _ = finished(made, "numpy_rnn")
    assert start(made, "numpy_rnn")[0] == folder and "it is loaded" in capsys.readouterr().out
    start(made, "numpy_rnn", units=6)
    assert "model.units" in capsys.readouterr().out
    assert (folder.with_name(folder.name + ".previous") / "model.npz").is_file()


def test_a_missing_bundle_names_the_notebook_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="05_inceptionv3_bahdanau_attention"):
        bundle.load(tmp_path / "bahdanau-inception_v3")
    with pytest.raises(FileNotFoundError, match="no trained model"):
        bundle.find(tmp_path)


def test_only_finished_bundles_are_found(made):
    folder, _ = finished(made)
    of_numpy, _ = finished(made, "numpy_lstm")
    start(made, "gru")
    assert bundle.find(made[3].checkpoints) == [folder, of_numpy]


class TestEvaluation:
    def test_the_beam_is_chosen_on_validation_and_the_scores_are_kept(self, made, monkeypatch):
        folder, _ = finished(made)
        scores = evaluation.evaluate(bundle.load(folder), made[1], made[0])
        assert scores["images"] == len(made[0].split("test"))
        decoding = scores["decoding"]
        assert len(decoding["tried"]) == len(evaluation.DECODINGS)
        assert decoding["validation_CIDEr"] == max(row["validation_CIDEr"] for row in decoding["tried"])
        rows = evaluation.read_results(folder / "captions.json")
        assert set(rows) == {record.image_id for record in made[0].split("test")}
        monkeypatch.setattr(evaluation, "caption_records", lambda *_: pytest.fail("decoded again"))
        again = evaluation.evaluate(bundle.load(folder), made[1], made[0])
        assert again["CIDEr"] == scores["CIDEr"]

    def test_other_weights_are_scored_anew(self, made):
        folder, _ = finished(made)
        first = evaluation.evaluate(bundle.load(folder), made[1], made[0])
        models.build(start(made)[1], seed=5).save_weights(folder / "model.weights.h5")
        assert evaluation.evaluate(bundle.load(folder), made[1], made[0])["of"] != first["of"]

    def test_a_numpy_bundle_is_scored_and_scored_anew_with_other_weights(self, made):
        folder, model = finished(made, "numpy_lstm")
        first = evaluation.evaluate(bundle.load(folder), made[1], made[0])
        assert evaluation.evaluate(bundle.load(folder), made[1], made[0]) == first
        model.parameters["output_bias"][:] += np.arange(model.config.vocabulary)
        model.save(folder / "model.npz")
        assert evaluation.evaluate(bundle.load(folder), made[1], made[0])["of"] != first["of"]

    def test_the_nearest_neighbour_gives_the_caption_of_an_equal_picture(self, made):
        dataset, store, _, _ = made
        train = dataset.split("train")
        results = evaluation.nearest_neighbour(store, dataset, train)
        assert results == {record.image_id: record.captions[0] for record in train}

    def test_the_most_frequent_caption_is_one_for_all(self, made):
        dataset = made[0]
        doubled = replace(dataset.records[0], captions=("A Flag.", "a flag"))
        dataset = replace(dataset, records=(doubled, *dataset.records[1:]))
        assert set(evaluation.most_frequent_caption(dataset, dataset.split("test")).values()) == {"a flag"}

    def test_dealt_captions_all_move(self):
        results = {number: f"caption {number}" for number in range(7)}
        dealt = evaluation.dealt_to_others(results)
        assert sorted(dealt.values()) == sorted(results.values())
        assert all(dealt[number] != results[number] for number in results)
