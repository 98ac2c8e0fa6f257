"""What is no packed model, or holds what does not fit together, is refused in one line."""

import io
import json
import pickle
import stat
import tracemalloc
import zipfile

import numpy as np
import pytest

from captioning import bundle
from captioning.bundle import BundleError, packed
from captioning.bundle.packed import MANIFEST
from captioning.provenance import digest
from captioning.serving.pack import pack
from tests.bundles import finished
from tests.packed_models import Run, changed, edited, members_of, with_arrays, zipped

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
        ("Settings.JSON", "occurs twice"),
        (info("scores.json", external_attr=(stat.S_IFLNK | 0o777) << 16), "symbolic link"),
        ("run_me.py", "'run_me.py' is no part of a packed model"),
        ("sub/scores.json", "'sub/scores.json' is no part of a packed model"),
    ],
)
def test_entries_that_no_packed_model_has(content, refuse, name, match):
    refuse(zipped([*members_of(content).items(), (name, b"{}")]), match)


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
