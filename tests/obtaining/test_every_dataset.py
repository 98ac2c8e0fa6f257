"""Every dataset is fetched, read, split, and not fetched again."""

import pytest
from PIL import Image

from captioning.datasets import fetching
from captioning.datasets import prepare as datasets
from captioning.fetching.download import DownloadError
from captioning.files import DamagedError
from tests import originals
from tests.obtaining.offered import asked, limited, prepared, project
from tests.server import Fault


def test_a_small_real_coco_fetches_the_captions_and_those_photos_only(server):
    photos = originals.serve_coco(server)
    dataset = prepared(limited())
    assert len(dataset.records) == 20 and not dataset.findings
    assert len(asked(server, f"{originals.COCO}/train2014") + asked(server, f"{originals.COCO}/val2014")) == 20
    for record in dataset.records:
        assert record.file.read_bytes() == photos[f"{record.file.parent.name}/{record.file.name}"]
        assert record.split == originals.SPLITS[record.image_id % 5] and len(record.captions) == 5
    root = limited().originals
    assert not (root / "annotations" / "instances_val2014.json").exists()
    assert (root / "annotations_trainval2014.zip").exists() and not (root / "caption_datasets.zip").exists()


def test_a_larger_limit_only_adds(server):
    originals.serve_coco(server)
    first = prepared(limited())
    server.seen.clear()
    more = prepared(limited(25))
    assert more.records[:20] == first.records and len(asked(server)) == 5


def test_photos_that_are_gone_are_listed_and_skipped(server):
    originals.serve_coco(server)
    gone = prepared(limited()).records[3].file
    server.always[f"{originals.COCO}/{gone.parent.name}/{gone.name}"] = Fault(status=404)
    gone.unlink()
    dataset = prepared(limited())
    assert len(dataset.records) == 19 and originals.counts_of(dataset) == {"photos that could not be fetched": 1}
    report = (limited().data / "report.txt").read_text()
    assert f"{gone.name}: " in report and "HTTP 404" in report


@pytest.mark.parametrize("limit", [20, None])
@pytest.mark.parametrize("karpathy", [True, False])
def test_coco_2017_comes_the_same_way_and_has_the_same_splits(limit, karpathy, server):
    photos = originals.serve_coco2017(server, karpathy=karpathy)
    active = project("coco2017", limit=limit)
    text = datasets.cost(active)
    assert ("coco-train2017" in text) == (limit is None) and "coco-annotations2017" in text
    dataset = prepared(active)
    assert dataset.name == "coco2017" and len(dataset.records) == (limit or len(photos)) and not dataset.findings
    assert not any("2014" in path for path in asked(server))
    for record in dataset.records:
        assert record.file.read_bytes() == photos[f"{record.file.parent.name}/{record.image_id:012d}.jpg"]
        halved = "train" if record.image_id < 1000 else ("val", "test")[record.image_id % 2]
        assert record.split == (originals.SPLITS[record.image_id % 5] if karpathy else halved)
    server.seen.clear()
    assert prepared(active) == dataset and {*asked(server)} <= {originals.KARPATHY}


def test_zips_are_still_fetched_after_a_small_coco(server):
    photos = originals.serve_coco(server)
    prepared(limited())
    assert len(prepared(project("coco2014"), delete_zips=True).records) == len(photos)


def test_without_karpathys_page_val2014_is_halved(server, capsys):
    originals.serve_coco(server, karpathy=False)
    dataset = prepared(limited(50))
    assert dataset.splits_from == "val2014 halved"
    assert "Without Karpathy's splits" in capsys.readouterr().out
    assert {record.split for record in dataset.records if record.image_id % 2 and record.image_id > 1000} == {"test"}


def test_splits_that_somebody_has_put_there_are_used_and_kept(server):
    originals.serve_coco(server)
    prepared(limited())
    file = limited().originals / "dataset_coco.json"
    fetching.note_of(file.with_name("caption_datasets.zip")).unlink()
    server.seen.clear()
    assert prepared(limited()).splits_from == file.name and server.seen == []
    file.rename(file.with_name("kept"))
    (limited().originals / "splits.json").write_text("damaged")
    with pytest.raises(DamagedError, match=r"splits\.json is damaged"):
        prepared(limited())
    assert (limited().originals / "splits.json").read_text() == "damaged" and server.seen == []


@pytest.mark.parametrize("first", [True, False])
def test_karpathys_splits_that_come_or_go_move_no_known_picture(first, server):
    originals.serve_coco(server, karpathy=first)
    before = originals.splits_of(prepared(limited(40)))
    if first:
        (limited().originals / "dataset_coco.json").unlink()
        del server.files[originals.KARPATHY]
    else:
        originals.serve_coco(server)
    for _ in range(2):
        dataset = prepared(limited(50))
        assert before.items() <= originals.splits_of(dataset).items()
        (advice,) = dataset.findings
        assert advice.startswith("splits kept from") and "splits.json and run 01 again" in advice
    (limited().data / "splits.json").unlink()
    assert not before.items() <= originals.splits_of(prepared(limited(50))).items()


def test_captions_that_cannot_be_had_are_an_error(server):
    with pytest.raises(DownloadError, match=r"annotations_trainval2014\.zip: HTTP 404"):
        datasets.obtain(limited())


def test_flickr8k_comes_as_two_zips(server):
    originals.serve_flickr8k(server)
    dataset = prepared(project("flickr8k"))
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [24, 8, 8]
    assert len(dataset.findings["captions of photos that do not exist"]) == 1
    assert "photos: 40 of 8,091" in dataset.findings["other numbers than in the release"]


def test_open_images_are_shrunk_when_they_arrive_and_split_by_photo(server):
    originals.serve_open_images(server)
    dataset = prepared(project("open-images", limit=30), long_side=16)
    assert len(dataset.records) == 30 and {len(record.captions) for record in dataset.records} == {1}
    assert {Image.open(record.file).size for record in dataset.records} == {(16, 12)}
    assert all(len(dataset.split(name)) >= 2 for name in ("train", "val", "test"))


@pytest.mark.parametrize("caption", ["null", "5", "[]", '{"a": 1}'])
def test_a_line_of_the_narratives_without_a_caption_is_listed(caption, server):
    originals.serve_open_images(server)
    server.files[originals.NARRATIVES] += b'{"image_id": "x", "caption": %s}\n' % caption.encode()
    found = datasets.obtain(project("open-images")).findings["captions that are not text, left out"]
    assert found == (f"open_images_train_v6_captions.jsonl, line 41: {caption}",)


def test_a_strange_line_of_the_narratives_is_named(server):
    originals.serve_open_images(server)
    server.files[originals.NARRATIVES] += b'{"caption": "x"}\n'
    with pytest.raises(DownloadError, match=r"not accepted: .*captions\.jsonl\.part, line 41: not "):
        datasets.obtain(project("open-images"))
    assert not (project("open-images").originals / "open_images_train_v6_captions.jsonl").exists()


def test_a_zip_that_was_unpacked_half_is_finished(server, monkeypatch):
    originals.serve_flickr8k(server)
    folder = project("flickr8k").originals

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("captioning.fetching.unpack.os.replace", killed)
        fetching.fetch_archive("flickr8k-text", folder, delete=True)
    fetching.fetch_archive("flickr8k-text", folder, delete=True)
    assert (folder / "Flickr8k.token.txt").is_file() and not (folder / "Flickr8k_text.zip").exists()


def test_quick_runs_on_photos_take_few(server, monkeypatch):
    monkeypatch.setenv("CAPTIONING_QUICK", "1")
    monkeypatch.setattr(datasets, "QUICK_PHOTOS", 10)
    originals.serve_coco(server)
    assert len(datasets.obtain(project("coco2014")).records) == 10
