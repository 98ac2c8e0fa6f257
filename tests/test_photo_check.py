"""Broken photos are found before a training, once, and named."""

import os
import shutil

import pytest

from captioning.datasets import photo_check
from captioning.datasets.dataset import assemble
from tests.originals import jpeg
from tests.tiny import tiny_dataset


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    dataset = tiny_dataset(folder, pictures=10, splits=("train", "val"))
    for record in dataset.records:  # squares of one colour have the same bytes
        record.file.write_bytes(jpeg(record.image_id))
    return assemble("tiny", dataset.records, {})


@pytest.fixture
def decoded(monkeypatch):
    """The names of the photos that were decoded."""
    names, open_image = [], photo_check.open_image
    monkeypatch.setattr(photo_check, "open_image", lambda file, near: (names.append(file.name), open_image(file, near)))
    return names


def test_good_photos_pass_and_are_decoded_once(dataset, tmp_path, decoded):
    known = tmp_path / "data" / "known.jsonl"
    assert photo_check.check(dataset, known) == dataset and len(decoded) == 10
    assert photo_check.check(dataset, known) == dataset and len(decoded) == 10


def test_broken_photos_are_left_out_and_named(dataset, tmp_path):
    cut, text = dataset.records[2].file, dataset.records[5].file
    cut.write_bytes(cut.read_bytes()[:300])
    text.write_text("404 Not Found")
    checked = photo_check.check(dataset, tmp_path / "known.jsonl")
    assert [r.image_id for r in checked.records] == [r.image_id for r in dataset.records if r.file not in (cut, text)]
    assert checked.left_out == {"broken photos": 2}
    reasons = checked.findings["broken photos"]
    assert str(cut) in reasons[0] and "cannot be read" in reasons[0]
    assert str(text) in reasons[1] and "is not a picture" in reasons[1]


def test_a_photo_that_has_changed_is_looked_at_again(dataset, tmp_path, decoded):
    known, file = tmp_path / "known.jsonl", dataset.records[0].file
    good = file.read_bytes()
    file.write_bytes(b"broken")
    assert len(photo_check.check(dataset, known).records) == 9
    file.write_bytes(good)
    assert len(photo_check.check(dataset, known).records) == 10
    assert decoded.count(file.name) == 2 and len(decoded) == 11
    os.utime(file, (1, 1))
    photo_check.check(dataset, known)
    assert decoded.count(file.name) == 3


def test_a_check_that_was_killed_goes_on(dataset, tmp_path, decoded):
    known = tmp_path / "known.jsonl"
    photo_check.check(dataset, known)
    lines = known.read_text().splitlines(keepends=True)
    known.write_text("".join(lines[:6]) + lines[6][:20])
    decoded.clear()
    assert photo_check.check(dataset, known) == dataset and len(decoded) == 4
    decoded.clear()
    assert photo_check.check(dataset, known) == dataset
    assert decoded == []


def test_the_same_content_in_two_splits_is_reported(dataset, tmp_path):
    train, val = dataset.split("train"), dataset.split("val")
    shutil.copy(train[0].file, val[0].file)
    shutil.copy(train[1].file, train[2].file)
    checked = photo_check.check(dataset, tmp_path / "known.jsonl")
    (leak,) = checked.findings["the same photo in two splits"]
    assert f"{train[0].file.name} (train)" in leak and f"{val[0].file.name} (val)" in leak
    assert len(checked.records) == 10
