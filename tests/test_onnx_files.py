"""ONNX files caption as Python does; weights in fewer bits and in several files change nothing that matters."""

import sys

import keras
import numpy as np
import pytest

from captioning import decoding
from captioning.encoders import Encoder
from captioning.features import encode_files
from captioning.files import read_json
from captioning.serving import onnx_files, onnx_weights
from captioning.tokenizer import SPECIAL, START
from tests.exported import SIZE, WORDS, Session, captioner, differing, numbers, photos
from tests.tiny_encoder import CHANNELS

onnx = pytest.importorskip("onnx", reason='pip install "captioning[export]"')
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A model with attention, a picture of several regions and a nested state with whole numbers, written once."""
    folder = tmp_path_factory.mktemp("onnx") / "new"
    bundle = captioner("transformer")
    return bundle, folder, onnx_files.write(bundle, folder)


def test_greedy_and_beam_captions_equal_those_of_python(written):
    bundle, folder, _ = written
    assert differing(bundle, folder, photos()) == []
    session, features = Session(folder), encode_files(photos(), bundle.encoder)
    found = decoding.beam_search(session.step, session.start(session.encode(photos())), 3, max_length=9)
    expected = bundle.decode(features, 3, max_length=9)
    assert [caption.tokens for caption in found] == [caption.tokens for caption in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1e-4)
        np.testing.assert_allclose(ours.attention, theirs.attention, atol=1e-5)


@pytest.fixture
def converted(written, monkeypatch):
    """What is written in the test is not converted again."""
    bundle, folder, description = written
    monkeypatch.setattr(
        onnx_files, "_convert", lambda graphs: {n: onnx.load(folder / f"{n}.onnx") for n in description["graphs"]}
    )
    return bundle


def test_features_are_rounded_as_the_store_does(written):
    bundle, folder, _ = written
    features = Session(folder).encode(photos())
    assert features.dtype == np.float32 and np.array_equal(features, features.astype(np.float16))
    np.testing.assert_allclose(features, encode_files(photos(), bundle.encoder), rtol=2**-10)


def test_a_numpy_model_is_exported_as_well_and_a_cnn_that_adds_a_number(tmp_path):
    """As MobileNetV3 does, behind a convolution: tf2onnx fails there."""
    bundle = captioner("numpy_lstm")
    cnn = bundle.encoder._model
    mixed = keras.layers.Conv2D(CHANNELS, 1, use_bias=False, kernel_initializer=keras.initializers.Orthogonal(seed=1))
    cnn = keras.Model(cnn.input, keras.layers.ReLU(6.0)(mixed(cnn.output) + 3.0))
    bundle.__dict__["encoder"] = Encoder(bundle.encoder.spec, cnn, "random")
    onnx_files.write(bundle, tmp_path)
    assert differing(bundle, tmp_path, photos()) == []


def test_the_files_are_standard_and_described(written):
    _, folder, description = written
    assert read_json(folder / "model.json", "") == description
    assert sorted(path.name for path in folder.iterdir()) == ["encoder.onnx", "model.json", "start.onnx", "step.onnx"]
    for name, graph in description["graphs"].items():
        model = onnx.load(folder / f"{name}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert {entry.domain: entry.version for entry in model.opset_import}[""] == description["opset"]
        assert {node.domain for node in model.graph.node} == {""}  # no operation of anybody's own
        assert {entry.name for entry in model.graph.input} == set(graph["inputs"])
        assert {entry.name for entry in model.graph.output} == set(graph["outputs"])
        assert all(not entry.type.tensor_type.shape.dim[0].dim_value for entry in model.graph.input)
    assert description["words"] == [*SPECIAL, *WORDS] and description["image_size"] == SIZE
    assert description["special"] == {"pad": 0, "unk": 1, "start": 2, "end": 3}
    assert description["grid"] == [4, 4] and description["max_length"] == 30
    free = [token for token, word in enumerate(description["words"]) if word in (*SPECIAL, "a", "is")]
    assert description["decoding"] == {"beam_width": 3, "length_penalty": 0.7, "may_repeat": free}
    assert description["confidences"] == [-2.0, -1.0] and description["scores"] is None  # never evaluated


def test_the_description_is_enough_to_write_captions_as_people_do(written):
    bundle, _, description = written

    def written_down(tokens):
        text = ""
        for before, token in zip([None, *tokens], tokens, strict=False):
            close = before in description["open"] or token in description["close"]
            joined = before is None or close != ([before, token] in description["pairs"])
            text += ("" if joined else " ") + description["words"][token]
        return text

    for tokens in ([4, 6, 7, 8, 9, 10, 5], [4, 5, 6, 9, 10, 4, 11]):
        assert written_down(tokens) == bundle.tokenizer.decode(tokens)
    assert written_down([6, 7, 8]) == "dog's house"


def test_weights_in_16_bits_hardly_change_a_score(converted, tmp_path, monkeypatch):
    bundle = converted
    monkeypatch.setattr(onnx_weights, "SMALLEST", 8)
    onnx_files.write(bundle, tmp_path, "int16")
    for name in ("encoder", "step"):
        arrays = map(onnx.numpy_helper.to_array, onnx.load(tmp_path / f"{name}.onnx").graph.initializer)
        assert "int16" in {array.dtype.name for array in arrays}
    session = Session(tmp_path)
    features = encode_files(photos(), bundle.encoder).astype(np.float32)
    np.testing.assert_allclose(session.encode(photos()), features, rtol=2e-2, atol=2e-3)
    tokens = np.full(8, START, np.int32)
    logits = numbers(bundle.step(tokens, bundle.initial_state(features)).logits)
    error = np.abs(session.step(tokens, session.start(features)).logits - logits).max()
    assert 0 < error < 0.002


def test_numbers_are_rounded_by_half_a_step_of_their_slice_at_most():
    values = np.random.default_rng(0).normal(size=(3, 40, 5)).astype(np.float32) * np.geomspace(1, 1e4, 40)[:, None]
    values[:, 7] = 0
    whole, scale = onnx_weights.quantize(values.astype(np.float32))
    assert whole.dtype == "int16" and scale.shape == (1, 40, 1)  # the axis along which the sizes differ
    assert np.abs(whole).max() == 2**15 - 1
    assert (np.abs(whole * scale - values) <= scale * 0.501).all()


def test_large_weights_go_into_files_beside_and_old_ones_are_removed(converted, tmp_path, monkeypatch):
    bundle, usual = converted, onnx_weights.LARGEST
    monkeypatch.setattr(onnx_weights, "LARGEST", 90_000)
    description = onnx_files.write(bundle, tmp_path)
    data = description["graphs"]["step"]["data"]
    assert len(data) > 1 and not description["graphs"]["encoder"]["data"]
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 90_000
    assert differing(bundle, tmp_path, photos()) == []
    monkeypatch.setattr(onnx_weights, "LARGEST", usual)
    onnx_files.write(bundle, tmp_path)
    assert not list(tmp_path.glob("*.data")) and differing(bundle, tmp_path, photos()) == []


def test_what_cannot_be_done_is_said_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="precision is 'float8'; known: float32, int16"):
        onnx_files.write(captioner("gru"), tmp_path / "new", "float8")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[export\]'"):
        onnx_files.write(captioner("gru"), tmp_path / "new")
    assert not (tmp_path / "new").exists()
