"""Packing a bundle: one file, the same every time, whole or not there, and nothing of this machine in it."""

import io
import json

import numpy as np
import pytest

from captioning import bundle, encoders
from captioning.bundle import BundleError, Neighbors
from captioning.bundle.neighbors import file_of
from captioning.bundle.packed import MANIFEST, MEMBERS
from captioning.models.bahdanau import BahdanauDecoder
from captioning.serving import pack as packing
from captioning.serving.pack import pack
from tests.bundles import edit, everything_in, finished, made_in
from tests.packed_models import bundle_in, members_of
from tests.tiny_encoder import SPEC


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setitem(encoders.SPECS, SPEC.name, SPEC)
    return bundle_in(tmp_path)


@pytest.fixture
def numpy_bundle(tmp_path):
    (tmp_path / "made").mkdir()
    return finished(made_in(tmp_path / "made"), "numpy_rnn")[0]


def arrays_of(content):
    with np.load(io.BytesIO(members_of(content)["weights.npz"])) as file:
        return dict(file)


def test_what_is_in_it(made, tmp_path, capsys):
    things, folder = made
    (folder / "history.csv").write_text("epoch,val_CIDEr,seconds\n0,0.5,60\n")
    near = Neighbors.make(things.store, things.dataset.split("train"), things.dataset)
    near.write(file_of(folder.parent, SPEC.name, near.digest))
    rule = {"beam_width": 5, "k": 3, "mix": 0.0, "encoder": SPEC.name, "neighbors": near.digest}
    decoding = {"beam_width": 2, "length_penalty": 1, "consensus": rule}
    (folder / "scores.json").write_text(json.dumps({"images": 3, "CIDEr": 0.5, "decoding": decoding}))
    (folder / "decoded.json").write_text("{}")
    (folder / "last").mkdir()
    before = everything_in(folder)
    target = pack(folder, tmp_path / "new" / "model.zip", encoder=True, consensus=True)
    assert everything_in(folder) == before and [*target.parent.iterdir()] == [target]
    members = members_of(target.read_bytes())
    assert members.keys() == MEMBERS | {MANIFEST}
    for name in ("tokenizer.json", "scores.json", "history.csv"):
        assert members[name] == (folder / name).read_bytes()
    assert not any(str(place).encode() in content for content in members.values() for place in (tmp_path, folder))
    kept = json.loads((folder / "settings.json").read_text())
    assert json.loads(members["settings.json"]) == {name: kept[name] for name in kept if name != "weights_folder"}
    loaded = bundle.load(target)
    assert loaded.chosen["beam_width"] == 2 and loaded.neighbors.digest == near.digest
    told = capsys.readouterr().out
    assert f"{target}: {target.stat().st_size / 1e6:.1f} MB (0.0 MB of them for the consensus), sha256 " in told
    assert loaded.folder.checksum in told
    without = bundle.load(pack(folder, tmp_path / "without.zip"))
    with pytest.raises(BundleError, match=r"Pack it again with `python -m captioning pack --consensus`"):
        without.neighbors  # noqa: B018


def test_the_same_bundle_gives_the_same_bytes(made, tmp_path, monkeypatch):
    _, folder = made
    first = pack(folder, tmp_path / "a.zip", encoder=True).read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert pack(folder, tmp_path / "b.zip", encoder=True).read_bytes() == first
    assert pack(folder, tmp_path / "c.zip").read_bytes() != first


def test_half_is_for_matrices_that_float16_can_hold(numpy_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "SMALL", 12)
    model = bundle.load(numpy_bundle).model
    model.parameters["output_kernel"][:] = 1e5
    model.parameters["embedding"][:] *= 1e-6
    model.channel_deviation[:] = 1e-9
    model.save(numpy_bundle / "model.npz")
    half = arrays_of(pack(numpy_bundle, tmp_path / "half.zip", half=True).read_bytes())
    full = arrays_of(pack(numpy_bundle, tmp_path / "full.zip").read_bytes())
    halved = {name for name, array in half.items() if array.dtype == np.float16}
    assert halved == {f"parameters/{name}" for name in ("image_kernel", "kernel", "recurrent_kernel")}
    assert {name for name, array in full.items() if array.dtype == np.float16} == set()
    for name, array in bundle.load(tmp_path / "half.zip").model.parameters.items():
        np.testing.assert_allclose(array, model.parameters[name], rtol=2**-11, atol=2**-24)


def test_what_is_refused(made, tmp_path):
    _, folder = made
    before = everything_in(tmp_path)
    with pytest.raises(
        BundleError, match=r"is a folder: give the name of a file, for example .*bahdanau-mobilenet\.zip"
    ):
        pack(folder, tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a trained bundle"):
        pack(tmp_path / "nothing", tmp_path / "model.zip")
    assert everything_in(tmp_path) == before
    with pytest.raises(BundleError, match="has no consensus reranking: run notebooks/11"):
        pack(folder, tmp_path / "model.zip", consensus=True)
    (tmp_path / "together").mkdir()
    (tmp_path / "together" / "members.json").write_text("{}")
    with pytest.raises(BundleError, match="together is an ensemble, which is not packed: pack one of its members"):
        pack(tmp_path / "together", tmp_path / "model.zip")
    edit(folder, finished=False)
    with pytest.raises(BundleError, match=r"unfinished\. Run notebooks/05_inceptionv3"):
        pack(folder, tmp_path / "model.zip")
    edit(folder, finished=True)
    (folder / "scores.json").write_text("[]")
    with pytest.raises(ValueError, match=r"scores\.json is damaged .*Run notebooks/11"):
        pack(folder, tmp_path / "model.zip")
    (folder / "model.weights.h5").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.weights\.h5 does not fit"):
        pack(folder, tmp_path / "model.zip")
    assert not (tmp_path / "model.zip").exists()


class Louder(BahdanauDecoder):
    """As from a notebook's cell."""


def test_a_class_from_a_notebook_cannot_travel(tmp_path):
    folder, _ = finished(made_in(tmp_path), model_class=Louder)
    with pytest.raises(BundleError, match=r"its class Louder was defined in a notebook or a script .* holds no code"):
        pack(folder, tmp_path / "model.zip")


def test_an_old_file_stays_until_the_new_one_is_whole(numpy_bundle, tmp_path, monkeypatch):
    target = tmp_path / "model.zip"
    target.write_bytes(b"old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr("zipfile.ZipFile.writestr", full)
        pack(numpy_bundle, target)
    assert target.read_bytes() == b"old" and [file.name for file in tmp_path.glob("*.zip")] == ["model.zip"]
    pack(numpy_bundle, target)
    assert bundle.load(target).kind == "numpy_rnn"
