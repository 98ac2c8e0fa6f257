"""What is made and what is kept: only what is new is encoded, and another folder, encoder or photo is told apart."""

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image
from tiny_encoder import (
    CHANNELS,
    REGIONS,
    assert_encoded,
    checked,
    contents,
    counting,
    forbidden,
    state,
    tiny_encoder,
)  # fmt: skip

from captioning import features
from captioning.datasets.records import Record
from captioning.features import FeatureError, FeatureStore, extract, making, store
from captioning.features.index import Entry
from captioning.provenance import StaleError
from captioning.settings import Project

# The digest


def test_the_digest_tells_features_apart(photos, encoder, folder, tmp_path):
    records = photos(9)
    made = extract(records, encoder, folder)
    digest = made.digest(records)
    extract(photos(12), encoder, folder)
    assert FeatureStore(folder).digest(records[::-1]) == digest
    others = [made.digest(records[1:]), extract(records, tiny_encoder(1), tmp_path / "o").digest(records)]
    replace(records[3])
    others.append(extract(records, encoder, folder).digest(records))
    assert len({digest, *others}) == 4


def test_the_digest_tells_encoders_apart(photos, encoder, tmp_path):
    """Also where a few rows are alike."""
    row, digests = np.ones((REGIONS, CHANNELS), np.float16), set()
    for identity in (encoder.identity, encoder.identity | {"resize": "cut"}):
        made = FeatureStore.for_writing(tmp_path / identity["resize"][:3], identity)
        made.add([Entry(made.key(record), row) for record in photos(3)])
        digests.add(made.digest(photos(3)))
    assert len(digests) == 2


@pytest.mark.parametrize("number", range(3))
def test_the_digest_sees_rows_that_were_changed_in_place(number, photos, encoder, folder):
    made = extract(records := photos(9), encoder, folder)
    digest, shard = made.digest(records), folder / f"rows-0000{number}.f16"
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    assert FeatureStore(folder).digest(records) != digest


# What is made, and what is kept


def test_a_second_run_does_nothing(photos, encoder, folder, monkeypatch):
    extract(records := photos(10), encoder, folder)
    before = state(folder)
    monkeypatch.setattr(making, "load_pixels", lambda *_: pytest.fail("a picture was opened"))
    made = extract(records, forbidden(encoder), folder)
    assert len(made) == 10 and state(folder) == before


def test_a_forbidden_encoder_is_noticed(photos, encoder, folder):
    with pytest.raises(AssertionError, match="the encoder was called"):
        extract(photos(1), forbidden(encoder), folder)


@pytest.mark.parametrize("known", [False, True])
def test_only_new_pictures_are_encoded(known, photos, encoder, folder):
    """The first one removed, put back, and one added: 0, 0 and 1; any order, any limit: 0."""
    records = checked(photos(41)) if known else photos(41)
    made = []
    for now in (records[:40], records[1:40], records[:40], records, records[::-1], records[5:9], records[:40]):
        encoder = counting(encoder)
        assert_encoded(extract(now, encoder, folder), now, encoder)
        made.append(encoder.pictures)
    assert made == [40, 0, 0, 1, 0, 0, 0]


def test_what_is_written_stays_where_it_is(photos, encoder, folder):
    extract(photos(10), encoder, folder)
    before = contents(folder)
    extract(photos(15), encoder, folder)
    after = contents(folder)
    assert all(after[name].startswith(content) for name, content in before.items())


def test_a_larger_limit_gives_the_bytes_of_one_run(photos, encoder, folder, tmp_path):
    for count in (3, 4, 10, 15):
        extract(photos(count), encoder, folder)
    extract(photos(15), encoder, tmp_path / "at-once")
    assert contents(folder) == contents(tmp_path / "at-once")


def replace(record, colour="orange"):
    """Put another picture under the same name, with the size and times of the one that was there."""
    before = record.file.stat()
    Image.new("RGB", (50, 50), colour).save(record.file)
    with record.file.open("ab") as file:
        file.write(b" " * (before.st_size - record.file.stat().st_size))
    assert record.file.stat().st_size == before.st_size
    os.utime(record.file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("known", [False, True])
def test_a_changed_picture_is_encoded_again_and_changed_back_it_is_not(known, photos, encoder, folder):
    def now():
        return checked(records) if known else records

    made = extract(records := photos(12), encoder, folder)
    whole = records[5].file.read_bytes()
    replace(records[5])
    for opened in (made, FeatureStore(folder)):
        with pytest.raises(FeatureError, match=r"lacks 1 of 12.*under this id are of another photo.*03_vgg16.* again"):
            opened.readable(now())
    encoder = counting(encoder)
    assert_encoded(extract(now(), encoder, folder), now(), encoder)
    assert encoder.pictures == 1
    records[5].file.write_bytes(whole)
    assert_encoded(extract(now(), forbidden(encoder), folder), now(), encoder)


def test_the_photos_of_another_folder_under_the_same_names_are_refused(photos, encoder, folder):
    extract(checked(photos(6)), encoder, folder)
    for record in photos(6):
        replace(record, "green")
    for records in (photos(6), checked(photos(6))):
        with pytest.raises(FeatureError, match=r"lacks 6 of 6 pictures.*another photo"):
            FeatureStore(folder).readable(records)


def test_a_photo_that_changed_after_the_photo_check_is_refused(photos, encoder, folder):
    records = checked(photos(20))
    replace(records[18])
    with pytest.raises(StaleError, match=rf"{records[18].file.name} has changed .*notebooks/01_download"):
        extract(records, encoder, folder)
    assert len(FeatureStore(folder)) == 16


def test_every_photo_is_read_once(photos, encoder, folder, monkeypatch):
    records, opened = checked(photos(6)), []
    read = type(records[0].file).read_bytes
    monkeypatch.setattr(type(records[0].file), "read_bytes", lambda path: opened.append(path.name) or read(path))
    extract(records, encoder, folder)
    assert sorted(name for name in opened if name.endswith(".png")) == sorted(r.file.name for r in records)


# The wrong folder


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("weights_hash", {"seed": 1}),
        *((name, {"spec": {name: value}}) for name, value in [("layer", "conv2d"), ("preprocessing", "RGB")]),
        ("encoder", {"spec": {"name": "tiny2"}}),
        ("image_size", {"spec": {"size": 64, "regions": 64}}),
    ],
)
def test_a_folder_of_another_encoder_is_refused(field, change, photos, encoder, folder):
    extract(records := photos(3), encoder, folder)
    before = state(folder)
    other = tiny_encoder(change.get("seed", 0), dataclasses.replace(encoder.spec, **change.get("spec", {})))
    with pytest.raises(FeatureError, match=f"tiny-last-random holds .*: {field} was .*Move or delete that folder"):
        extract(records, other, folder)
    assert state(folder) == before


def test_a_folder_of_other_shards_is_refused(photos, encoder, folder, monkeypatch):
    extract(records := photos(3), encoder, folder)
    monkeypatch.setattr(store, "SHARD", 8)
    with pytest.raises(FeatureError, match="holds other features: shard was 4 and is now 8"):
        extract(records, encoder, folder)


@pytest.mark.parametrize(
    ("name", "notebook"),
    [
        ("vgg16-fc2-imagenet", "03_vgg16_transfer_values"),
        ("mobilenet-conv_pw_13_relu-imagenet", "03_vgg16_transfer_values"),
        ("inception_v3-mixed10-random", "05_inceptionv3_bahdanau_attention"),
        ("resnet50-conv5_block3_out-files", "07_bilstm_dot_attention"),
    ],
)
def test_missing_features_name_the_notebook(name, notebook, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"manifest\.json is missing\. Run notebooks/{notebook}\.ipynb first"):
        FeatureStore(tmp_path / name)


def test_pictures_that_were_never_encoded_name_the_notebook(photos, encoder, folder):
    made = extract(photos(4), encoder, folder)
    with pytest.raises(FeatureError, match=r"lacks 2 of 6 pictures, for example .* never encoded.*03_vgg16.* again"):
        made.readable(photos(6))
    unknown = Record(999, photos(1)[0].file, ("a photo",), "train")
    for ask in (made.rows, made.averaged, made.statistics):
        with pytest.raises(FeatureError, match="lacks 1 of 1 pictures, for example 999"):
            ask([unknown])


def test_every_choice_of_weights_has_a_folder_of_its_own(tmp_path):
    projects = [Project(home=tmp_path, weights=weights) for weights in ("random", "imagenet", str(tmp_path))]
    names = [features.folder_of(project, "resnet50").name for project in projects]
    assert names == [f"resnet50-conv5_block3_out-{kind}" for kind in ("random", "imagenet", "files")]
    assert features.folder_of(projects[0], "vgg16") == tmp_path / "data" / "scenes" / "features" / "vgg16-fc2-random"
