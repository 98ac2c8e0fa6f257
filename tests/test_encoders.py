"""The frozen CNNs: the right layer, input and weights, and no silent change of any of them."""

import dataclasses
import pickle

import keras
import numpy as np
import pytest
from tiny_encoder import CHANNELS, REGIONS, SIZE, SPEC, build, preprocess, tiny_encoder

from captioning import encoders
from captioning.features import folder_of
from captioning.settings import ENCODERS, Project, SettingError
from tests.originals import REAL, needs_real


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(encoders.SPECS, "tiny", SPEC)


@pytest.fixture
def pixels():
    return np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def cheap_weights(monkeypatch):
    """Let large CNNs start from zeros: drawing 138 million numbers takes longer than the test."""
    zeros = lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)  # noqa: E731
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", zeros)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_another_precision_is_another_encoder(tiny, pixels, monkeypatch, tmp_path, precision):
    plain = encoders.load("tiny", "random", tmp_path)
    monkeypatch.setenv("CAPTIONING_PRECISION", precision)
    fast = encoders.load("tiny", "random", tmp_path)
    assert fast.identity == plain.identity | {"precision": precision}
    expected, found = plain.run(pixels), fast.run(pixels)
    assert found.dtype == np.float32 and 0 < np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    project = Project("folder", root=str(tmp_path), encoder="mobilenet", home=tmp_path)
    assert folder_of(project, "mobilenet").name.endswith(f"-{precision}")
    again = encoders.from_arrays("tiny", fast.arrays(), "random", precision)
    for one in (again, pickle.loads(pickle.dumps(fast))):
        np.testing.assert_array_equal(one.run(pixels), found)
        np.testing.assert_array_equal(one.in_float32().run(pixels), expected)


def test_every_setting_names_an_encoder():
    assert list(encoders.SPECS) == list(ENCODERS)


@pytest.mark.parametrize("name", ENCODERS)
def test_keras_gives_what_is_written_down(name, cheap_weights, monkeypatch):
    """The weights' name is the one under which Keras asks for them; the layer is the last before any class."""
    spec, asked = encoders.spec_of(name), []
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda fname, *_, **__: asked.append(fname))
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)
    options = {name: value for name, value in spec.options.items() if name != "include_preprocessing"}
    model = spec.builder(weights="imagenet", input_shape=(spec.size, spec.size, 3), **options)
    shape, last = model.output.shape, model.layers[-1]
    if spec.options["include_top"]:
        shape, last = model.get_layer(spec.layer).output.shape, model.layers[-2]
    assert asked == [spec.file]
    unnamed = model.layers[-2].name.removesuffix("bn") + str(last.get_config().get("activation"))
    assert spec.layer == (last.name if not last.name.startswith("activation") else unnamed)
    assert shape[-1] == spec.channels and np.prod(shape[1:]) == spec.regions * spec.channels
    if any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers):  # it may be done in the CNN, or before
        first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
        pixels = np.random.default_rng(1).integers(0, 256, (1, spec.size, spec.size, 3)).astype("float32")
        inside = keras.Model(model.input, first.input)(pixels)
        assert spec.options["include_preprocessing"] is False
        np.testing.assert_allclose(spec.preprocess(pixels), inside, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_preprocessing_is_the_one_that_is_named(name):
    spec = encoders.spec_of(name)
    seen = keras.ops.convert_to_numpy(spec.preprocess(np.float32([[[[0, 100, 255]]]])))[0, 0, 0]
    expected = {
        "BGR, mean colour subtracted": [255 - 103.939, 100 - 116.779, 0 - 123.68],
        "RGB in [-1, 1]": [-1, 100 / 127.5 - 1, 1],
        "RGB, mean subtracted, divided by the deviation": [-0.485 / 0.229, (100 / 255 - 0.456) / 0.224, 0.594 / 0.225],
    }[spec.preprocessing]
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_an_unknown_encoder_lists_the_known_ones(tmp_path):
    for ask in (encoders.spec_of, lambda name: encoders.load(name, "random", tmp_path)):
        with pytest.raises(SettingError, match="Unknown encoder 'vgg19'; known: vgg16, inception_v3, resnet50, mob"):
            ask("vgg19")


def test_it_is_the_cnn_up_to_the_layer(pixels, tmp_path, monkeypatch):
    with_top = dataclasses.replace(SPEC, options={"include_top": True})
    monkeypatch.setitem(encoders.SPECS, "tiny", with_top)
    whole = build(None, (SIZE, SIZE, 3), include_top=True)
    whole.save_weights(tmp_path / SPEC.file)
    encoder = encoders.load("tiny", str(tmp_path), tmp_path)
    inner = keras.Model(whole.input, whole.get_layer("last").output)
    expected = keras.ops.convert_to_numpy(inner(preprocess(pixels.astype(np.float32)))).reshape(3, REGIONS, CHANNELS)
    features = keras.ops.convert_to_numpy(encoder(pixels))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_the_regions_run_row_by_row(pixels):
    """What changes in the lower left corner of the picture changes region 12 of 4 x 4."""
    changed = pixels.copy()
    changed[:, 26:, :6] = 255 - changed[:, 26:, :6]
    encoder = tiny_encoder(bias=5)
    difference = np.abs(keras.ops.convert_to_numpy(encoder(changed)) - keras.ops.convert_to_numpy(encoder(pixels)))
    assert difference.mean(axis=(0, 2)).argmax() == 12


def test_random_weights_do_not_depend_on_the_callers_seed(tiny, tmp_path):
    hashes = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        hashes.append(encoders.load("tiny", "random", tmp_path / str(seed)).weights_hash)
    assert hashes[0] == hashes[1]


def test_random_weights_are_not_all_alike(tiny, tmp_path):
    first, second = (
        layer.get_weights()[0] for layer in encoders.load("tiny", "random", tmp_path)._model.layers if layer.weights
    )
    assert first.std() > 0.05 and second.std() > 0.05
    assert abs(np.corrcoef(first.ravel()[:100], second.ravel()[:100])[0, 1]) < 0.5


def test_random_weights_are_kept_for_ever(tiny, pixels, tmp_path, monkeypatch):
    drawn = encoders.load("tiny", "random", tmp_path)
    monkeypatch.setattr(encoders, "SEED", 7)
    kept = encoders.load("tiny", "random", tmp_path)
    assert kept.weights_hash == drawn.weights_hash
    assert np.array_equal(kept(pixels), drawn(pixels))
    assert encoders.load("tiny", "random", tmp_path / "anew").weights_hash != drawn.weights_hash
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["tiny-random.weights.h5"]


# Side of the square and regions where the whole CNN takes seconds; the depth and the kernels are the same.
SMALLER = {"vgg16": (32, 1), "inception_v3": (75, 1), "resnet50": (64, 4)}


@pytest.mark.parametrize("name", ENCODERS)
def test_random_weights_of_every_encoder_say_something(name, monkeypatch):
    spec = encoders.SPECS[name]
    size, regions = SMALLER.get(name, (spec.size, spec.regions))
    spec = dataclasses.replace(spec, size=size, regions=regions)
    monkeypatch.setitem(encoders.SPECS, name, spec)
    encoder = encoders.load(name, "random", None)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 3), np.uint8)
    pixels = pixels.repeat(-(-size // 4), axis=1).repeat(-(-size // 4), axis=2)[:, :size, :size]
    features = keras.ops.convert_to_numpy(encoder(pixels))
    kept = features.astype(np.float16)
    assert 1e-3 < features.max() < 1e3 and (kept != 0).mean() > 0.3
    assert np.abs(features[0] - features[1]).max() > 0.1 * features.max()


def test_the_draws_of_convolutions_stay(tmp_path, monkeypatch):
    """Features on disk and trained bundles are of these very numbers."""
    spec = dataclasses.replace(encoders.SPECS["mobilenet"], size=32, regions=1)
    monkeypatch.setitem(encoders.SPECS, "mobilenet", spec)
    layers = encoders.load("mobilenet", "random", None)._model
    first = keras.initializers.GlorotUniform(seed=encoders.SEED)((3, 3, 3, 24))
    np.testing.assert_array_equal(layers.get_layer("conv1").get_weights()[0], first)
    depthwise = layers.get_layer("conv_dw_2").get_weights()[0]
    assert depthwise.shape == (3, 3, 48, 1) and 0.6 < depthwise.std() < 0.73  # variance 4 / 9


def test_random_weights_may_be_drawn_without_a_folder(tiny, pixels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = encoders.load("tiny", "random", None)
    assert list(tmp_path.iterdir()) == []
    assert drawn.weights_hash == encoders.load("tiny", "random", tmp_path / "kept").weights_hash


def test_weights_of_an_earlier_draw_are_not_taken(tmp_path, monkeypatch):
    """Files with depthwise kernels that let the signal vanish have another name."""
    spec = dataclasses.replace(encoders.SPECS["mobilenet"], size=32, regions=1)
    monkeypatch.setitem(encoders.SPECS, "mobilenet", spec)
    (tmp_path / "mobilenet-random.weights.h5").write_bytes(b"of an earlier draw")
    encoders.load("mobilenet", "random", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mobilenet-random-2.weights.h5", "mobilenet-random.weights.h5",
    ]  # fmt: skip


def test_a_kill_while_random_weights_are_written_leaves_nothing(tiny, tmp_path, monkeypatch):
    def killed(model, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(keras.Model, "save_weights", killed)
        encoders.load("tiny", "random", tmp_path)
    assert list(tmp_path.iterdir()) == []
    encoders.load("tiny", "random", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_damaged_weights_are_named(content, tiny, tmp_path):
    for weights, name, way_out in (
        ("random", "tiny-random.weights.h5", "Delete it: it is drawn again"),
        (str(tmp_path), SPEC.file, "Put the weights of tiny there"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SettingError, match=rf"{name} cannot be read as weights .*{way_out}"):
            encoders.load("tiny", weights, tmp_path)


def test_a_graph_gives_what_a_call_gives(pixels):
    encoder = tiny_encoder()
    for count in (1, 3):
        np.testing.assert_allclose(encoder.run(pixels[:count]), encoder(pixels[:count]), rtol=1e-5, atol=1e-6)


def test_weights_from_a_folder(tiny, pixels, tmp_path):
    model = tiny_encoder(seed=3)
    model._model.save_weights(tmp_path / SPEC.file)
    encoder = encoders.load("tiny", str(tmp_path), tmp_path / "random")
    assert encoder.weights == "files" and encoder.weights_hash == model.weights_hash
    np.testing.assert_allclose(encoder(pixels), model(pixels), rtol=1e-6)


def test_a_folder_without_the_weights_is_an_error(tiny, tmp_path):
    with pytest.raises(SettingError, match=r"tiny_notop\.weights\.h5 is missing: CAPTIONING_WEIGHTS .* for tiny"):
        encoders.load("tiny", str(tmp_path), tmp_path)


def test_no_network_names_the_ways_out(tiny, tmp_path, monkeypatch):
    """And takes none of them by itself."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(SettingError) as caught:
        encoders.load("tiny", "imagenet", tmp_path)
    message = str(caught.value)
    for part in ("ImageNet weights of tiny", "name resolution", SPEC.file, str(tmp_path / "models"),
                 "CAPTIONING_WEIGHTS;", "CAPTIONING_ENCODER=mobilenet", "CAPTIONING_WEIGHTS=random"):  # fmt: skip
        assert part in message
    assert list(tmp_path.iterdir()) == []


def test_the_identity_tells_everything_that_decides_the_features():
    encoder = tiny_encoder()
    assert encoder.identity == {
        "encoder": "tiny", "layer": "last", "weights": "random", "weights_hash": encoder.weights_hash,
        "image_size": SIZE, "resize": "squeezed to a square, Pillow bilinear",
        "preprocessing": "RGB in [-1, 1]", "regions": REGIONS, "channels": CHANNELS,
    }  # fmt: skip


def test_the_hash_tells_weights_apart():
    assert tiny_encoder().weights_hash == tiny_encoder().weights_hash != tiny_encoder(seed=1).weights_hash
    nearly = tiny_encoder()
    first, *rest = nearly._model.get_weights()
    first.flat[-1] = np.nextafter(first.flat[-1], np.float32(9))
    nearly._model.set_weights([first, *rest])
    assert encoders.Encoder(SPEC, nearly._model, "random").weights_hash != nearly.weights_hash


@needs_real
def test_the_real_mobilenet(tmp_path):
    encoder = encoders.load("mobilenet", str(REAL / "keras" / "models"), tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    features = keras.ops.convert_to_numpy(encoder(pixels))
    assert features.shape == (2, 49, 768) and features.max() == 6  # ReLU6
    other = dataclasses.replace(encoder.spec, preprocess=lambda pixels: pixels / 255)
    wrong = keras.ops.convert_to_numpy(encoders.Encoder(other, encoder._model, "files")(pixels))
    assert np.abs(wrong - features).mean() > 0.01
