"""Packed models: the same captions wherever they are, from files and from addresses."""

import hashlib
import json
import os
import socket
import sys

import numpy as np
import pytest

from captioning import bundle, encoders, models
from captioning.bundle import BundleError
from captioning.serving.pack import pack
from tests.bundles import everything_in, finished, made_in, random_state
from tests.packed_models import changed, edited, members_of
from tests.server import Fault
from tests.small_models import BY_KIND, build, features, tokens
from tests.tiny_encoder import SPEC


def photos_of(made):
    return [record.file for record in made.dataset.records[:3]]


# The same captions


@pytest.mark.parametrize(
    ("kind", "half"), [("gru", True), ("bahdanau", False), ("numpy_rnn", False), ("numpy_lstm", True)]
)
def test_a_packed_model_decodes_like_the_folder_it_was_made_of(tmp_path, monkeypatch, kind, half):
    monkeypatch.setattr("captioning.serving.pack.SMALL", 0)
    made = made_in(tmp_path)
    folder, _ = finished(made, kind)
    loaded = bundle.load(pack(folder, tmp_path / "model.zip", half=half))
    rows = made.store.rows(made.dataset.records)
    expected = bundle.load(folder).decode(rows, 2, max_length=4)
    captions = loaded.decode(rows, 2, max_length=4)
    np.testing.assert_allclose(
        [c.log_probability for c in captions], [c.log_probability for c in expected], rtol=1e-3 if half else 1e-6
    )
    assert half or [c.tokens for c in captions] == [c.tokens for c in expected]
    assert (loaded.name, loaded.kind, loaded.tokenizer) == (folder.name, kind, made.tokenizer)


@BY_KIND
def test_weights_are_set_as_a_file_sets_them(config):
    """Mean and variance of the features, too, which Keras takes over only when it reads a file."""
    model, inputs = build(config), {"features": features(), "tokens": tokens()}
    model.scale_features(np.arange(6) - 2.0, np.arange(6) + 0.5)
    expected, weights = model(inputs), model.get_weights()
    model.set_weights([np.zeros_like(array) for array in weights])
    model.scale_features(np.ones(6), np.ones(6))
    models.set_weights(model, weights)
    np.testing.assert_array_equal(model(inputs), expected)


def test_with_its_encoder_it_needs_no_network_no_home_and_no_folder(kept, tmp_path, monkeypatch):
    made, folder, content = kept
    expected = bundle.load(folder).caption(photos_of(made), n=2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.zip").write_bytes(content)
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("HOME", "KERAS_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(encoders, "load", None)
    loaded = bundle.load("other.zip")
    assert loaded.caption(photos_of(made), n=2) == expected
    assert loaded.encoder.identity == bundle.load(folder).settings["encoder"]


def test_an_encoder_in_float16_is_nearly_the_same(kept, tmp_path, monkeypatch):
    monkeypatch.setattr("captioning.serving.pack.SMALL", 0)
    _, folder, content = kept
    packed_half = pack(folder, tmp_path / "half.zip", half=True, encoder=True)
    assert packed_half.stat().st_size < len(content)
    (tmp_path / "full.zip").write_bytes(content)
    pixels = np.random.default_rng(0).integers(0, 256, (2, SPEC.size, SPEC.size, 3), np.uint8)
    half, full = (bundle.load(tmp_path / name).encoder for name in ("half.zip", "full.zip"))
    np.testing.assert_allclose(half(pixels), full(pixels), atol=0.01)
    assert half.weights_hash != full.weights_hash


def test_without_its_encoder_that_is_found_as_for_a_folder(kept, tmp_path):
    made, folder, _ = kept
    loaded = bundle.load(pack(folder, tmp_path / "model.zip"))
    assert loaded.caption(photos_of(made)) == bundle.load(folder).caption(photos_of(made))


def test_weights_from_a_folder_that_did_not_travel_name_the_setting(kept, tmp_path, content):
    identity = json.loads(members_of(content)["settings.json"])["encoder"] | {"weights": "files"}
    settings = edited(encoder=identity, weights_folder=str(tmp_path))  # as a foreign zip may have it
    (tmp_path / "m.zip").write_bytes(changed(content, settings_json=settings, encoder_npz=None))
    encoders.load(SPEC.name, "random", None)._model.save_weights(tmp_path / SPEC.file)
    with pytest.raises(BundleError, match="encoder weights in a folder, which are no longer there: set CAPTIONING_WEI"):
        bundle.load(tmp_path / "m.zip").caption(photos_of(kept[0])[0])


def test_loading_writes_nothing_and_touches_no_random_state(kept, tmp_path, monkeypatch):
    written, watching = [], [True]

    def note(event, arguments):
        if watching and event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(arguments[0])

    made, _, content = kept
    (tmp_path / "model.zip").write_bytes(content)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = random_state()
    sys.addaudithook(note)
    try:
        bundle.load(tmp_path / "model.zip").caption(photos_of(made)[0])
    finally:
        watching.clear()
    assert random_state() == before
    assert [file for file in written if file != os.devnull] == []


# Addresses


@pytest.fixture
def server(server, content, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.files["/model.zip"] = content
    return server


def test_an_address_is_loaded_and_its_checksum_told(kept, server, tmp_path, capsys, monkeypatch):
    made, _, content = kept
    monkeypatch.chdir(tmp_path)
    checksum = hashlib.sha256(content).hexdigest()
    server.faults["/moved.zip"] = [Fault(status=302, headers={"Location": "/model.zip"})]
    for url in (server.url("/model.zip"), server.url("/moved.zip")):
        loaded = bundle.load(url, sha256=checksum.upper(), allow_private=True)
        assert f"{url}: sha256 {checksum}" in capsys.readouterr().err
        assert loaded.decode(made.store.rows(made.dataset.records[:1]).repeat(4, axis=1), 1) and loaded.encoder
    assert everything_in(tmp_path) == {}


def test_another_checksum_is_refused_of_addresses_and_of_files(server, content, tmp_path):
    (tmp_path / "model.zip").write_bytes(content)
    for place in (server.url("/model.zip"), tmp_path / "model.zip"):
        with pytest.raises(
            BundleError, match=f"its sha256 is {hashlib.sha256(content).hexdigest()}, not 0000"
        ) as error:
            bundle.load(place, sha256="0000", allow_private=True)
        assert str(place) in str(error.value)
    with pytest.raises(BundleError, match="only a packed model has a checksum"):
        bundle.load(tmp_path, sha256="0000")


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (Fault(status=404), "HTTP 404"),
        (Fault(headers={"Content-Type": "text/html"}), "web page"),
        (Fault(change=b"not a zip"), "is not a zip file"),
        (Fault(headers={"Content-Length": str(1 << 40)}), "more than 1,074 MB"),
    ],
)
def test_what_an_address_may_give_instead_of_a_model(server, fault, match):
    server.always["/model.zip"] = fault
    with pytest.raises(BundleError, match=match) as error:
        bundle.load(server.url("/model.zip"), allow_private=True)
    assert server.url("/model.zip") in str(error.value) and "\n" not in str(error.value)


def test_it_comes_from_public_hosts_unless_others_are_permitted_and_passwords_are_not_told(server, capsys):
    with pytest.raises(BundleError, match="private network: permitted with --allow-private"):
        bundle.load(server.url("/model.zip"))
    assert server.connections == 0
    bundle.load(server.url("/model.zip").replace("//", "//me:secret@"), allow_private=True)
    assert "sha256" in (told := capsys.readouterr().err) and "secret" not in told


@pytest.mark.parametrize("address", ["file:///tmp/model.zip", "ftp://host.example/model.zip"])
def test_other_kinds_of_addresses_are_refused(address):
    with pytest.raises(BundleError, match=f"{address}.*http or https"):
        bundle.load(address)
