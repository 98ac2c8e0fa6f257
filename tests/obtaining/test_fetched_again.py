"""What was downloaded and is broken is fetched again; what is not ours is left alone."""

import dataclasses

import pytest

from captioning.datasets import prepare as datasets
from captioning.fetching.download import DownloadError
from tests import originals
from tests.obtaining.offered import (
    DAMAGE,
    SERVE,
    SIGN_IN,
    asked,
    damaged,
    everything_below,
    limited,
    prepared,
    project,
    without_times,
)
from tests.server import Fault


def test_sign_in_pages_are_no_photos_and_the_photos_come_later(server):
    photos = originals.serve_coco(server)
    there = dict(server.files)
    server.files |= {f"{originals.COCO}/{name}": SIGN_IN for name in photos}
    with pytest.raises(DownloadError, match=r"20 of 20 photos are missing, more than 1 %"):
        datasets.obtain(limited())
    assert not list(limited().originals.rglob("COCO_*"))
    server.files = there
    dataset = prepared(limited())
    assert len(dataset.records) == 20 and not dataset.findings
    for record in dataset.records:
        assert record.file.read_bytes() == photos[f"{record.file.parent.name}/{record.file.name}"]


def test_a_sign_in_page_instead_of_karpathys_splits_does_not_stay(server):
    originals.serve_coco(server)
    splits = server.files[originals.KARPATHY]
    server.files[originals.KARPATHY] = SIGN_IN
    assert datasets.obtain(limited()).splits_from == "val2014 halved"
    server.files[originals.KARPATHY] = splits
    assert datasets.obtain(limited()).splits_from == "dataset_coco.json"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_photo_that_was_fetched_and_is_broken_is_fetched_again(active, delete, damage, server):
    before = prepared(active, delete_zips=delete)
    for again in range(2):
        for record in before.records[3 : 6 - again]:
            damaged(record.file, damage)
        after = prepared(active, delete_zips=delete)
    assert after.findings == before.findings
    assert without_times(after) == without_times(before)
    assert not [file for file in everything_below(active.originals) if file.suffix in (".new", ".part")]
    server.seen.clear()
    assert without_times(prepared(active, delete_zips=delete)) == without_times(after) and server.seen == []


def test_a_broken_photo_in_a_folder_of_ones_own_is_listed_and_left(active, server):
    before = prepared(active)
    file = before.records[3].file
    file.write_bytes(file.read_bytes()[:200])
    server.seen.clear()
    dataset = prepared(dataclasses.replace(active, root=str(active.originals)))
    assert [str(file) in problem for problem in dataset.findings["broken photos"]] == [True]
    assert len(file.read_bytes()) == 200 and server.seen == []


def test_a_broken_photo_stays_until_the_new_one_is_whole(server):
    originals.serve_coco(server)
    file = prepared(limited()).records[3].file
    file.write_bytes(SIGN_IN)
    server.always[f"{originals.COCO}/{file.parent.name}/{file.name}"] = Fault(status=404)
    dataset = prepared(limited())
    assert file.read_bytes() == SIGN_IN and len(dataset.records) == 19
    assert originals.counts_of(dataset) == {"photos that could not be fetched": 1, "broken photos": 1}


def test_what_is_broken_in_the_zip_itself_is_not_fetched_for_ever(server):
    originals.serve_flickr8k(server)
    path = f"{originals.FLICKR}/Flickr8k_Dataset.zip"
    contents = originals.unpacked(server.files[path])
    contents["Flicker8k_Dataset/7_abc.jpg"] = SIGN_IN
    server.files[path] = originals.packed(contents)
    originals.publish(server)
    dataset = prepared(project("flickr8k"), delete_zips=True)
    assert len(dataset.findings["broken photos"]) == 1 and len(asked(server, path)) == 2
    assert prepared(project("flickr8k"), delete_zips=True) == dataset and len(asked(server, path)) == 2


TEXTS = [
    ("coco2014", "annotations/captions_train2014.json"),
    ("coco2014", "annotations/captions_val2014.json"),
    ("coco2014", "dataset_coco.json"),
    ("flickr8k", "Flickr8k.token.txt"),
    ("flickr8k", "Flickr_8k.devImages.txt"),
    ("open-images", "open_images_train_v6_captions.jsonl"),
]


@pytest.mark.parametrize("damage", [*DAMAGE, "gone"])
@pytest.mark.parametrize(("name", "file"), TEXTS)
def test_captions_that_were_fetched_and_are_damaged_are_fetched_again(name, file, delete, damage, server):
    SERVE[name](server)
    active = project(name, limit=20)
    before = prepared(active, delete_zips=delete)
    file = active.originals / file
    content = file.read_bytes()
    file.unlink() if damage == "gone" else damaged(file, damage)
    assert prepared(active, delete_zips=delete) == before
    assert file.read_bytes() == content


@pytest.mark.parametrize("damage", ["cut", "page", "inside"])
def test_a_damaged_zip_is_fetched_again(damage, server):
    originals.serve_coco(server)
    before = prepared(limited())
    (zip_,) = limited().originals.glob("*.zip")
    content = zip_.read_bytes()
    middle = len(content) // 3
    inside = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    zip_.write_bytes(inside if damage == "inside" else DAMAGE[damage](content))
    for file in (limited().originals / "annotations").glob("*.json"):
        file.unlink()
    assert prepared(limited()) == before and zip_.read_bytes() == content
