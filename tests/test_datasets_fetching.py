"""Every dataset is fetched from a server on the loopback address that offers what the real ones do."""

import dataclasses
import errno
import io
import json
import os
import re
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from captioning import settings
from captioning.datasets import coco, fetching, needs, open_images
from captioning.datasets import prepare as datasets
from captioning.datasets.dataset import DatasetError
from captioning.datasets.fetching import Wanted, bare_name
from captioning.fetching.download import DownloadError
from captioning.files import DamagedError
from captioning.settings import SettingError
from tests import originals
from tests.originals import photo
from tests.server import Fault, Server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        monkeypatch.setenv("CAPTIONING_MIRROR", server.url(originals.MIRROR))
        server.patch = monkeypatch
        yield server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("captioning.fetching.asking.SLOWNESS", 0.0)


def project(name, **options):
    return settings.choose(name, **options)


def prepared(project, **options):
    dataset = datasets.arrange(project, datasets.check(project, datasets.obtain(project, **options)))
    datasets.save(project, dataset)
    return dataset


def asked(server, start=""):
    return [seen.path for seen in server.seen if seen.path.startswith(start)]


def limited(limit=20):
    return project("coco2014", limit=limit)


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


def test_a_second_call_asks_for_nothing_and_a_larger_limit_only_adds(server):
    originals.serve_coco(server)
    first = prepared(limited())
    server.seen.clear()
    assert prepared(limited()) == first and server.seen == []
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


def test_all_of_coco_comes_as_zips(server):
    photos = originals.serve_coco(server)
    dataset = prepared(project("coco2014"), delete_zips=True)
    assert len(dataset.records) == len(photos) and not dataset.findings
    assert not list(project("coco2014").originals.glob("*.zip"))
    server.seen.clear()
    assert prepared(project("coco2014"), delete_zips=True) == dataset and server.seen == []


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
    server.seen.clear()
    assert prepared(project("flickr8k")) == dataset and server.seen == []


def test_open_images_are_shrunk_when_they_arrive_and_split_by_photo(server):
    originals.serve_open_images(server)
    dataset = prepared(project("open-images", limit=30), long_side=16)
    assert len(dataset.records) == 30 and {len(record.captions) for record in dataset.records} == {1}
    assert {Image.open(record.file).size for record in dataset.records} == {(16, 12)}
    assert all(len(dataset.split(name)) >= 2 for name in ("train", "val", "test"))
    server.seen.clear()
    assert prepared(project("open-images", limit=30), long_side=16) == dataset and server.seen == []


def test_an_open_images_photo_that_is_no_photo_is_listed(server):
    originals.serve_open_images(server)
    path = f"{originals.OPEN_IMAGES}/{7:016x}.jpg"
    server.files[path] = b"<html>Denied</html>"
    server.always[f"{originals.OPEN_IMAGES}/{8:016x}.jpg"] = Fault(status=403)
    dataset = prepared(project("open-images"), missing_share=0.05)
    assert len(dataset.records) == 38
    failed = dict(line.split(": ", 1) for line in dataset.findings["photos that could not be fetched"])
    assert re.search("not a picture|web page", failed[f"{7:016x}.jpg"]) and "HTTP 403" in failed[f"{8:016x}.jpg"]


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


@pytest.mark.parametrize("name", ["coco2014", "open-images"])
def test_a_named_folder_is_read_and_never_written_to(name, server):
    {"coco2014": originals.serve_coco, "open-images": originals.serve_open_images}[name](server)
    fetched = prepared(project(name, limit=30))
    root = project(name).originals
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    server.seen.clear()
    again = prepared(project(name, root=str(root), limit=30))
    assert again.records == fetched.records and server.seen == []
    assert before == sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))


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


@pytest.fixture
def mb(monkeypatch):
    """Return a function that reads a row of the cost: MB to fetch, MB of disk."""

    def row(text, what):
        (line,) = [line for line in text.splitlines() if line.startswith(what)]
        return tuple(float(number.replace(",", "")) for number in re.findall(r"(-?[\d,.]+) MB", line)[:2])

    return row


def test_the_cost_is_stated_before_anything_is_fetched(server, mb):
    text = datasets.cost(limited(2000))
    assert mb(text, "2,000 photos") == (330, 330) and mb(text, "coco-annotations") == (253, 352) and server.seen == []
    assert "coco-train2014" not in text and "coco-train2014" in datasets.cost(project("coco2014"))
    assert "about 2 minutes" in text and "MB are free" in text
    assert "200,000 photos" in datasets.cost(project("open-images"))
    assert "Nothing has to be fetched." in datasets.cost(project("scenes"))


def test_what_is_there_costs_nothing(server, mb):
    originals.serve_coco(server)
    prepared(limited())
    assert "Nothing has to be fetched." in datasets.cost(limited())
    text = datasets.cost(limited(25))
    assert "5 photos" in text and "coco-annotations" not in text


def test_leftovers_of_a_kill_and_photos_of_others_are_not_what_is_wanted(server):
    originals.serve_coco(server)
    files = [record.file for record in prepared(limited()).records]
    for file in files[:4]:
        file.rename(file.with_name(f"{file.name}.part"))
    photo(files[9].with_name("of_mine.jpg"))
    assert "4 photos" in datasets.cost(limited())


GB = 1000
ZIPS = 13.510573713 * GB, 6.645013297 * GB


def lay(root, **files):
    """Let there be files of so many MB, which take no disk."""
    root.mkdir(parents=True, exist_ok=True)
    for name, size in files.items():
        file = root / name.replace("__", "/").replace("_zip", ".zip").replace("_part", ".part")
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as empty:
            empty.truncate(int(size * 1e6))


@pytest.mark.parametrize(
    ("there", "delete", "download", "stays", "most"),
    [
        ({}, False, sum(ZIPS), 2 * sum(ZIPS), 2 * sum(ZIPS)),
        ({}, True, sum(ZIPS), sum(ZIPS), sum(ZIPS) + max(2 * ZIPS[0] - ZIPS[0] - ZIPS[1], ZIPS[1])),
        ({"train2014_zip": ZIPS[0]}, False, ZIPS[1], 2 * ZIPS[1] + ZIPS[0], 2 * ZIPS[1] + ZIPS[0]),
        ({"train2014_zip": ZIPS[0]}, True, ZIPS[1], ZIPS[1], max(ZIPS[0], 2 * ZIPS[1])),
        ({"train2014_zip_part": 13 * GB}, False, sum(ZIPS) - 13 * GB, 2 * sum(ZIPS) - 13 * GB, None),
        ({"train2014_zip": ZIPS[0], "train2014__a.jpg": 13 * GB}, False, ZIPS[1], 2 * ZIPS[1] + 0.510573713 * GB, None),
        ({"train2014__a.jpg.part": 13 * GB}, False, sum(ZIPS), 2 * sum(ZIPS), None),
        ({".train2014.unpacked": 0, "val2014_zip": ZIPS[1]}, False, 0, ZIPS[1], ZIPS[1]),
        ({".train2014.unpacked": 0, ".val2014.unpacked": 0}, False, 0, 0, 0),
        ({".train2014.unpacked": 0, ".val2014.unpacked": 0, "val2014_zip": ZIPS[1]}, True, 0, -ZIPS[1], 0),
    ],
)  # fmt: skip
def test_the_cost_counts_zips_and_their_photos_as_they_are(there, delete, download, stays, most, tmp_path, monkeypatch):
    lay(tmp_path, **{"annotations__captions_val2014.json": 0, ".annotations_trainval2014.unpacked": 0}, **there)
    (tmp_path / "splits.json").write_text("{}")
    fetched = coco.needs(tmp_path, Wanted(delete_zips=delete))
    assert sum(need.download for need in fetched) == pytest.approx(download)
    assert sum(need.disk for need in fetched) == pytest.approx(stays)
    monkeypatch.setattr("captioning.files.shutil.disk_usage", lambda _: Free(free=1e14))
    most = stays if most is None else most
    text = needs.state(fetched, [], tmp_path)
    assert (f"with at most {most:,.0f} MB of disk." if most else "Nothing has to be fetched.") in text
    monkeypatch.setattr("captioning.files.shutil.disk_usage", lambda _: Free(free=1e6 * (most - 1)))
    if most:
        with pytest.raises(DatasetError, match=r"The disk is too small.*DELETE_ZIPS"):
            needs.state(fetched, [], tmp_path)


class Free(NamedTuple):
    free: float  # bytes


def test_the_disk_of_the_features_is_counted(monkeypatch, tmp_path, mb):
    text = datasets.cost(project("coco2014"))
    assert mb(text, "features of inception_v3") == (0, round(123_287 * 64 * 2048 * 2 / 1e6))
    assert mb(text, "features of resnet50") == (0, round(123_287 * 49 * 2048 * 2 / 1e6))
    assert mb(text, "features of vgg16") == (0, round(123_287 * 4096 * 2 / 1e6))
    active = project("coco2014", encoder="mobilenet", limit=10_000)
    assert mb(datasets.cost(active), "features of mobilenet") == (0, round(10_000 * 49 * 768 * 2 / 1e6))
    lay(active.data / "features" / "mobilenet-x-imagenet", shard=752)
    lay(active.data / "features" / "mobilenet-x-random", shard=752)
    assert mb(datasets.cost(active), "features of mobilenet") == (0, 1)
    monkeypatch.setattr("captioning.files.shutil.disk_usage", lambda _: Free(free=50e9))
    assert "The features of all notebooks do not fit" in datasets.cost(project("coco2014"), delete_zips=True)
    originals.write_folder(tmp_path / "own", photos=6)
    own = datasets.cost(project("folder", root=str(tmp_path / "own"), encoder="inception_v3"))
    assert mb(own, "features of inception_v3") == (0, 2) and "Nothing has to be fetched." in own


def test_the_encoders_whose_features_are_counted_are_those_of_the_notebooks():
    used = set()
    for file in (Path(__file__).parents[1] / "notebooks").glob("*.ipynb"):
        used |= set(re.findall(r'"ENCODER = \\"(\w+)\\"', file.read_text(encoding="utf-8")))
    assert used == set(needs.NOTEBOOKS)


def test_quick_runs_on_photos_take_few(server, monkeypatch):
    monkeypatch.setenv("CAPTIONING_QUICK", "1")
    monkeypatch.setattr(datasets, "QUICK_PHOTOS", 10)
    originals.serve_coco(server)
    assert len(datasets.obtain(project("coco2014")).records) == 10


def test_photos_that_are_missing_are_fetched_and_no_others(server):
    originals.serve_open_images(server)
    active = project("open-images", limit=30)
    datasets.obtain(active)
    for _ in range(5):
        next(iter(sorted((active.originals / "train").glob("*.jpg")))).unlink()
    server.seen.clear()
    assert len(datasets.obtain(active).records) == 30 and len(server.seen) == 5


# names, arrival, and what is fetched again

BAD_NAMES = [
    "../../../../x.jpg", "..\\x.jpg", "/etc/x.jpg", "C:\\x.jpg", "C:x.jpg", "a/b.jpg", "\\\\host\\share\\x.jpg", "..",
    "", ".x.jpg", "x\0.jpg", "x\n.jpg", "x.jpg\n", "x y.jpg", "nul.jpg", "COM1.jpg", "con", "x" * 300 + ".jpg",
    "x.jpg ", "x.jpg.", "\u202egpj.x", "%2e%2e%2fx.jpg", "x?.jpg", 7, None, ["x.jpg"],
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_no_bare_name_is_refused(name):
    with pytest.raises(DatasetError, match=r"captions\.json names a photo .* delete it"):
        bare_name(name, Path("captions.json"))


def test_official_names_pass_and_others_must_be_of_pictures():
    for name in ("COCO_train2014_000000000009.jpg", "2258277193_586949ec62.jpg.1", "000a1249af2bc5f0"):
        assert bare_name(name, Path("any")) == name
    with pytest.raises(DatasetError, match=r"x\.py"):
        bare_name("x.py", Path("any"), (".jpg",))


def everything_below(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["../../../../x.jpg", "/tmp/x.jpg", "x.py", "a\\b.jpg"])
@pytest.mark.parametrize("limit", [20, None])
def test_no_name_in_coco_leads_out_of_its_folder(name, limit, server):
    originals.serve_coco(server)
    path = f"{originals.COCO}/annotations/annotations_trainval2014.zip"
    contents = originals.unpacked(server.files[path])
    captions = json.loads(contents["annotations/captions_train2014.json"])
    captions["images"][7] |= {"file_name": name, "coco_url": server.url("/evil.jpg")}
    contents["annotations/captions_train2014.json"] = json.dumps(captions).encode()
    server.files |= {path: originals.packed(contents), "/evil.jpg": b"evil"}
    originals.publish(server)
    active = limited(limit)
    with pytest.raises(DatasetError, match=r"captions_train2014\.json names a photo"):
        datasets.obtain(active)
    assert {file.suffix for file in everything_below(active.home)} == {".json", ".zip", ".unpacked"}
    assert asked(server, "/evil") == []


def test_addresses_in_the_captions_are_not_used(server):
    originals.serve_coco(server)
    path = f"{originals.COCO}/annotations/annotations_trainval2014.zip"
    contents = originals.unpacked(server.files[path])
    for name, content in contents.items():
        contents[name] = content.replace(b"http://images.cocodataset.org", b"file:///etc")
    server.files[path] = originals.packed(contents)
    originals.publish(server)
    assert len(prepared(limited()).records) == 20


@pytest.mark.parametrize("name", ["../../x", "a/b", "C:x", ""])
def test_no_id_in_open_images_leads_out_of_its_folder(name, server):
    originals.serve_open_images(server)
    line = json.dumps({"image_id": name, "caption": "text"}).encode() + b"\n"
    server.files[originals.NARRATIVES] += line
    active = project("open-images", limit=5)
    with pytest.raises(DownloadError, match=r"not accepted: .* names a photo"):
        datasets.obtain(active)
    assert {file.name for file in everything_below(active.home)} == {"active.json"}


@pytest.mark.parametrize(("name", "read"), [("a_b-1", True), ("../x", False), ("\u00e9", False), (7, False)])
def test_reading_open_images_takes_the_names_that_fetching_takes(name, read, tmp_path):
    rows = [{"image_id": image_id, "caption": "text"} for image_id in ("0a", name)]
    (tmp_path / open_images.CAPTIONS).write_text("\n".join(map(json.dumps, rows)))
    for image_id in ("0a", "a_b-1"):
        photo(tmp_path / "train" / f"{image_id}.jpg")
    dataset = open_images.read(tmp_path)
    assert {record.image_id for record in dataset.records} == ({"0a", name} if read else {"0a"})
    assert ("rows without an image id" in dataset.findings) != read


def test_no_name_in_flickr8k_leads_out_of_its_folder(server):
    originals.serve_flickr8k(server)
    path = f"{originals.FLICKR}/Flickr8k_text.zip"
    contents = originals.unpacked(server.files[path])
    contents["Flickr8k.token.txt"] += b"../../x.jpg#0\tA dog .\n"
    contents["Flickr_8k.trainImages.txt"] += b"../../x.jpg\n"
    server.files[path] = originals.packed(contents)
    originals.publish(server)
    with pytest.raises(DatasetError, match=r"Flickr8k\.token\.txt names a photo '\.\./\.\./x\.jpg'"):
        datasets.obtain(project("flickr8k"))


@pytest.mark.parametrize("same_size", [True, False])
@pytest.mark.parametrize(
    ("name", "zip_"), [("coco2014", "annotations/annotations_trainval2014"), ("coco2014", "zips/val2014")]
)
def test_a_zip_that_is_not_the_published_one_is_refused_with_a_way_out(name, zip_, same_size, server):
    originals.serve_coco(server)
    path = f"{originals.COCO}/{zip_}.zip"
    content = server.files[path]
    server.files[path] = content[:-1] + bytes([content[-1] ^ 1]) if same_size else content + b"x"
    with pytest.raises(DownloadError, match=r"published.* set CAPTIONING_ROOT to its folder"):
        datasets.obtain(project(name))
    assert not (project(name).originals / Path(path).name).exists()


SIGN_IN = b"<html>Please sign in to this network</html>"


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


SERVE = {
    "coco2014": originals.serve_coco,
    "flickr8k": originals.serve_flickr8k,
    "open-images": originals.serve_open_images,
}
CHOICES = [("coco2014", 20), ("coco2014", None), ("flickr8k", None), ("open-images", 20)]
DAMAGE = {"cut": lambda content: content[: len(content) // 2], "page": lambda _: SIGN_IN, "empty": lambda _: b""}
DAMAGE["zeros"] = lambda content: bytes(len(content))


def damaged(file, damage):
    """Damage a file as a disk does: its time stays."""
    state = file.stat()
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def without_times(dataset):
    return [dataclasses.replace(record, state=None) for record in dataset.records]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize(("name", "limit"), CHOICES)
def test_a_photo_that_was_fetched_and_is_broken_is_fetched_again(name, limit, delete, damage, server):
    SERVE[name](server)
    active = project(name, limit=limit)
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


@pytest.mark.parametrize(("name", "limit"), CHOICES)
def test_a_broken_photo_in_a_folder_of_ones_own_is_listed_and_left(name, limit, server):
    SERVE[name](server)
    before = prepared(project(name, limit=limit))
    file = before.records[3].file
    file.write_bytes(file.read_bytes()[:200])
    server.seen.clear()
    dataset = prepared(project(name, limit=limit, root=str(project(name).originals)))
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
@pytest.mark.parametrize("delete", [False, True])
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


# what is missing


def test_photos_that_are_not_in_the_zip_are_fetched_one_by_one(server):
    photos = originals.serve_coco(server)
    path = f"{originals.COCO}/zips/val2014.zip"
    server.files[path] = originals.packed(dict(list(originals.unpacked(server.files[path]).items())[:-5]))
    originals.publish(server)
    assert len(prepared(project("coco2014")).records) == len(photos)


def test_too_many_photos_missing_in_a_zip_are_an_error(server):
    originals.serve_flickr8k(server)
    path = f"{originals.FLICKR}/Flickr8k_Dataset.zip"
    contents = originals.unpacked(server.files[path])
    server.files[path] = originals.packed(dict(list(contents.items())[:-4]))  # the last is of no photo
    originals.publish(server)
    with pytest.raises(DownloadError, match=r"3 of 40 photos are missing(.|\n)*is not in the zip(.|\n)*= 0\.08\."):
        datasets.obtain(project("flickr8k"))
    dataset = prepared(project("flickr8k"), missing_share=0.08)
    assert len(dataset.records) == 37 and len(dataset.findings["photos that could not be fetched"]) == 3


def test_more_than_a_share_of_photos_that_are_gone_is_an_error_with_a_way_out(server):
    photos = originals.serve_coco(server)
    for name in list(photos)[::10]:
        del server.files[f"{originals.COCO}/{name}"]
    with pytest.raises(DownloadError, match=r"5 of 50 photos are missing, more than 1 %") as error:
        datasets.obtain(limited(50))
    assert "HTTP 404" in str(error.value) and "CAPTIONING_LIMIT" in str(error.value)
    (share,) = re.findall(r"MISSING_SHARE = ([\d.]+)\.", str(error.value))
    assert len(prepared(limited(50), missing_share=float(share)).records) == 45


def test_a_mirror_with_another_layout_is_told(server, monkeypatch):
    originals.serve_coco(server)
    prepared(limited())
    for record in datasets.obtain(limited()).records:
        record.file.unlink()
    (limited().data / "captions.json").unlink()
    monkeypatch.setenv("CAPTIONING_MIRROR", server.url("/elsewhere"))
    with pytest.raises(DownloadError, match=r"20 of 20 photos .*(.|\n)*404 .*the mirror has it at this") as error:
        datasets.obtain(limited())
    assert "MISSING_SHARE" not in str(error.value)


@pytest.mark.parametrize("missing", [1, 2])
def test_where_nothing_answers_one_photo_may_be_missing(missing, server, monkeypatch):
    originals.serve_coco(server)
    for record in prepared(limited()).records[:missing]:
        record.file.unlink()

    def unreachable(*_, **__):
        raise DownloadError("images.cocodataset.org does not answer.")

    monkeypatch.setattr(fetching, "fetch_many", unreachable)
    if missing == 1:
        assert "does not answer" in prepared(limited()).findings["photos that could not be fetched"][0]
    else:
        with pytest.raises(DownloadError, match=r"2 of 20 photos are missing(.|\n)*does not answer"):
            datasets.obtain(limited())


@pytest.mark.parametrize(
    "knobs", [{"missing_share": 5}, {"missing_share": "1 %"}, {"long_side": 0}, {"long_side": 1.5}]
)
def test_knobs_that_make_no_sense_are_refused(knobs):
    (name,) = knobs
    with pytest.raises(SettingError, match=f"^{name.upper()}="):
        datasets.obtain(limited(), **knobs)


# the size of photos


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


# where data/originals may be


def read_only(folder, monkeypatch):
    """Let everything that would write to a folder fail, as on a disk that is mounted read-only."""
    from_system = {name: getattr(os, name) for name in ("open", "utime", "unlink", "replace", "mkdir")}
    plain_open = io.open

    def refusing(name):
        def call(path, *rest, **options):
            writes = rest[0] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if name == "open" else True
            there = name != "unlink" or os.path.lexists(path)
            if writes and there and any(str(end).startswith(str(folder)) for end in (path, *rest)):
                raise OSError(errno.EROFS, "Read-only file system", str(path))
            return from_system[name](path, *rest, **options)

        return call

    def opening(path, mode="r", *rest, **options):
        if set(mode) & set("wax+") and str(path).startswith(str(folder)):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return plain_open(path, mode, *rest, **options)

    for name in from_system:
        monkeypatch.setattr(os, name, refusing(name))
    monkeypatch.setattr(io, "open", opening)
    monkeypatch.setattr("builtins.open", opening)


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize(("name", "limit"), CHOICES)
def test_what_is_there_is_used_from_a_disk_that_cannot_be_written(name, limit, delete, server, monkeypatch):
    SERVE[name](server)
    active = project(name, limit=limit)
    before = prepared(active, delete_zips=delete)
    server.seen.clear()
    read_only(active.originals, monkeypatch)
    assert prepared(active, delete_zips=delete) == before and server.seen == []


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize(("name", "limit"), CHOICES)
def test_a_copy_with_other_times_is_not_fetched_again(name, limit, delete, server):
    SERVE[name](server)
    active = project(name, limit=limit)
    before = prepared(active, delete_zips=delete, long_side=16)
    for number, file in enumerate(sorted(everything_below(active.originals), reverse=True)):
        os.utime(file, (1e9 + number, 1e9 + number))
    server.seen.clear()
    after = prepared(active, delete_zips=delete, long_side=16)
    assert without_times(after) == without_times(before) and server.seen == []


@pytest.mark.parametrize(("name", "limit"), CHOICES)
def test_zips_may_be_kept_and_deleted_later(name, limit, server):
    SERVE[name](server)
    active = project(name, limit=limit)
    before = prepared(active)
    server.seen.clear()
    assert prepared(active, delete_zips=True) == before and not list(active.originals.rglob("*.zip"))
    assert prepared(active) == before and server.seen == []


@pytest.mark.parametrize(("name", "limit"), CHOICES)
def test_photos_that_were_removed_come_from_the_zip_where_it_is(name, limit, server):
    SERVE[name](server)
    active = project(name, limit=limit)
    before = prepared(active)
    for record in before.records[:7]:
        record.file.unlink()
    server.seen.clear()
    assert without_times(prepared(active)) == without_times(before)
    assert len(server.seen) == (7 if limit else 0)


def test_what_was_removed_is_in_the_cost(server, mb):
    originals.serve_coco(server)
    for record in prepared(project("coco2014"), delete_zips=True).records[:7]:
        record.file.unlink()
    assert mb(datasets.cost(project("coco2014")), "7 photos") == (1, 1)
    originals.serve_flickr8k(server)
    prepared(project("flickr8k"), delete_zips=True).records[3].file.unlink()
    assert mb(datasets.cost(project("flickr8k")), "flickr8k-photos")[0] == 1115


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


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize(("name", "limit"), CHOICES)
def test_two_notebooks_at_once_fetch_each_zip_once(name, limit, delete, server):
    SERVE[name](server)
    server.pace = 1e6
    active = project(name, limit=limit)
    with ThreadPool(2) as pool:
        first, second = pool.map(lambda _: datasets.obtain(active, delete_zips=delete), range(2))
    assert without_times(first) == without_times(second) and first.splits_from == second.splits_from
    large = [path for path in asked(server) if path.endswith((".zip", ".jsonl"))]
    assert len(large) == len(set(large))
    assert {file.suffix for file in everything_below(active.originals)} <= {
        ".jpg", ".json", ".jsonl", ".txt", ".zip", ".unpacked", "",
    }  # fmt: skip
