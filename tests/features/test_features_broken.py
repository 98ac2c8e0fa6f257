"""Photos that are away or broken, and numbers that float16 cannot hold: named, left out, tried again."""

import shutil

import numpy as np
import pytest
from tiny_encoder import (
    assert_encoded,
    checked,
    contents,
    forbidden,
    state,
    tiny_encoder,
)  # fmt: skip

from captioning.encoders import Encoder
from captioning.features import FeatureError, FeatureStore, encode_files, extract
from captioning.images import ImageError

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
