"""Broken photos are found before a training run, once, and named; every photo gets the digest of its contents."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.datasets import photo_check
from captioning.datasets.dataset import assemble
from captioning.provenance import FileState, content_digest
from tests.originals import jpeg, repaint
from tests.tiny import tiny_dataset


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    dataset = tiny_dataset(folder, pictures=10, splits=("train", "val"))
    for record in dataset.records:  # squares of one colour have the same bytes
        record.file.write_bytes(jpeg(record.image_id))
    return assemble("tiny", dataset.records)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the photos that were decoded."""
    names, open_image = [], photo_check.open_image
    monkeypatch.setattr(
        photo_check,
        "open_image",
        lambda *read, name, **near: (names.append(Path(name).name), open_image(*read, **near))[1],
    )
    return names


@pytest.fixture
def check(tmp_path):
    return lambda dataset: photo_check.check(dataset, tmp_path / "data" / "known.jsonl", tmp_path)


def test_good_photos_pass_and_are_read_once(dataset, check, decoded, monkeypatch):
    read, read_bytes = [], Path.read_bytes
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lambda path: (read.append(path), read_bytes(path))[1])
        checked = check(dataset)
    assert sorted(read) == sorted(record.file for record in dataset.records)
    assert len(decoded) == 10 and not checked.findings
    for record, before in zip(checked.records, dataset.records, strict=True):
        assert record.content == content_digest(record.file.read_bytes())
        assert record.state == FileState.of(record.file)
        assert dataclasses.replace(record, content="", state=None) == before
    monkeypatch.setattr(photo_check, "_look", None)
    assert check(dataset) == checked


def test_a_photo_of_more_than_8_bits_is_listed_each_time(dataset, check):
    file = dataset.records[3].file
    Image.fromarray(np.linspace(0, 4095, 64, dtype=np.uint16).reshape(8, 8)).save(file, "PNG")
    for _ in range(2):  # looked at, then remembered
        (listed,) = check(dataset).findings["photos whose values are scaled"]
        assert listed.startswith(f"{file.name}: values from 0 to 4095")


def test_broken_photos_are_left_out_and_named(dataset, check):
    cut, text = dataset.records[2].file, dataset.records[5].file
    cut.write_bytes(cut.read_bytes()[:300])
    text.write_text("404 Not Found")
    checked = check(dataset)
    assert [r.image_id for r in checked.records] == [r.image_id for r in dataset.records if r.file not in (cut, text)]
    reasons = checked.findings["broken photos"]
    assert len(reasons) == 2
    assert str(cut) in reasons[0] and "cannot be read" in reasons[0]
    assert str(text) in reasons[1] and "is not a picture" in reasons[1]


def test_what_cannot_be_opened_is_listed_and_tried_again(dataset, check):
    link, folder = dataset.records[1].file, dataset.records[3].file
    target = link.rename(link.with_name("target"))
    link.symlink_to(target.with_name("nowhere"))
    folder.unlink()
    folder.mkdir()
    checked = check(dataset)
    assert len(checked.records) == 8
    assert f"{link} cannot be read: No such file" in checked.findings["broken photos"][0]
    assert f"{folder} is a folder, a device or larger than" in checked.findings["broken photos"][1]
    target.rename(target.with_name("nowhere"))
    assert len(check(dataset).records) == 9


def test_a_photo_that_has_changed_is_looked_at_again(dataset, check, decoded):
    file = dataset.records[0].file
    good = file.read_bytes()
    file.write_bytes(b"broken")
    assert len(check(dataset).records) == 9
    file.write_bytes(good)
    assert len(check(dataset).records) == 10
    assert decoded.count(file.name) == 2 and len(decoded) == 11


def test_other_bytes_of_the_same_size_and_time_are_seen(dataset, check):
    before = check(dataset).records[0]
    repaint(before.file)
    assert check(dataset).records[0].content == content_digest(before.file.read_bytes()) != before.content


def test_a_check_that_was_killed_resumes(dataset, check, tmp_path, decoded):
    checked, known = check(dataset), tmp_path / "data" / "known.jsonl"
    lines = known.read_text().splitlines(keepends=True)
    known.write_text("".join(lines[:6]) + lines[6][:20])
    decoded.clear()
    assert check(dataset) == checked and len(decoded) == 4
    decoded.clear()
    assert check(dataset) == checked and decoded == []


def test_lines_of_an_older_form_are_ignored(dataset, check, tmp_path):
    known = tmp_path / "data" / "known.jsonl"
    known.parent.mkdir()
    status = dataset.records[0].file.stat()
    known.write_text(f'["{dataset.records[0].file}", {status.st_size}, {status.st_mtime_ns}, "0123", ""]\n7\n{{}}\n')
    assert check(dataset).records[0].content == content_digest(dataset.records[0].file.read_bytes())


def test_the_project_may_move_and_nothing_is_read_again(dataset, check, tmp_path, decoded):
    check(dataset)
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + "-moved"))
    there = [dataclasses.replace(r, file=moved / r.file.relative_to(tmp_path)) for r in dataset.records]
    decoded.clear()
    photo_check.check(dataclasses.replace(dataset, records=tuple(there)), moved / "data" / "known.jsonl", moved)
    assert decoded == []


def test_the_threads_get_a_window_of_photos_at_a_time(dataset, check, monkeypatch):
    waiting = []

    class Pool(ThreadPoolExecutor):
        def map(self, work, files):
            waiting.append(len(files))
            return super().map(work, files)

    monkeypatch.setattr(photo_check, "WINDOW", 4)
    monkeypatch.setattr(photo_check, "ThreadPoolExecutor", Pool)
    assert len(check(dataset).records) == 10 and waiting == [4, 4, 2]


def test_devices_and_files_too_large_to_be_photos_are_not_read(dataset, check, monkeypatch):
    pipe, large = dataset.records[0].file, dataset.records[4].file
    pipe.unlink()
    os.mkfifo(pipe)  # reading it would wait for ever
    large.write_bytes(large.read_bytes() + bytes(20_000))
    monkeypatch.setattr(photo_check, "LARGEST", 20_000)
    problems = check(dataset).findings["broken photos"]
    assert [problem.partition(" ")[0] for problem in problems] == [str(pipe), str(large)]


def test_only_what_can_be_read_and_not_decoded_is_damaged(dataset, tmp_path):
    link, cut = dataset.records[1].file, dataset.records[3].file
    link.unlink()
    link.symlink_to("nowhere")
    cut.write_bytes(cut.read_bytes()[:300])
    assert list(photo_check.damaged(dataset, tmp_path / "data" / "known.jsonl", tmp_path)) == [cut]
