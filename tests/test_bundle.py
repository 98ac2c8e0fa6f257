"""Bundles: what belongs together stays together; anything else is refused or moved aside."""

import json
from dataclasses import replace

import numpy as np
import pytest

import captioning.quiet  # noqa: F401
from captioning import bundle, encoders, evaluation, metrics, models
from captioning.features import FeatureStore, encode_files
from captioning.from_scratch.rnn import CaptioningRNN, CaptioningRNNConfig, channel_statistics
from captioning.models.bahdanau import BahdanauConfig
from captioning.models.bilstm import BiLSTMConfig
from captioning.models.gru import GRUConfig
from captioning.settings import Project
from captioning.tokenizer import END, Tokenizer
from captioning.training.config import TrainingConfig
from tests.tiny import store_of, tiny_dataset, tokenizer_of


@pytest.fixture
def made(tmp_path):
    dataset = tiny_dataset(tmp_path, splits=("train", "train", "val", "test"))
    return dataset, store_of(dataset, tmp_path), tokenizer_of(dataset), Project(home=tmp_path)


def start(made, kind="bahdanau", training=None, batches=None, **sizes):
    dataset, store, tokenizer, project = made
    shape = {"vocabulary": len(tokenizer), "channels": store.channels, "embedding": 4, "units": 5} | sizes
    if kind.startswith("numpy_"):
        config = CaptioningRNNConfig(cell=kind.removeprefix("numpy_"), **shape)
    else:
        config = GRUConfig(regions=1, **shape) if kind == "gru" else BahdanauConfig(regions=4, attention=3, **shape)
    settings = bundle.settings_for(config, training or TrainingConfig(), dataset, tokenizer, **(batches or {}))
    folder = bundle.start(project.checkpoints / f"{kind}-mobilenet", settings, tokenizer, store, project)
    return folder, config


def finished(made, kind="bahdanau", seed=0, **settings):
    folder, config = start(made, kind, **settings)
    if kind.startswith("numpy_"):
        train = made[0].split("train")
        model = CaptioningRNN(config, *channel_statistics(made[1].rows(train)))
        model.save(folder / "model.npz")
    else:
        model = models.build(config, seed=seed)
        model.scale_features(*made[1].statistics(made[0].split("train"), averaged=model.averaged))
        model.save_weights(folder / "model.weights.h5")
    bundle.finish(folder)
    return folder, model


@pytest.mark.parametrize("kind", ["gru", "bahdanau", "numpy_rnn", "numpy_lstm"])
def test_a_loaded_bundle_decodes_like_the_model_it_was_made_of(made, kind):
    folder, model = finished(made, kind)
    features = made[1].rows(made[0].records[:3])
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


def test_an_unfinished_bundle_does_not_take_the_place_of_a_finished_one(made, capsys):
    folder, _ = finished(made)
    weights = (folder / "model.weights.h5").read_bytes()
    start(made, units=6)
    start(made, units=7)
    assert "was unfinished and is deleted" in capsys.readouterr().out
    assert json.loads((folder / "settings.json").read_text())["model"]["units"] == 7
    assert (folder.with_name(folder.name + ".previous") / "model.weights.h5").read_bytes() == weights


def test_a_project_that_was_moved_keeps_its_random_encoders(made, tmp_path):
    folder, _ = finished(made)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "checkpoints").rename(moved / "checkpoints")
    loaded = bundle.load(moved / folder.relative_to(tmp_path))
    place = (loaded.folder / loaded.encoder_identity["random_folder"]).resolve()
    assert place == Project(home=moved).encoders


@pytest.mark.parametrize("kind", ["bahdanau", "numpy_rnn"])
def test_many_pictures_are_decoded_as_one_by_one(tmp_path, kind):
    """More of them than go into one beam search."""
    dataset = tiny_dataset(tmp_path, pictures=70)
    made = dataset, store_of(dataset, tmp_path), tokenizer_of(dataset), Project(home=tmp_path)
    loaded = bundle.load(finished(made, kind)[0])
    features = made[1].rows(made[0].records)
    together = [caption.tokens for caption in loaded.decode(features, 2, max_length=4)]
    assert together == [loaded.decode(row[None], 2, max_length=4)[0].tokens for row in features]


def test_captions_may_be_as_long_as_those_trained_on(made):
    folder, model = finished(made, "numpy_rnn", batches={"max_words": 50})
    model.parameters["output_bias"][END] = -99
    model.save(folder / "model.npz")
    loaded, features = bundle.load(folder), made[1].rows(made[0].records[:1])
    assert len(loaded.decode(features, 1)[0].tokens) == 50
    assert len(loaded.decode(features, 1, max_length=7)[0].tokens) == 7


def test_a_model_with_room_for_so_many_words_refuses_more(made):
    dataset, store, tokenizer, project = made
    sizes = {"embedding": 4, "units": 5, "attention": 3, "longest": 32}
    config = BiLSTMConfig(len(tokenizer), store.regions, store.channels, **sizes)
    settings = bundle.settings_for(config, TrainingConfig(), dataset, tokenizer)
    folder = bundle.start(project.checkpoints / "bilstm-mobilenet", settings, tokenizer, store, project)
    models.build(config).save_weights(folder / "model.weights.h5")
    loaded = bundle.load(folder)
    assert loaded.decode(store.rows(dataset.records[:1]), 1, max_length=31)
    with pytest.raises(ValueError, match="room for 31 words, not for 32"):
        loaded.decode(store.rows(dataset.records[:1]), 1, max_length=32)


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
    with pytest.raises(FileNotFoundError, match=r"no trained model.*04_gru_decoder"):
        bundle.find(tmp_path)


def test_only_finished_bundles_are_found(made):
    folder, _ = finished(made)
    of_numpy, _ = finished(made, "numpy_lstm")
    start(made, "gru")
    assert bundle.find(made[3].checkpoints) == [folder, of_numpy]


class TestEvaluation:
    def test_the_beam_is_chosen_on_validation_and_the_scores_are_kept(self, made, monkeypatch):
        folder, _ = finished(made)
        val, test = (made[0].split(split) for split in ("val", "test"))
        best, asked = evaluation.DECODINGS[2], []

        def captions(bundle, store, records, *decoding):
            asked.append(([record.image_id for record in records], decoding))
            return {r.image_id: r.captions[0] if decoding == best else "a wall" for r in records}

        monkeypatch.setattr(evaluation, "caption_records", captions)
        scores = evaluation.evaluate(bundle.load(folder), made[1], made[0])
        *tried, (scored, decoding) = asked
        assert tried == [([record.image_id for record in val], decoding) for decoding in evaluation.DECODINGS]
        assert scored == [record.image_id for record in test] and decoding == best
        assert scores["images"] == len(test) and scores["Bleu_1"] == pytest.approx(1)
        assert (scores["decoding"]["beam_width"], scores["decoding"]["length_penalty"]) == best
        rows = metrics.read_results(folder / "captions.json")
        assert rows == {record.image_id: record.captions[0] for record in test}
        monkeypatch.setattr(evaluation, "caption_records", lambda *_: pytest.fail("decoded again"))
        assert evaluation.evaluate(bundle.load(folder), made[1], made[0]) == scores

    def test_another_number_of_validation_pictures_is_scored_anew(self, made):
        folder, _ = finished(made)
        scores = [evaluation.evaluate(bundle.load(folder), made[1], made[0], pictures) for pictures in (None, 3)]
        assert scores[0]["fingerprint"] != scores[1]["fingerprint"]

    def test_other_splits_or_features_than_those_trained_with_are_refused(self, made):
        """Under another split the test pictures may have been trained on."""
        loaded = bundle.load(finished(made)[0])
        evaluation.evaluate(loaded, made[1], made[0])
        with pytest.raises(bundle.BundleError, match=r"other captions or splits.*05_inceptionv3_bahdanau_attention"):
            evaluation.evaluate(loaded, made[1], made[0].resplit(0.9))
        made[1].manifest["weights"] = "imagenet"
        with pytest.raises(bundle.BundleError, match=r"trained with weights 'random'.* has 'imagenet'"):
            evaluation.evaluate(loaded, made[1], made[0])

    def test_other_weights_are_scored_anew(self, made):
        folder, _ = finished(made)
        first = evaluation.evaluate(bundle.load(folder), made[1], made[0])
        models.build(start(made)[1], seed=5).save_weights(folder / "model.weights.h5")
        assert evaluation.evaluate(bundle.load(folder), made[1], made[0])["fingerprint"] != first["fingerprint"]

    def test_a_numpy_bundle_is_scored_and_scored_anew_with_other_weights(self, made):
        folder, model = finished(made, "numpy_lstm")
        first = evaluation.evaluate(bundle.load(folder), made[1], made[0])
        assert evaluation.evaluate(bundle.load(folder), made[1], made[0]) == first
        model.parameters["output_bias"][:] += np.arange(model.config.vocabulary)
        model.save(folder / "model.npz")
        assert evaluation.evaluate(bundle.load(folder), made[1], made[0])["fingerprint"] != first["fingerprint"]

    def test_the_nearest_neighbour_gives_the_caption_of_an_equal_picture(self, made):
        dataset, store, _, _ = made
        train = dataset.split("train")
        results = evaluation.nearest_neighbour(store, dataset, train)
        assert results == {record.image_id: record.captions[0] for record in train}

    def test_the_nearest_neighbour_is_not_decided_by_one_large_channel(self, made, tmp_path):
        dataset = tiny_dataset(tmp_path, pictures=4, splits=("train", "train", "train", "test"))
        store = store_of(dataset, tmp_path / "other", regions=1, channels=3)
        rows = np.array([[100, 1, 0], [-100, -1, 1], [100, -1, -1], [-20, 1, 0]], np.float16)
        np.save(store.folder / "features-00000.npy", rows[:, None])
        results = evaluation.nearest_neighbour(FeatureStore(store.folder), dataset, dataset.split("test"))
        assert results == {3: dataset.records[0].captions[0]}

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
