"""The features of pictures: the encoder's own numbers, made once and added to; never those of other photos."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from tiny_encoder import (
    CHANNELS,
    REGIONS,
    alone,
    assert_encoded,
    checked,
    contents,
    counting,
    forbidden,
    state,
    tiny_encoder,
)  # fmt: skip

from captioning import features
from captioning.datasets.dataset import Record
from captioning.encoders import Encoder
from captioning.features import FeatureError, FeatureStore, encode_files, extract, making, store
from captioning.features.index import Entry
from captioning.images import ImageError
from captioning.provenance import StaleError
from captioning.settings import Project

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


# What float16 cannot hold


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
    with pytest.raises(FeatureError, match=f"A feature of tiny with random weights {said}.*float16 ends at 65504"):
        extract(photos(3), broken, folder)
    assert sorted(contents(folder)) == ["index.tsv", "manifest.json"]


@pytest.mark.parametrize("options", [{"scale": 1e-9}, {"scale": 1e-6}, {"bias": -99}])
def test_features_that_float16_rounds_to_nothing_are_refused(options, photos, folder):
    for make in (lambda e: extract(photos(3), e, folder), lambda e: encode_files([photos(1)[0].file], e)):
        with pytest.raises(FeatureError, match=r"largest feature from tiny with random .*CAPTIONING_WEIGHTS"):
            make(tiny_encoder(**options))
    assert len(FeatureStore(folder)) == 0


def test_a_whole_batch_of_zeros_is_refused_later_too(photos, encoder, folder, monkeypatch, one_after_the_other):
    """A graphics card that gives up gives zeros; one odd picture may have them."""
    records, run, factors = photos(40), encoder.run, iter([1, 0, 1])
    monkeypatch.setattr(encoder, "run", lambda pixels: run(pixels) * next(factors))
    with pytest.raises(FeatureError, match="is 0: float16 would hold zeros"):
        extract(records, encoder, folder)
    assert len(FeatureStore(folder)) == 16


@pytest.mark.parametrize("factor", [0, 1e-9])
def test_one_picture_may_say_nothing(factor, photos, encoder, folder, monkeypatch, one_after_the_other):
    """One that is gray all over is next to zero for an encoder with weights of mean zero."""
    records, run, factors = (
        photos(40),
        encoder.run,
        iter([1, np.where(np.arange(16) == 2, factor, 1)[:, None, None], 1]),
    )
    monkeypatch.setattr(encoder, "run", lambda pixels: run(pixels) * next(factors))
    made = extract(records, encoder, folder)
    assert len(made) == 40 and (np.abs(made.rows(records)).max(axis=(1, 2)) < 6.1e-5).sum() == 1


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


# Photos that cannot be seen


@pytest.mark.parametrize("known", [False, True])
def test_photos_that_are_away_change_nothing(known, photos, encoder, folder, tmp_path):
    """Deleted originals, a drive that is not mounted; then it is mounted again."""
    records = checked(photos(20)) if known else photos(20)
    rows = extract(records, encoder, folder).rows(records)
    before = state(folder)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    made = extract(records, forbidden(encoder), folder)
    assert made.readable(records) == records and np.array_equal(made.rows(records), rows)
    assert np.array_equal(FeatureStore(folder).rows(records[::-1]), rows[::-1])
    (tmp_path / "photos").mkdir()
    extract(records, forbidden(encoder), folder)
    (tmp_path / "photos").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "photos")
    extract(records, forbidden(encoder), folder)
    assert state(folder) == before


@pytest.mark.parametrize("known", [False, True])
def test_many_missing_photos_are_an_error_that_names_the_folder(known, photos, encoder, folder, tmp_path):
    extract(photos(20), encoder, folder)
    before = contents(folder)
    records = checked(photos(100)) if known else photos(100)
    for record in records[98:]:
        record.file.rename(record.file.with_suffix(".away"))
    said = rf"2 of 100 photos .*cannot be seen.*{records[98].file.name}.*photos on a drive that is not mounted"
    with pytest.raises(FeatureError, match=said):
        extract(records, forbidden(encoder), folder)
    assert contents(folder) == before
    records[98].file.with_suffix(".away").rename(records[98].file)
    made = extract(records, encoder, folder)  # 1 % may be missing
    assert made.readable(records) == records[:99] and len(made) == 99


def test_a_missing_photo_is_named_left_out_and_tried_again(photos, encoder, folder, capsys):
    records, before = checked(photos(100)), []
    records[3].file.rename(records[3].file.with_suffix(".away"))
    for encoder_now in (encoder, forbidden(encoder)):
        made = extract(records, encoder_now, folder)
        assert f"  {records[3].file.name} cannot be seen now (No such file" in capsys.readouterr().out
        assert made.readable(records) == [*records[:3], *records[4:]]
        before.append(state(folder))
    assert before[0] == before[1]
    records[3].file.with_suffix(".away").rename(records[3].file)
    assert_encoded(extract(records, encoder, folder), records, encoder)
    assert "left out" not in capsys.readouterr().out


def test_a_drive_that_goes_away_meanwhile(photos, encoder, folder, tmp_path, monkeypatch):
    records, run = checked(photos(100)), encoder.run

    def unmounted(pixels):
        shutil.rmtree(tmp_path / "photos", ignore_errors=True)
        return run(pixels)

    monkeypatch.setattr(encoder, "run", unmounted)
    with pytest.raises(FeatureError, match=r"cannot be seen.*not mounted"):
        extract(records, encoder, folder)
    kept = len(FeatureStore(folder))
    assert 0 < kept < 100 and not FeatureStore(folder).reason(records[99])


# Broken pictures


def test_broken_pictures_are_named_and_left_out(photos, encoder, folder, capsys):
    records = photos(11)
    records[1].file.write_text("<html>sign in</html>")
    records[6].file.write_bytes(records[6].file.read_bytes()[:900])
    made = extract(records, encoder, folder)
    printed = capsys.readouterr().out
    assert "2 unreadable pictures are left out" in printed
    assert all(f"  {records[number].file.name} " in printed for number in (1, 6))
    good = [record for number, record in enumerate(records) if number not in (1, 6)]
    assert made.readable(records) == good and len(made) == 9
    assert records[1] not in made and good[0] in made
    assert_encoded(made, good, encoder)
    extract(records, forbidden(encoder), folder)
    assert "2 unreadable pictures are left out" in capsys.readouterr().out  # also when nothing is to be done
    shutil.rmtree(records[0].file.parent)
    assert extract(records, forbidden(encoder), folder).readable(records) == good


def test_many_broken_pictures(photos, encoder, folder):
    records = photos(40)
    for record in records[10:36]:
        record.file.write_bytes(b"")
    good = [*records[:10], *records[36:]]
    assert extract(records, encoder, folder).readable(records) == good
    assert_encoded(FeatureStore(folder), good, encoder)


def test_a_repaired_picture_is_encoded(photos, encoder, folder):
    records = photos(5)
    whole = records[2].file.read_bytes()
    records[2].file.write_bytes(whole[:900])
    extract(records, encoder, folder)
    records[2].file.write_bytes(whole)
    assert_encoded(extract(records, encoder, folder), records, encoder)


@pytest.mark.parametrize("content", [b"text", b"", None])
def test_a_broken_picture_alone_is_an_error(content, photos, encoder):
    records = photos(2)
    records[1].file.unlink() if content is None else records[1].file.write_bytes(content)
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
