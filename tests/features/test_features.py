"""Feature shards: the encoder's own numbers, made once and added to."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from tiny_encoder import (
    CHANNELS,
    REGIONS,
    alone,
    assert_encoded,
    contents,
    forbidden,
    state,
    tiny_encoder,
)  # fmt: skip

from captioning import features
from captioning.datasets.dataset import Record
from captioning.encoders import Encoder
from captioning.features import FeatureError, FeatureStore, encode_files, extract
from captioning.images import ImageError
from captioning.settings import Project

# What is in the shards


def test_the_shards_hold_what_the_encoder_gives_for_each_picture(photos, encoder, folder):
    records = photos(18)
    store = extract(records, encoder, folder)
    assert len(store) == 18 and store.regions == REGIONS and store.channels == CHANNELS
    assert_encoded(store, records, encoder)
    assert_encoded(FeatureStore(folder), records[::-3], encoder)


def test_the_shards_follow_the_order_of_the_records(photos, encoder, folder):
    records = photos(10)
    extract(records, encoder, folder)
    sizes = [np.load(folder / f"features-0000{number}.npy").shape for number in range(3)]
    assert sizes == [(4, REGIONS, CHANNELS), (4, REGIONS, CHANNELS), (2, REGIONS, CHANNELS)]
    third = np.load(folder / "features-00001.npy")[2]
    np.testing.assert_allclose(third, alone(records[6], encoder), rtol=2**-11 + 1e-4, atol=1e-6)


def test_the_ids_may_be_texts(photos, encoder, folder):
    records = [Record(f"{r.image_id}_a", r.file, r.captions, r.split) for r in photos(6)]
    assert_encoded(extract(records, encoder, folder), records, encoder)


def test_one_vector_per_picture_is_the_mean_over_its_regions(photos, encoder, folder):
    records = photos(70)
    store = extract(records, encoder, folder)
    vectors = store.averaged(records)
    assert vectors.shape == (70, 1, CHANNELS) and vectors.dtype == np.float32
    expected = store.rows(records).astype(np.float64).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)


def test_pictures_without_a_folder(photos, encoder, folder):
    records = photos(20)
    stored = extract(records, encoder, folder).rows(records)
    assert np.array_equal(encode_files([str(record.file) for record in records], encoder), stored)


def test_the_statistics_are_those_of_all_train_features(photos, encoder, folder):
    records = photos(100)
    store, train = extract(records, encoder, folder), [r for r in records if r.split == "train"]
    assert len(train) > 64
    values = store.rows(train).astype(np.float64).reshape(-1, CHANNELS)
    mean, variance = store.statistics(train)
    assert mean.dtype == variance.dtype == np.float32
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, values.var(axis=0), rtol=1e-4)


def test_averaged_features_have_statistics_of_their_own(photos, encoder, folder):
    store = extract(records := photos(70), encoder, folder)
    assert store.regions > 1
    vectors = store.averaged(records).astype(np.float64)[:, 0]
    mean, variance = store.statistics(records, averaged=True)
    np.testing.assert_allclose(mean, vectors.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, vectors.var(axis=0), rtol=1e-4)
    assert variance.mean() < 0.5 * store.statistics(records)[1].mean()


def test_statistics_of_small_features_do_not_vanish(photos, folder):
    """Random InceptionV3 gives 0.0005 on average: the floor of the variance has to be relative."""
    store = extract(records := photos(12), tiny_encoder(scale=1e-3), folder)
    values = store.rows(records).astype(np.float64).reshape(-1, CHANNELS)
    assert values.max() < 0.003
    np.testing.assert_allclose(store.statistics(records)[1], values.var(axis=0), rtol=1e-3)


def test_a_dead_channel_does_not_blow_up(photos, folder):
    store = extract(records := photos(12), tiny_encoder(bias=[0, 0, -99, 0, 0, 0]), folder)
    mean, variance = store.statistics(records)
    living = np.delete(variance, 2)
    assert mean[2] == 0 and living.min() <= variance[2] <= living.max()


def test_all_channels_dead(photos, folder):
    store = extract(records := photos(4), tiny_encoder(bias=-99), folder)
    mean, variance = store.statistics(records)
    assert (mean == 0).all() and (variance == 1).all()


class Multiplied(Encoder):
    """An encoder that gives too large numbers, or none."""

    def __call__(self, pixels):
        return super().__call__(pixels) * self.factor


@pytest.mark.parametrize(
    ("factor", "said"), [(1e6, r"is \d{6,}"), (float("inf"), "is (inf|nan)"), (float("nan"), "is nan")]
)
def test_what_float16_cannot_hold_is_an_error(factor, said, photos, encoder, folder):
    broken = Multiplied(encoder.spec, encoder._model, encoder.weights)
    broken.factor = factor
    with pytest.raises(FeatureError, match=f"A feature of tiny {said}.*float16 ends at 65504"):
        extract(photos(3), broken, folder)
    assert list(contents(folder)) == ["manifest.json"]


# What is made, and what is kept


def test_a_second_run_does_nothing(photos, encoder, folder, monkeypatch):
    extract(records := photos(10), encoder, folder)
    before = state(folder)
    monkeypatch.setattr(features, "load_pixels", lambda *_: pytest.fail("a picture was opened"))
    store = extract(records, forbidden(encoder), folder)
    assert len(store) == 10 and state(folder) == before


def test_a_forbidden_encoder_is_noticed(photos, encoder, folder):
    with pytest.raises(AssertionError, match="the encoder was called"):
        extract(photos(1), forbidden(encoder), folder)


def test_a_larger_limit_only_adds(photos, encoder, folder):
    extract(photos(10), encoder, folder)
    before = state(folder)
    store = extract(records := photos(15), encoder, folder)
    after = state(folder)
    for name in ("features-00000", "features-00001"):
        assert before[f"{name}.npy"] == after[f"{name}.npy"] and before[f"{name}.json"] == after[f"{name}.json"]
    assert_encoded(store, records, encoder)


def test_a_larger_limit_gives_the_bytes_of_one_run(photos, encoder, folder, tmp_path):
    for count in (3, 4, 10, 15):
        extract(photos(count), encoder, folder)
    extract(photos(15), encoder, tmp_path / "at-once")
    assert contents(folder) == contents(tmp_path / "at-once")


def test_a_smaller_limit_needs_nothing(photos, encoder, folder):
    extract(photos(10), encoder, folder)
    before = state(folder)
    store = extract(records := photos(6), forbidden(encoder), folder)
    assert store.readable(records) == records and state(folder) == before


def test_only_the_missing_shard_is_made(photos, encoder, folder):
    extract(records := photos(12), encoder, folder)
    before = state(folder)
    (folder / "features-00001.npy").unlink()
    assert_encoded(extract(records, encoder, folder), records, encoder)
    after = state(folder)
    changed = {name for name in after if after[name][1] != before[name][1]}
    assert changed == {"features-00001.npy", "features-00001.json"} and contents(folder).keys() == before.keys()


def replace(record):
    """Put another picture of another size under the same name."""
    Image.new("RGB", (50, 50), "orange").save(record.file)


def test_a_changed_picture_is_encoded_again(photos, encoder, folder):
    extract(records := photos(12), encoder, folder)
    before = state(folder)
    replace(records[5])
    assert_encoded(extract(records, encoder, folder), records, encoder)
    after = state(folder)
    assert {name for name in after if after[name] != before[name]} == {"features-00001.npy", "features-00001.json"}


def test_shards_of_an_earlier_larger_run_do_not_count(photos, encoder, folder):
    """When pictures are taken away the others move up: the last shard, no longer used, still has old features."""
    records = photos(12)
    records[9].file.write_text("not yet a picture")
    extract(records, encoder, folder)
    replace(records[8])
    replace(records[9])
    records[10].file.write_text("no longer a picture")
    store = extract(records[3:11], encoder, folder)
    assert (folder / "features-00002.npy").exists() and store.unreadable.keys() == {records[10].image_id}
    assert store.readable(records[3:11]) == records[3:10]
    assert_encoded(store, records[3:10], encoder)


# Broken pictures


def test_broken_pictures_are_named_and_left_out(photos, encoder, folder, capsys):
    records = photos(11)
    records[1].file.write_text("<html>sign in</html>")
    records[6].file.write_bytes(records[6].file.read_bytes()[:900])
    records[9].file.unlink()
    store = extract(records, encoder, folder)
    printed = capsys.readouterr().out
    assert "3 unreadable pictures are left out" in printed
    assert all(f"  {records[number].file.name}: " in printed for number in (1, 6, 9))
    good = [record for number, record in enumerate(records) if number not in (1, 6, 9)]
    assert store.readable(records) == good and len(store) == 8
    assert records[1].image_id not in store and good[0].image_id in store
    assert_encoded(store, good, encoder)
    extract(records, forbidden(encoder), folder)
    assert "3 unreadable pictures are left out" in capsys.readouterr().out  # also when nothing is to be done


def test_a_shard_of_broken_pictures(photos, encoder, folder):
    records = photos(9)
    for record in records[4:8]:
        record.file.write_bytes(b"")
    store = extract(records, encoder, folder)
    assert store.readable(records) == [*records[:4], records[8]]
    assert_encoded(FeatureStore(folder), [*records[:4], records[8]], encoder)


def test_a_repaired_picture_is_encoded(photos, encoder, folder):
    records = photos(5)
    whole = records[2].file.read_bytes()
    records[2].file.write_bytes(whole[:900])
    extract(records, encoder, folder)
    records[2].file.write_bytes(whole)
    assert_encoded(extract(records, encoder, folder), records, encoder)


def test_a_broken_picture_alone_is_an_error(photos, encoder):
    records = photos(2)
    records[1].file.write_text("text")
    with pytest.raises(ImageError, match=records[1].file.name):
        encode_files([record.file for record in records], encoder)


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
    with pytest.raises(FeatureError, match=f"tiny-last-random was made with {field} .*Move or delete that folder"):
        extract(records, other, folder)
    assert state(folder) == before


def test_a_folder_of_other_shards_is_refused(photos, encoder, folder, monkeypatch):
    extract(records := photos(3), encoder, folder)
    monkeypatch.setattr(features, "SHARD", 8)
    with pytest.raises(FeatureError, match="was made with shard 4, now it is 8"):
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
    store = extract(photos(4), encoder, folder)
    with pytest.raises(FeatureError, match=r"lacks 2 pictures, for example .* notebooks/03_vgg16.* again"):
        store.readable(photos(6))


def test_every_choice_of_weights_has_a_folder_of_its_own(tmp_path):
    projects = [Project(home=tmp_path, weights=weights) for weights in ("random", "imagenet", str(tmp_path))]
    names = [features.folder_of(project, "resnet50").name for project in projects]
    assert names == [f"resnet50-conv5_block3_out-{kind}" for kind in ("random", "imagenet", "files")]
    assert features.folder_of(projects[0], "vgg16") == tmp_path / "data" / "scenes" / "features" / "vgg16-fc2-random"
