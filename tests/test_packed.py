"""Packed models: the same captions wherever they are, and nothing that is not one is used, written or run."""

import hashlib
import io
import json
import os
import pickle
import random
import socket
import stat
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

from captioning import bundle, encoders, models
from captioning.bundle import BundleError, packed
from captioning.bundle.packed import MANIFEST
from captioning.provenance import digest
from captioning.serving.pack import pack
from tests.bundles import edit, everything_in, finished, made_in
from tests.packed_models import Run, bundle_in, changed, edited, members_of, with_arrays, zipped
from tests.server import Fault, Server
from tests.small_models import BY_KIND, build, features, tokens
from tests.tiny_encoder import SPEC


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The tiny encoder is one of those that are known."""
    monkeypatch.setitem(encoders.SPECS, SPEC.name, SPEC)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A bundle, and the bytes of it packed with its encoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(encoders.SPECS, SPEC.name, SPEC)
        home = tmp_path_factory.mktemp("made")
        made, folder, _ = bundle_in(home)
        return made, folder, pack(folder, home / "model.zip", encoder=True).read_bytes()


@pytest.fixture
def content(kept):
    return kept[2]


@pytest.fixture
def refuse(tmp_path):
    """A function that loads bytes as a file: it must be refused in one line that names the file."""

    def check(content, match, error=BundleError):
        file = tmp_path / "model.zip"
        file.write_bytes(content)
        before = everything_in(tmp_path)
        with pytest.raises(error, match=match) as caught:
            bundle.load(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)
        assert everything_in(tmp_path) == before
        return str(caught.value)

    return check


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
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    sys.addaudithook(note)
    try:
        bundle.load(tmp_path / "model.zip").caption(photos_of(made)[0])
    finally:
        watching.clear()
    assert (random.random(), np.random.random()) == expected
    assert [file for file in written if file != os.devnull] == []


# Addresses


@pytest.fixture
def server(content, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Server() as server:
        server.files["/model.zip"] = content
        yield server


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
        (Fault(drop=2000), "the connection failed"),
        (Fault(close=True), "the connection failed"),
        (Fault(headers={"Content-Type": "text/html"}), "web page"),
        (Fault(change=b""), "is not a zip file"),
        (Fault(change=b"not a zip"), "is not a zip file"),
        (Fault(status=302, headers={"Location": "file:///etc/passwd"}), "neither http nor https"),
        (Fault(headers={"Content-Length": str(1 << 40)}), "more than 1,074 MB"),
    ],
)
def test_what_an_address_may_give_instead_of_a_model(server, fault, match):
    server.always["/model.zip"] = fault
    with pytest.raises(BundleError, match=match) as error:
        bundle.load(server.url("/model.zip"), allow_private=True)
    assert server.url("/model.zip") in str(error.value) and "\n" not in str(error.value)


def test_a_stream_is_left_at_the_limit(server, monkeypatch):
    monkeypatch.setattr(packed, "LARGEST", 2_000_000)
    server.files["/model.zip"] = bytes(9_000_000)
    server.always["/model.zip"] = Fault(chunked=True)
    with pytest.raises(BundleError, match="more than 2 MB"):
        bundle.load(server.url("/model.zip"), allow_private=True)


def test_a_break_is_borne_once(server, kept):
    server.faults["/model.zip"] = [Fault(drop=2000)]
    assert bundle.load(server.url("/model.zip"), allow_private=True).name == kept[1].name


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


# What is no packed model


def info(name, **fields):
    entry = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("../escaped.json", "lands outside"),
        ("..\\escaped.json", "lands outside"),
        ("/etc/escaped.json", "lands outside"),
        ("C:/escaped.json", "lands outside"),
        ("Settings.JSON", "occurs twice"),
        (info("scores.json", external_attr=(stat.S_IFLNK | 0o777) << 16), "symbolic link"),
        ("run_me.py", "'run_me.py' is no part of a packed model"),
        ("sub/scores.json", "'sub/scores.json' is no part of a packed model"),
    ],
)
def test_entries_that_no_packed_model_has(content, refuse, name, match):
    refuse(zipped([*members_of(content).items(), (name, b"{}")]), match)


def test_two_members_of_one_name_are_refused(content, refuse):
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped([*members_of(content).items(), ("settings.json", b"{}")])
    refuse(twice, "occurs twice")


def test_a_member_that_needs_a_password_is_refused(content, refuse):
    directory = content.rindex(b"PK\x01\x02")
    refuse(content[: directory + 8] + b"\x01" + content[directory + 9 :], "password")


def test_a_bomb_is_refused_by_what_it_declares(content, refuse):
    refuse(zipped([*members_of(content).items(), ("scores.json", bytes(5_000_000))]), "bomb")


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(content, refuse):
    bomb = zipped([*members_of(content).items(), ("scores.json", bytes(50_000_000))])
    directory = bomb.rindex(b"PK\x01\x02")
    tracemalloc.start()
    try:
        refuse(bomb[: directory + 24] + (10).to_bytes(4, "little") + bomb[directory + 28 :], "CRC")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_more_than_the_limit_is_refused_before_it_is_read(content, refuse, monkeypatch):
    monkeypatch.setattr(packed, "LARGEST", len(content) - 1)
    refuse(content, f"more than the limit of {len(content) - 1:,}")
    monkeypatch.setattr(packed, "LARGEST", len(content))
    refuse(content, "unpacks to")
    monkeypatch.setattr(packed, "LARGEST", 1 << 30)
    monkeypatch.setattr(packed, "LARGEST_TEXT", 100)
    refuse(content, r"its member 'manifest\.json' has")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(content, refuse, share):
    refuse(content[: int(share * len(content))], "damaged or cut short")


def test_a_damaged_byte_is_noticed(content, refuse):
    middle = content.index(b"weights.npz") + 200
    refuse(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], "damaged")


def test_no_zip_and_a_zip_of_something_else(refuse):
    refuse(b"\xff\xd8\xff\xe0 a photo", "is not a zip file")
    refuse(zipped([("thesis.txt", b"...")]), "not a packed model: `python -m captioning pack` makes one")


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "model.zip").touch()
    monkeypatch.setattr("pathlib.Path.open", fail)
    with pytest.raises(BundleError, match=r"model\.zip cannot be read: Permission denied"):
        bundle.load(tmp_path / "model.zip")


def test_a_folder_with_weights_of_another_model_is_refused_in_one_line(kept, tmp_path):
    for other in ({"units": 9}, {"kind": "gru"}):
        (tmp_path / str(other)).mkdir()
        folder, _ = finished(made_in(tmp_path / str(other)), **other)
        settings = edit(kept[1])
        edit(folder, **{field: settings[field] for field in ("kind", "class", "model", "tokenizer")})
        with pytest.raises(BundleError, match=r"model\.weights\.h5 does not fit") as error:
            bundle.load(folder)
        assert "\n" not in str(error.value)


def test_what_is_no_bundle_at_all(tmp_path):
    for place in (tmp_path, tmp_path / "no-such.zip"):
        with pytest.raises(FileNotFoundError, match="is not a trained bundle"):
            bundle.load(place)


@pytest.mark.parametrize(
    ("manifest", "match"),
    [
        ({"format": 2}, r"newer version \(format 2, this one reads 1\): update"),
        ({"format": "1"}, r"manifest\.json is damaged"),
        ({"name": "../up"}, "could not be that of a folder"),
        ({"name": "two\nlines"}, "could not be that of a folder"),
        ({"members": ["settings.json"]}, r"manifest\.json is damaged"),
        ({"members": {"settings.json": "00"}}, "missing, or not in manifest"),
        (b"[]", r"manifest\.json is damaged"),
        (b"{", r"manifest\.json is damaged"),
        (b"[" * 100_000, r"manifest\.json is damaged"),
    ],
)
def test_manifests_that_are_refused(content, refuse, manifest, match):
    refuse(changed(content, manifest), match)


def test_a_newer_format_is_told_whatever_else_is_new(content, refuse):
    members = members_of(changed(content, {"format": 2}))
    refuse(zipped([*members.items(), ("new.onnx", b"")]), "newer version")


def test_members_that_the_manifest_does_not_vouch_for(content, refuse):
    told = json.loads(members_of(content)[MANIFEST])["members"]
    refuse(changed(content, {"members": told}, scores_json="{}"), r"scores\.json is missing, or not in manifest")
    refuse(changed(content, {"members": told}, tokenizer_json="{}"), r"tokenizer\.json is not what manifest\.json says")
    for name in packed.NEEDED:
        refuse(changed(content, **{name.replace(".", "_"): None}), f"{name} is missing")


# What does not fit together, although the manifest vouches for it


def test_settings_that_are_refused(content, refuse):
    settings = json.loads(members_of(content)["settings.json"])
    refuse(changed(content, settings_json="{"), r"settings\.json is damaged")
    refuse(changed(content, settings_json=edited(format=99)), r"settings\.json .*format is 99.*update")
    refuse(changed(content, settings_json=edited(**{"class": settings["class"] | {"code": "0"}})), "other code")
    for name, module in (("Loud", "__main__"), ("system", "os"), ("Decoder", "captioning.models.decoder")):
        other = settings["class"] | {"name": name, "module": module}
        refuse(changed(content, settings_json=edited(**{"class": other})), f"no decoder '{name}'")
    huge = settings["model"] | {"units": 1 << 30}
    refuse(changed(content, settings_json=edited(model=huge)), "too few numbers for sizes of 1073741824 and")


def test_weights_of_another_model_are_refused(kept, content, refuse, tmp_path):
    bigger = with_arrays(lambda arrays: {name: np.pad(array, 1) for name, array in arrays.items()})
    refuse(changed(content, weights_npz=bigger), r"weights\.npz does not fit .*settings\.json")
    fewer = with_arrays(lambda arrays: dict(list(arrays.items())[1:]))
    refuse(changed(content, weights_npz=fewer), r"weights\.npz does not fit")
    numpy = pack(finished(kept[0], "numpy_lstm")[0], tmp_path / "numpy.zip").read_bytes()
    refuse(changed(content, weights_npz=members_of(numpy)["weights.npz"]), r"weights\.npz does not fit")
    refuse(changed(numpy, weights_npz=members_of(content)["weights.npz"]), r"weights\.npz")
    settings = json.loads(members_of(numpy)["settings.json"])
    other = edited(model=settings["model"] | {"units": 9})
    refuse(changed(numpy, settings_json=other), "does not fit.*units was 9 and is now 5")


def test_a_tokenizer_of_another_model_is_refused(content, refuse):
    refuse(changed(content, tokenizer_json="{}"), r"tokenizer\.json is not a tokenizer file.*Fetch it again")
    words = json.loads(members_of(content)["tokenizer.json"])["vocabulary"][::-1]
    refuse(changed(content, tokenizer_json=edited(vocabulary=words)), "not the tokenizer")
    other = changed(
        content, tokenizer_json=edited(vocabulary=words[1:]), settings_json=edited(tokenizer=digest(words[1:]))
    )
    refuse(other, "not the tokenizer")


def test_nothing_is_unpickled(content, refuse):
    assert pickle.loads(pickle.dumps(Run())) is None and Run.ran  # it would
    Run.ran = False
    objects = with_arrays(lambda arrays: arrays | {"0000": np.array([Run()])})
    refuse(changed(content, weights_npz=objects), "no plain arrays")
    refuse(changed(content, weights_npz=lambda _: pickle.dumps(Run())), "damaged or cut short")
    assert not Run.ran


def test_an_array_that_claims_any_size_is_refused(content, refuse):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    refuse(changed(content, weights_npz=lambda _: zipped([("0000.npy", header.getvalue())])), "no plain arrays")
    open_end = header.getvalue().replace(b"}", b" ")
    refuse(changed(content, weights_npz=lambda _: zipped([("0000.npy", open_end)])), "no plain arrays")
    bomb = zipped([("0000.npy", bytes(5_000_000))])
    refuse(changed(content, weights_npz=lambda _: bomb), "bomb")


def test_an_encoder_that_does_not_fit_is_refused(content, tmp_path):
    fewer = with_arrays(lambda arrays: dict(list(arrays.items())[1:]))
    identity = json.loads(members_of(content)["settings.json"])["encoder"]
    turned = edited(encoder=identity | {"resize": "cropped"})
    unknown = edited(encoder=identity | {"encoder": "huge"})
    for change, match in (
        ({"encoder_npz": fewer}, r"encoder\.npz does not fit"),
        ({"encoder_npz": b"PK"}, r"encoder\.npz is not a zip file, or is damaged"),
        ({"settings_json": turned}, "another encoder than this version builds: resize was 'cropped'"),
        ({"settings_json": unknown}, "Unknown encoder 'huge'"),
    ):
        (tmp_path / "model.zip").write_bytes(changed(content, **change))
        with pytest.raises(BundleError, match=match) as error:
            bundle.load(tmp_path / "model.zip").encoder  # noqa: B018
        assert str(tmp_path / "model.zip") in str(error.value)
