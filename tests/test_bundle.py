"""Bundles: what belongs together stays together; anything else is refused in words."""

import json
import random
from dataclasses import dataclass, replace

import h5py
import numpy as np
import pytest
from PIL import Image
from tiny_encoder import SPEC, tiny_encoder

import captioning.quiet
from captioning import bundle, decoding, encoders, models
from captioning.bundle import BundleError
from captioning.features import encode_files, extract
from captioning.from_scratch.rnn import CaptioningRNN
from captioning.images import ImageError
from captioning.models.bahdanau import BahdanauConfig, BahdanauDecoder
from captioning.models.bilstm import BiLSTMDecoder
from captioning.settings import SettingError
from captioning.tokenizer import END, Tokenizer
from tests.bundles import finished, made_in, start


@pytest.fixture
def made(tmp_path):
    return made_in(tmp_path)


def edit(folder, **fields):
    """Change fields of settings.json."""
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | fields))
    return settings


def everything_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
def test_loading_writes_nothing_and_touches_no_random_state(made, kind):
    folder, _ = finished(made, kind)
    before = everything_in(made.project.home)
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    bundle.load(folder).decode(made.store.rows(made.dataset.records[:1]), 1, max_length=3)
    assert (random.random(), np.random.random()) == expected
    assert everything_in(made.project.home) == before


@pytest.fixture
def with_photos(made, monkeypatch):
    """A bundle whose encoder is the tiny one; how its weights are asked for is noted."""
    asked, encoder = [], tiny_encoder()
    monkeypatch.setattr(
        encoders, "load", lambda name, weights, folder: asked.append((name, weights, folder)) or encoder
    )
    sizes = {"regions": SPEC.regions, "channels": SPEC.channels}
    config = BahdanauConfig(len(made.tokenizer), **sizes, embedding=4, units=5, attention=3)
    folder, _ = finished(made)
    model = models.build(BahdanauDecoder, config)
    model.save_weights(folder / "model.weights.h5")
    settings = edit(folder, encoder=encoder.identity)
    edit(folder, model=settings["model"] | sizes)
    return folder, encoder, asked


def test_photos_are_captioned_with_nothing_but_the_bundle_and_the_encoder(made, with_photos):
    folder, encoder, asked = with_photos
    loaded, files = bundle.load(folder), [record.file for record in made.dataset.records[:2]]
    captions = loaded.decode(encode_files(files, encoder), 3)
    assert loaded.caption(files) == [made.tokenizer.decode(caption.tokens) for caption in captions]
    assert [loaded.caption(files[0])] == loaded.caption(files)[:1]  # one in, one out
    assert asked == [("tiny", "random", None)]  # None: nothing is written


def test_one_picture_gives_one_caption_and_several_a_list(made, with_photos):
    folder, _, _ = with_photos
    loaded, files = bundle.load(folder), sorted(record.file for record in made.dataset.records)[:3]
    expected = [loaded.caption(str(file)) for file in files]
    assert all(isinstance(caption, str) for caption in expected)
    arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    for one in (Image.open(files[0]), arrays[0], files[0].read_bytes(), files[0].open("rb")):
        assert loaded.caption(one) == expected[0]
    for several in (files, tuple(files), iter(files), np.stack(arrays), [Image.open(file) for file in files], arrays):
        assert loaded.caption(several) == expected
    assert loaded.caption(files[:1]) == expected[:1] and loaded.caption([]) == loaded.caption(iter(())) == []
    for wrong in (None, 5, {"a.jpg": 1}):
        with pytest.raises(TypeError, match="Accepted: a path"):
            loaded.caption(wrong)
    with pytest.raises(ImageError, match=r"Picture 2 is an array \(7,\)"):
        loaded.caption([arrays[0], np.zeros(7)])
    with pytest.raises(ImageError, match=r"no-such\.jpg"):
        loaded.caption("no-such.jpg")


def test_a_folder_is_captioned_in_the_order_of_its_names(made, with_photos):
    folder, _, _ = with_photos
    loaded, photos = bundle.load(folder), made.dataset.records[0].file.parent
    assert loaded.caption(photos) == loaded.caption(sorted(photos.glob("*.*")))


def test_of_a_generator_only_some_pictures_are_in_memory(made, with_photos, monkeypatch):
    folder, _, _ = with_photos
    loaded, file, asked, decoded = bundle.load(folder), made.dataset.records[0].file, [], []
    object.__setattr__(
        loaded,
        "decode",
        lambda features, _: decoded.append(len(asked)) or [decoding.Caption([], 0, 0, True, None)] * len(features),
    )
    assert len(loaded.caption(asked.append(n) or file for n in range(200))) == 200
    assert decoded[0] <= 64 and len(decoded) == 13


def test_a_photo_has_the_caption_of_the_evaluation(made, with_photos, tmp_path):
    """Whose features were made in filled batches of 16, and kept."""
    folder, encoder, _ = with_photos
    loaded, records = bundle.load(folder), made.dataset.records
    stored = extract(records, encoder, tmp_path / "tiny-features").rows(records)
    told = [made.tokenizer.decode(caption.tokens) for caption in loaded.decode(stored)]
    assert [loaded.caption(record.file) for record in records] == told
    assert loaded.caption([record.file for record in records]) == told


def test_one_photo_per_call_is_compiled_once(made, with_photos, monkeypatch):
    folder, _, _ = with_photos
    loaded, files, traces = bundle.load(folder), [record.file for record in made.dataset.records], []
    for name in ("step", "initial_state"):
        function = getattr(loaded.model, name)
        monkeypatch.setattr(loaded.model, name, lambda *a, f=function, n=name, **k: traces.append(n) or f(*a, **k))
    for pictures, width in ((files[0], 3), (files[1], 3), (files[:3], 3), (files[2], 3), (files, 5), (files[3], 1)):
        loaded.caption(pictures, beam_width=width)
    assert traces.count("initial_state") == 1 and traces.count("step") <= 2


def test_an_encoder_of_other_weights_is_refused(with_photos):
    folder, encoder, _ = with_photos
    edit(folder, encoder=encoder.identity | {"weights_hash": "f" * 16})
    with pytest.raises(BundleError, match=r"another encoder: weights_hash was 'ffff.*CAPTIONING_WEIGHTS"):
        bundle.load(folder).caption("photo.jpg")


@pytest.fixture
def moved(made, with_photos, tmp_path, monkeypatch):
    """A bundle whose encoder weights lay in a folder that is gone; they are in `now`, others in `wrong`."""
    monkeypatch.undo()
    monkeypatch.setitem(encoders.SPECS, "tiny", SPEC)
    for variable in ("CAPTIONING_DATASET", "CAPTIONING_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    folder, encoder, _ = with_photos
    for place, one in (("now", encoder), ("wrong", tiny_encoder(seed=5))):
        (tmp_path / place).mkdir()
        one._model.save_weights(tmp_path / place / SPEC.file)
    return folder, encoder


@pytest.mark.parametrize("trained_with", ["files", "imagenet"])
def test_the_weights_are_taken_from_where_the_setting_says_and_checked_by_hash(
    moved, made, tmp_path, monkeypatch, trained_with
):
    folder, encoder = moved
    edit(folder, encoder=encoder.identity | {"weights": trained_with}, weights_folder="/the/old/place")
    monkeypatch.setenv("CAPTIONING_DATASET", "coco2014")
    monkeypatch.setenv("CAPTIONING_WEIGHTS", str(tmp_path / "now"))
    loaded = bundle.load(folder)
    assert loaded.encoder.weights_hash == encoder.weights_hash and loaded.caption(made.dataset.records[0].file)
    monkeypatch.setenv("CAPTIONING_WEIGHTS", str(tmp_path / "wrong"))
    with pytest.raises(BundleError, match=r"another encoder: weights_hash was .* Set CAPTIONING_WEIGHTS to"):
        bundle.load(folder).caption("photo.jpg")


def test_weights_that_are_gone_name_the_setting_to_set(moved, tmp_path):
    """No setting names that place, so none is blamed."""
    folder, encoder = moved
    edit(folder, encoder=encoder.identity | {"weights": "files"}, weights_folder=str(tmp_path / "now"))
    assert bundle.load(folder).encoder.weights_hash == encoder.weights_hash
    edit(folder, weights_folder="/the/old/place")
    with pytest.raises(BundleError, match=r"in /the/old/place, which are no longer there: set CAPTIONING_WEIGHTS"):
        bundle.load(folder).caption("photo.jpg")


def test_a_foreign_bundle_cannot_make_a_file_anywhere(with_photos, tmp_path):
    folder, _, _ = with_photos
    edit(folder, random_folder="../../../elsewhere", weights_folder="../../../elsewhere")
    before = everything_in(tmp_path)
    assert bundle.load(folder).encoder
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("kind", ["bahdanau", "numpy_rnn"])
def test_many_pictures_are_decoded_as_one_by_one(tmp_path, kind):
    """More of them than go into one beam search."""
    made = made_in(tmp_path, pictures=70)
    loaded = bundle.load(finished(made, kind)[0])
    features = made.store.rows(made.dataset.records)
    together = [caption.tokens for caption in loaded.decode(features, 2, max_length=4)]
    assert together == [loaded.decode(row[None], 2, max_length=4)[0].tokens for row in features]


def test_captions_may_be_as_long_as_those_trained_on(made):
    folder, model = finished(made, "numpy_rnn", batches={"max_words": 50})
    model.parameters["output_bias"][END] = -99
    model.save(folder / "model.npz")
    loaded, features = bundle.load(folder), made.store.rows(made.dataset.records[:1])
    assert len(loaded.decode(features, 1)[0].tokens) == 50
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


@dataclass(frozen=True)
class LongerConfig(BahdanauConfig):
    """Settings of its own."""

    extra: int = 3


class Extra(BahdanauDecoder):
    """A layer more than its base, which the base's file must not be taken for."""

    config_class = LongerConfig

    def __init__(self, config):
        super().__init__(config)
        self.more = captioning.quiet.keras.layers.Dense(config.vocabulary, name="more")

    def _logits(self, words, seen, training=False):
        logits = super()._logits(words, seen, training)
        return logits + self.more(logits)


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


def test_a_file_with_a_layer_too_many_is_refused(made):
    """Keras would overlook it."""
    folder, _ = finished(made)
    with h5py.File(folder / "model.weights.h5", "a") as file:
        file["layers/dense_9/vars/0"] = np.zeros((3, 3))
    with pytest.raises(BundleError, match=r"arrays.*does not fit|does not fit.*arrays"):
        bundle.load(folder)


def test_a_subclass_with_settings_and_a_layer_of_its_own(made):
    config = LongerConfig(len(made.tokenizer), 4, 6, embedding=4, units=5, attention=3, extra=4)
    model = models.build(Extra, config)
    assert models.config_from(Extra, json.loads(json.dumps(config.__dict__))) == config
    base = models.build(BahdanauDecoder, BahdanauConfig(len(made.tokenizer), 4, 6, embedding=4, units=5, attention=3))
    assert len(model.weights) == len(base.weights) + 2


# Mismatches


def test_a_tokenizer_that_does_not_fit_the_weights_is_refused(made):
    folder, _ = finished(made)
    words = list(made.tokenizer.vocabulary)
    Tokenizer(words[::-1]).save(folder / "tokenizer.json")  # as many words, in another order
    with pytest.raises(BundleError, match=r"tokenizer\.json.*not the tokenizer"):
        bundle.load(folder)


def test_weights_of_other_sizes_are_refused(made):
    folder, _ = finished(made)
    settings = edit(folder)
    edit(folder, model=settings["model"] | {"units": 9})
    with pytest.raises(BundleError, match="does not fit"):
        bundle.load(folder)


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
    with pytest.raises(FileNotFoundError, match=r"my-model is no trained bundle.*04 to 08"):
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


def test_longer_captions_than_the_state_has_room_for_are_an_error_in_the_step(made):
    config = BiLSTMDecoder.config_class(len(made.tokenizer), 4, 6, embedding=4, units=5, attention=3, longest=3)
    initial_state, step = models.build(BiLSTMDecoder, config).compile_step()
    state = initial_state(made.store.rows(made.dataset.records[:1]))
    for _ in range(3):
        state = step(np.array([4]), state).state
    with pytest.raises(Exception, match="3"):
        step(np.array([4]), state)


def test_a_setting_error_of_the_environment_is_not_swallowed(with_photos, monkeypatch):
    folder, encoder, _ = with_photos
    encoder.weights = "files"
    edit(folder, encoder=encoder.identity, weights_folder="/the/old/place")
    monkeypatch.setenv("CAPTIONING_WEIGHTS", "/no/such/folder")
    with pytest.raises(SettingError, match="CAPTIONING_WEIGHTS"):
        bundle.load(folder).encoder  # noqa: B018


def test_random_weights_ask_for_no_setting(with_photos, monkeypatch):
    folder, encoder, _ = with_photos
    monkeypatch.setenv("CAPTIONING_WEIGHTS", "/no/such/folder")
    assert bundle.load(folder).encoder is encoder


def test_start_is_where_all_begins(made):
    assert start(made).name == "bahdanau-mobilenet"
