"""What is in the features: the encoder's own numbers for each picture, and their statistics."""

import dataclasses

import numpy as np
import pytest
from tiny_encoder import (
    CHANNELS,
    REGIONS,
    alone,
    assert_encoded,
    forbidden,
    tiny_encoder,
)  # fmt: skip

from captioning.encoders import Encoder
from captioning.features import FeatureStore, encode_files, extract, store
from captioning.features.index import Entry

# What is in the store


def test_the_store_holds_what_the_encoder_gives_for_each_picture(photos, encoder, folder):
    records = photos(18)
    made = extract(records, encoder, folder)
    assert len(made) == 18 and made.regions == REGIONS and made.channels == CHANNELS
    assert_encoded(made, records, encoder)
    assert_encoded(FeatureStore(folder), records[::-3], encoder)


def test_the_rows_are_in_shards_in_the_order_of_the_records(photos, encoder, folder):
    records = photos(10)
    extract(records, encoder, folder)
    assert [path.stat().st_size for path in sorted(folder.glob("rows-*"))] == [192 * rows for rows in (4, 4, 2)]
    second = np.fromfile(folder / "rows-00001.f16", np.float16).reshape(4, REGIONS, CHANNELS)
    np.testing.assert_allclose(second[2], alone(records[6], encoder), rtol=2**-11 + 1e-4, atol=1e-6)


@pytest.mark.parametrize("image_id", ["{}_a", "snow\tand \u96ea\n{}", '"{}"'])
def test_the_ids_may_be_texts(image_id, photos, encoder, folder):
    records = [dataclasses.replace(r, image_id=image_id.format(r.image_id)) for r in photos(6)]
    assert_encoded(extract(records, encoder, folder), records, encoder)
    assert_encoded(extract(records, forbidden(encoder), folder), records, encoder)


def test_a_number_and_its_text_are_two_ids(photos, encoder, folder):
    records = photos(2)
    texts = [dataclasses.replace(records[0], image_id=str(records[1].image_id))]
    assert_encoded(extract([*records, *texts], encoder, folder), [*texts, *records], encoder)


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
    encoded = encode_files([str(record.file) for record in records], encoder)
    assert encoded.dtype == np.float16
    np.testing.assert_allclose(encoded, stored, rtol=2**-10, atol=1e-6)


def test_one_path_none_and_an_iterator(photos, encoder):
    files = [record.file for record in photos(3)]
    several = encode_files(files, encoder)
    np.testing.assert_allclose(encode_files(iter(files), encoder), several, rtol=2**-10, atol=1e-6)
    for one in (files[1], str(files[1])):
        np.testing.assert_allclose(encode_files(one, encoder), several[1:2], rtol=2**-10, atol=1e-6)
    for none in ([], iter(())):
        empty = encode_files(none, encoder)
        assert empty.shape == (0, REGIONS, CHANNELS) and empty.dtype == np.float16


class Traced(Encoder):
    """An encoder that counts how often it is called from Python: once per trace."""

    calls = 0

    def __call__(self, pixels):
        self.calls += 1
        return super().__call__(pixels)


def test_it_is_compiled_once(photos, encoder):
    traced = Traced(encoder.spec, encoder._model, encoder.weights)
    for record in photos(4):
        encode_files(record.file, traced)
    encode_files([record.file for record in photos(20)], traced)
    assert traced.calls == 1


def test_other_preprocessing_is_compiled_again(photos, encoder):
    """Exercise 2 of notebook 03 changes it."""
    file, before = photos(1)[0].file, encode_files(photos(1)[0].file, encoder)
    encoder.spec = dataclasses.replace(encoder.spec, preprocess=lambda pixels: pixels / 255)
    assert not np.allclose(encode_files(file, encoder), before, rtol=1e-2)


# Statistics


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
    made = extract(records := photos(12), tiny_encoder(bias=[0, 0, -99, 0, 0, 0]), folder)
    mean, variance = made.statistics(records)
    living = np.delete(variance, 2)
    assert mean[2] == 0 and living.min() <= variance[2] <= living.max()


def test_channels_that_never_vary(photos, encoder, folder):
    store = FeatureStore.for_writing(folder, encoder.identity)
    store.add([Entry(store.key(r), np.ones((REGIONS, CHANNELS), np.float16)) for r in photos(3)])
    mean, variance = store.statistics(photos(3))
    assert (mean == 1).all() and (variance == 1).all()


def test_statistics_of_nothing_are_an_error(photos, encoder, folder):
    with pytest.raises(ValueError, match="Statistics need a picture"):
        extract(photos(1), encoder, folder).statistics([])


def test_statistics_read_a_bounded_number_of_pictures(photos, encoder, folder, monkeypatch):
    monkeypatch.setattr(store, "SAMPLE", 10)
    made = extract(records := photos(97), encoder, folder)
    values = made.rows([records[n * 97 // 10] for n in range(10)]).astype(np.float64).reshape(-1, CHANNELS)
    np.testing.assert_allclose(made.statistics(records)[0], values.mean(axis=0), rtol=1e-5)


def test_statistics_are_kept_beside_the_features(photos, encoder, folder, monkeypatch):
    made = extract(records := photos(40), encoder, folder)
    first, averaged = made.statistics(records), made.statistics(records, averaged=True)
    monkeypatch.setattr(FeatureStore, "_statistics", lambda *_: pytest.fail("computed again"))
    again = FeatureStore(folder)
    np.testing.assert_array_equal(again.statistics(records), first)
    np.testing.assert_array_equal(again.statistics(records, averaged=True), averaged)
    assert not np.array_equal(first, averaged)


@pytest.mark.parametrize("content", [b"", b"no array", None])
def test_kept_statistics_that_are_damaged_are_made_again(content, photos, encoder, folder):
    made = extract(records := photos(5), encoder, folder)
    first = made.statistics(records)
    (kept,) = folder.glob("statistics-*")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-5] if content is None else content)
    np.testing.assert_array_equal(made.statistics(records), first)
    assert kept.read_bytes() == whole


def test_statistics_of_other_pictures_are_others(photos, encoder, folder):
    made = extract(records := photos(20), encoder, folder)
    assert not np.array_equal(made.statistics(records), made.statistics(records[:-1]))
    assert len(list(folder.glob("statistics-*"))) == 2
