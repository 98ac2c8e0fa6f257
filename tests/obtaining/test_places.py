"""Sizes of photos, and folders that were copied, trimmed, read-only, or are filled by two."""

import dataclasses
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from PIL import Image

from captioning.datasets import fetching
from captioning.datasets import prepare as datasets
from tests import originals
from tests.obtaining.offered import asked, everything_below, prepared, project, without_times


def sizes(dataset):
    return {max(Image.open(record.file).size) for record in dataset.records}


def test_the_size_may_be_changed_and_changed_back(server):
    originals.serve_open_images(server)
    few, more = project("open-images", limit=20), project("open-images", limit=30)
    before = prepared(few, long_side=16)
    assert sizes(before) == {16}
    assert "20 photos" in datasets.cost(few, 24) and "Nothing has to be fetched" in datasets.cost(few, 16)
    server.seen.clear()
    assert sizes(prepared(few, long_side=24)) == {24} and len(server.seen) == 20
    assert prepared(few, long_side=16) == before and len(server.seen) == 20
    assert "10 photos" in datasets.cost(more, 24) and sizes(prepared(more, long_side=24)) == {24}
    assert len(server.seen) == 30
    named = project("open-images", limit=30, root=str(more.originals))
    assert sizes(datasets.obtain(named, long_side=24)) == {24}


def test_a_folder_of_ones_own_has_photos_of_one_size(server):
    originals.serve_open_images(server)
    active = project("open-images", limit=20)
    before = datasets.obtain(active)
    named = project("open-images", limit=20, root=str(active.originals))
    assert datasets.obtain(named, long_side=24).records == before.records


def state(folder):
    """When each file and folder was last changed: also by a file that was made in a folder and removed again."""
    return {path: path.stat().st_ctime_ns for path in (folder, *folder.rglob("*"))}


def test_nothing_is_asked_for_or_written_where_all_is_there(active, delete, server):
    """So it may be on a disk that cannot be written."""
    before, kept = prepared(active, delete_zips=delete), state(active.originals)
    server.seen.clear()
    assert prepared(active, delete_zips=delete) == before
    assert prepared(dataclasses.replace(active, root=str(active.originals))).records == before.records
    assert server.seen == [] and state(active.originals) == kept


def test_a_copy_with_other_times_is_not_fetched_again(active, delete, server):
    before = prepared(active, delete_zips=delete, long_side=16)
    for number, file in enumerate(sorted(everything_below(active.originals), reverse=True)):
        os.utime(file, (1e9 + number, 1e9 + number))
    server.seen.clear()
    after = prepared(active, delete_zips=delete, long_side=16)
    assert without_times(after) == without_times(before) and server.seen == []


def test_zips_may_be_kept_and_deleted_later(active, server):
    before = prepared(active)
    server.seen.clear()
    assert prepared(active, delete_zips=True) == before and not list(active.originals.rglob("*.zip"))
    assert prepared(active) == before and server.seen == []


def test_photos_that_were_removed_come_from_the_zip_where_it_is(active, server):
    before = prepared(active)
    for record in before.records[:7]:
        record.file.unlink()
    server.seen.clear()
    assert without_times(prepared(active)) == without_times(before)
    assert len(server.seen) == (7 if active.limit else 0)


def test_a_kill_before_the_zip_is_deleted_fetches_nothing_again(server, monkeypatch):
    originals.serve_flickr8k(server)
    active, unlink = project("flickr8k"), Path.unlink

    def killed(path, **options):
        if path.suffix == ".zip":
            raise KeyboardInterrupt
        unlink(path, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", killed)
        fetching.fetch_archive("flickr8k-text", active.originals, delete=True)
    prepared(active, delete_zips=True)
    assert len(asked(server, f"{originals.FLICKR}/Flickr8k_text.zip")) == 1
    assert not list(active.originals.glob("*.zip"))


def test_two_notebooks_at_once_fetch_each_zip_once(active, delete, server):
    server.pace = 1e6
    with ThreadPool(2) as pool:
        first, second = pool.map(lambda _: datasets.obtain(active, delete_zips=delete), range(2))
    assert without_times(first) == without_times(second) and first.splits_from == second.splits_from
    large = [path for path in asked(server) if path.endswith((".zip", ".jsonl"))]
    assert len(large) == len(set(large))
    assert {file.suffix for file in everything_below(active.originals)} <= {
        ".jpg", ".json", ".jsonl", ".txt", ".zip", ".unpacked", "",
    }  # fmt: skip


def test_photos_that_another_notebook_unpacks_meanwhile_are_not_fetched_again(server, monkeypatch):
    """Its zip was there when this one looked for missing photos, and is deleted when this one may go on."""
    originals.serve_coco(server)
    active, waited, real = project("coco2014", limit=None), [], fetching.only_one
    address = next(path for path in server.files if path.endswith("train2014.zip"))
    active.originals.mkdir(parents=True)
    (active.originals / "train2014.zip").write_bytes(server.files[address])

    def late(target, wait=False):
        if "train2014" in target.name and not waited:
            waited.append(target)
            datasets.obtain(active, delete_zips=True)
        return real(target, wait)

    monkeypatch.setattr(fetching, "only_one", late)
    datasets.obtain(active, delete_zips=True)
    assert waited and not asked(server, address)
