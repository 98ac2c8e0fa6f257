"""Bundles: what belongs together stays together; anything else is refused in words."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from captioning import bundle, decoding
from captioning.bundle import BundleError
from captioning.files import DamagedError
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.models.bahdanau import BahdanauDecoder
from captioning.provenance import StaleError
from captioning.tokenizer import END, Tokenizer
from tests.bundles import edit, everything_in, finished, made_in, random_state


@pytest.mark.parametrize("kind", ["gru", "bahdanau", "numpy_rnn", "numpy_lstm"])
def test_a_loaded_bundle_decodes_like_the_model_it_was_made_of(made, kind):
    folder, model = finished(made, kind)
    features = made.store.rows(made.dataset.records[:3])
    loaded = bundle.load(folder)
    assert loaded.settings["kind"] == kind
    captions = loaded.decode(features, beam_width=2, max_length=5)
    regions = features if kind == "bahdanau" else features.mean(axis=1, keepdims=True, dtype=np.float32)
    initial_state, step = model.compile_step()
    expected = decoding.beam_search(step, initial_state(regions), beam_width=2, max_length=5)
    assert [caption.tokens for caption in captions] == [caption.tokens for caption in expected]


@pytest.mark.parametrize("kind", ["gru", "numpy_lstm"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_no_numbers_are_refused_by_the_name_of_their_file(made, kind, value):
    folder, _ = finished(made, kind)
    if kind == "gru":
        with h5py.File(folder / "model.weights.h5", "r+") as file:
            file["layers/dense/vars/0"][0, 0] = value
    else:
        arrays = dict(np.load(folder / "model.npz"))
        arrays["parameters/output_bias"][-1] = value
        np.savez(folder / "model.npz", **arrays)
    with pytest.raises(BundleError, match=r"model\.(weights\.h5|npz) holds NaN or infinity: .*learning rate.*\.ipynb"):
        bundle.load(folder)


@pytest.mark.parametrize("kind", ["gru", "numpy_lstm"])
def test_loading_writes_nothing_and_touches_no_random_state(made, kind):
    folder, _ = finished(made, kind)
    before = everything_in(made.project.home), random_state()
    bundle.load(folder).decode(made.store.rows(made.dataset.records[:1]), 1, max_length=3)
    assert (everything_in(made.project.home), random_state()) == before


@pytest.mark.parametrize("kind", ["bahdanau", "numpy_rnn"])
def test_many_pictures_are_decoded_as_one_by_one(tmp_path, kind):
    """More of them than go into one beam search."""
    made = made_in(tmp_path, pictures=70)
    loaded = bundle.load(finished(made, kind)[0])
    features = made.store.rows(made.dataset.records)
    together = [caption.tokens for caption in loaded.decode(features, 2, max_length=4)]
    assert together == [loaded.decode(row[None], 2, max_length=4)[0].tokens for row in features]


@pytest.mark.parametrize("most", [50, 9])
def test_captions_may_be_as_long_as_those_trained_on_and_no_longer(made, most):
    folder, model = finished(made, "numpy_rnn", batches={"max_words": most})
    model.parameters["output_bias"][END] = -99
    model.save(folder / "model.npz")
    loaded, features = bundle.load(folder), made.store.rows(made.dataset.records[:1])
    assert len(loaded.decode(features, 1)[0].tokens) == most
    assert len(loaded.decode(features, 1, max_length=7)[0].tokens) == 7


def test_a_model_with_room_for_so_many_words_refuses_more(made):
    folder, _ = finished(made)
    loaded = bundle.load(folder)
    loaded.settings["model"]["longest"] = 32
    features = made.store.rows(made.dataset.records[:1])
    assert loaded.decode(features, 1, max_length=31)
    with pytest.raises(ValueError, match="room for 31 words, not for 32"):
        loaded.decode(features, 1, max_length=32)


# The class of the model


class Louder(BahdanauDecoder):
    """As from a notebook's cell."""

    def step(self, tokens, state):
        step = super().step(tokens, state)
        return step._replace(logits=-step.logits)


def test_a_class_of_ones_own_is_found_again(made):
    folder, model = finished(made, model_class=Louder)
    features = made.store.rows(made.dataset.records[:3])
    initial_state, step = model.compile_step()
    expected = decoding.greedy(step, initial_state(features), 5)
    loaded = bundle.load(folder)
    assert type(loaded.model) is Louder
    captions = loaded.decode(features, 1, max_length=5, length_penalty=0)
    assert [caption.tokens for caption in captions] == [caption.tokens for caption in expected]


def test_a_class_that_is_not_defined_now_is_refused_in_words(made, monkeypatch):
    folder, _ = finished(made, model_class=Louder)
    monkeypatch.delattr(f"{__name__}.Louder")
    with pytest.raises(BundleError, match=r"'Louder' was defined in a notebook .* run the cell"):
        bundle.load(folder)


def test_a_class_of_other_code_is_refused_unless_asked_for(made, monkeypatch):
    folder, _ = finished(made, model_class=Louder)

    def step(self, tokens, state):
        return BahdanauDecoder.step(self, tokens, state)

    monkeypatch.setattr(Louder, "step", step)
    with pytest.raises(BundleError, match=r"other code of Louder .*05_inceptionv3_bahdanau_attention.*other_code=True"):
        bundle.load(folder)
    assert type(bundle.load(folder, other_code=True).model) is Louder


def test_a_file_names_no_module_to_import(made):
    folder, _ = finished(made)
    settings = edit(folder)
    edit(folder, **{"class": settings["class"] | {"module": "antigravity", "name": "Decoder"}})
    with pytest.raises(BundleError, match="antigravity"):
        bundle.load(folder)
    assert "antigravity" not in __import__("sys").modules


# Mismatches


def test_a_tokenizer_that_does_not_fit_the_weights_is_refused(made):
    folder, _ = finished(made)
    words = list(made.tokenizer.vocabulary)
    Tokenizer(words[::-1]).save(folder / "tokenizer.json")  # as many words, in another order
    with pytest.raises(BundleError, match=r"tokenizer\.json.*not the tokenizer"):
        bundle.load(folder)


@pytest.mark.parametrize("content", ["{", "{}", '{"special": 1}', None])
def test_a_damaged_tokenizer_names_the_notebook_that_trains_the_model(made, content):
    """Notebook 02 makes the vocabulary of a dataset, not the copy in a bundle."""
    folder, _ = finished(made)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"splitting": "', '"splitting": "0') if content is None else content)
    with pytest.raises((DamagedError, StaleError)) as error:
        bundle.load(folder)
    assert "tokenizer.json" in str(error.value) and "02_explore" not in str(error.value)
    assert f"delete {folder} and run notebooks/05_inceptionv3_bahdanau_attention.ipynb again." in str(error.value)


def test_weights_of_other_sizes_are_refused(made):
    folder, _ = finished(made)
    settings = edit(folder)
    edit(folder, model=settings["model"] | {"units": 9})
    with pytest.raises(BundleError, match=r"model\.weights\.h5 does not fit") as error:
        bundle.load(folder)
    assert "\n" not in str(error.value)  # Keras lists every layer


@pytest.mark.parametrize("change", [{"units": 9}, {"cell": "rnn"}, {"dropout": 0.2}])
def test_numpy_weights_trained_with_other_settings_are_refused(made, change):
    folder, model = finished(made, "numpy_lstm")
    CaptioningRNN(replace(model.config, **change)).save(folder / "model.npz")
    with pytest.raises(BundleError, match=f"does not fit.*{next(iter(change))}"):
        bundle.load(folder)


def test_unknown_kinds_and_damaged_or_missing_weights_are_named(made):
    folder, _ = finished(made, "numpy_lstm")
    weights = (folder / "model.npz").read_bytes()
    (folder / "model.npz").write_bytes(b"half")
    with pytest.raises(BundleError, match=r"model\.npz"):
        bundle.load(folder)
    (folder / "model.npz").unlink()
    with pytest.raises(FileNotFoundError, match="08_rnn_from_scratch"):
        bundle.load(folder)
    (folder / "model.npz").write_bytes(weights)
    edit(folder, kind="gru")
    with pytest.raises(FileNotFoundError, match=r"model\.weights\.h5"):
        bundle.load(folder)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"kind": "gru", "finished": true}', '{"format": 99}', '{"format": 2, "kind": "gru"}']
)
def test_settings_that_are_damaged_or_of_another_version_are_named(made, content):
    folder, _ = finished(made)
    (folder / "settings.json").write_text(content)
    with pytest.raises(BundleError, match=r"settings\.json (is damaged|was written by another version)"):
        bundle.load(folder)


@pytest.mark.parametrize("field", ["kind", "class", "model", "batches", "encoder", "finished"])
@pytest.mark.parametrize("value", [None, 5, []])
def test_settings_of_another_type_are_named(made, field, value):
    folder, _ = finished(made)
    edit(folder, **{field: value})
    with pytest.raises(BundleError, match=r"settings\.json was written by another version of this package, or edited"):
        bundle.load(folder)


def test_weights_with_a_damaged_middle_are_named(made):
    folder, _ = finished(made)
    weights = (folder / "model.weights.h5").read_bytes()
    (folder / "model.weights.h5").write_bytes(weights[:2000] + bytes(500) + weights[2500:])
    with pytest.raises(BundleError, match=r"model\.weights\.h5 does not fit"):
        bundle.load(folder)


def test_a_folder_that_is_no_bundle_says_so_whatever_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"my-model is not a trained bundle.*04 to 10"):
        bundle.load(tmp_path / "my-model")


def test_a_renamed_bundle_loads_and_names_its_own_notebook(made):
    folder, _ = finished(made)
    renamed = folder.rename(folder.with_name("the one that works"))
    assert bundle.load(renamed).name == "the one that works"
    (renamed / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match="05_inceptionv3_bahdanau_attention"):
        bundle.load(renamed)


def test_an_unfinished_bundle_says_so(made, capsys):
    folder, _ = finished(made)
    edit(folder, finished=False)
    capsys.readouterr()
    bundle.load(folder)
    assert "bahdanau-mobilenet: its training is unfinished" in capsys.readouterr().out
