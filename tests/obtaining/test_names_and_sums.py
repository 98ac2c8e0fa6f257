"""Names, addresses and zips that are not the official ones write nothing."""

import json
from pathlib import Path

import pytest

from captioning.datasets import open_images
from captioning.datasets import prepare as datasets
from captioning.datasets.dataset import DatasetError
from captioning.datasets.fetching import bare_name
from captioning.fetching.download import DownloadError
from tests import originals
from tests.obtaining.offered import asked, everything_below, limited, prepared, project
from tests.originals import photo

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
