"""COCO: its official layout, the splits that researchers use, and files that are something else."""

import json

import pytest

from captioning.datasets.coco import coco2014 as coco
from captioning.datasets.coco import coco2017
from captioning.datasets.dataset import DatasetError
from captioning.files import DamagedError
from tests.originals import REAL, counts_of, needs_real, photo, splits_of


def write(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def coco_root(tmp_path):
    """Write a COCO folder: ids 1 to 4 in train2014, 11 to 16 in val2014, with one to three captions each."""
    (tmp_path / "annotations").mkdir()
    for part, ids in (("train2014", range(1, 5)), ("val2014", range(11, 17))):
        names = {image_id: f"COCO_{part}_{image_id:012d}.jpg" for image_id in ids}
        for name in names.values():
            photo(tmp_path / part / name)
        annotations = [
            {"id": 10 * image_id + number, "image_id": image_id, "caption": f"A photo {image_id}.\nCaption {number}. "}
            for number in range(3)
            for image_id in ids
            if number < image_id % 3 + 1
        ]
        images = [{"id": image_id, "file_name": name, "width": 4} for image_id, name in names.items()]
        write(tmp_path / "annotations" / f"captions_{part}.json", {"images": images, "annotations": annotations})
    return tmp_path


def edit(root, change):
    """Change what the captions file of val2014 holds."""
    file = root / "annotations" / "captions_val2014.json"
    content = json.loads(file.read_text())
    change(content)
    write(file, content)


def test_coco_without_splits(coco_root):
    dataset = coco.read(coco_root)
    expected = {number: "train" for number in range(1, 5)} | {11: "test", 13: "test", 15: "test"}
    assert splits_of(dataset) == expected | {12: "val", 14: "val", 16: "val"}
    assert dataset.name == "coco2014" and not dataset.findings
    captions = {record.image_id: record.captions for record in dataset.records}
    assert captions[3] == ("A photo 3. Caption 0.",)  # one is enough
    assert captions[11] == tuple(f"A photo 11. Caption {number}." for number in range(3))
    assert all(record.file.is_file() and f"{record.image_id:012d}" in record.file.name for record in dataset.records)


def test_splits_json_decides(coco_root):
    write(coco_root / "splits.json", {"train": [11, 12, 1], "val": [2], "test": [3]})
    write(coco_root / "dataset_coco.json", {"images": "not looked at"})
    dataset = coco.read(coco_root)
    assert splits_of(dataset) == {11: "train", 12: "train", 1: "train", 2: "val", 3: "test"}
    assert counts_of(dataset) == {"photos in no split": 5} and dataset.splits_from == "splits.json"


def test_karpathys_splits(coco_root):
    (coco_root / "annotations" / "captions_train2014.json").unlink()  # val2014 alone is enough with splits
    pairs = {11: "restval", 12: "Train", 13: "training", 14: "validation", 15: "test"}
    images = [{"cocoid": number, "split": split, "filepath": "val2014"} for number, split in pairs.items()]
    write(coco_root / "dataset_coco.json", {"images": images, "dataset": "coco"})
    assert splits_of(coco.read(coco_root)) == {11: "train", 12: "train", 13: "train", 14: "val", 15: "test"}


@pytest.mark.parametrize(
    "splits",
    [
        {"train": [1, 2], "val": [2], "test": [3]},
        {"train": [1, 1], "val": [2], "test": [3]},
    ],
)
def test_an_image_in_two_splits_is_an_error(splits, coco_root):
    write(coco_root / "splits.json", splits)
    with pytest.raises(DatasetError, match=r"splits\.json puts the same image into two splits or names it twice"):
        coco.read(coco_root)


def test_ids_that_are_written_as_text_are_the_same(coco_root):
    expected = splits_of(coco.read(coco_root))
    edit(coco_root, lambda content: [image.update(id=str(image["id"])) for image in content["images"]])
    assert splits_of(coco.read(coco_root)) == expected
    write(coco_root / "splits.json", {"train": ["1", "12"], "val": ["2"], "test": ["0011"]})
    assert splits_of(coco.read(coco_root)) == {1: "train", 12: "train", 2: "val", 11: "test"}


@pytest.mark.parametrize("image_id", [None, [11], {"a": 1}, "a-11", 1.5])
def test_ids_that_are_no_numbers(image_id, coco_root):
    edit(coco_root, lambda content: content["images"][0].update(id=image_id))
    edit(coco_root, lambda content: content["annotations"][0].update(image_id=image_id))
    assert len(coco.read(coco_root).records) == 10


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset_coco.json", {"images": [{"cocoid": 1, "split": "mine"}]}),
        ("splits.json", {"train": [1]}),
        ("splits.json", [1, 2]),
        ("dataset_coco.json", {"images": [{"cocoid": 1}]}),
        ("dataset_coco.json", {"images": [{"cocoid": 1, "split": None}]}),
        ("dataset_coco.json", {}),
    ],
)
def test_splits_in_another_layout(name, content, coco_root):
    write(coco_root / name, content)
    with pytest.raises(DatasetError, match=f"{name} is not in its usual layout"):
        coco.read(coco_root)


IMAGES = [{"id": 1, "file_name": "1.jpg"}]


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"images": IMAGES},
        {"images": IMAGES, "annotations": [{"image_id": 1}]},
        {"images": IMAGES, "annotations": [{"image_id": 2, "caption": "of an unlisted photo"}]},
        {"images": IMAGES, "annotations": [{"image_id": 1, "caption": None}]},
        {"images": [{"id": 1}], "annotations": []},
        {"images": {"1": "1.jpg"}, "annotations": {"1": ["a photo"]}},
        {"1.jpg": ["a photo", "a picture"]},
    ],
)
def test_captions_in_another_layout(content, coco_root):
    write(coco_root / "annotations" / "captions_val2014.json", content)
    with pytest.raises(DatasetError, match=r"captions_val2014\.json is not in COCO's captions layout.*image_id"):
        coco.read(coco_root)


@pytest.mark.parametrize("caption", [None, 5, [], ["a photo"], {"raw": "a photo"}, "", "\n"])
def test_an_annotation_that_is_no_caption_is_listed(caption, coco_root):
    before = {record.image_id: record.captions for record in coco.read(coco_root).records}
    edit(coco_root, lambda content: content["annotations"].append({"image_id": 11, "caption": caption}))
    dataset = coco.read(coco_root)
    ((reason, (told,)),) = dataset.findings.items()
    assert reason in ("captions that are not text, left out", "empty captions")
    assert told == f"captions_val2014.json, annotation 12: {json.dumps(caption)}"
    assert {record.image_id: record.captions for record in dataset.records} == before


@pytest.mark.parametrize("row", [{"image_id": 99, "caption": "A dog."}, {"caption": "A dog."}, None, {"image_id": [1]}])
def test_an_annotation_of_no_image_is_listed(row, coco_root):
    edit(coco_root, lambda content: content["annotations"].insert(0, row))
    dataset = coco.read(coco_root)
    (told,) = dataset.findings["annotations of images that are not listed"]
    assert told == f"captions_val2014.json, annotation 0: {json.dumps(row)}" and len(dataset.records) == 10


def test_an_id_of_two_images_is_an_error(coco_root):
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "2.jpg"}]
    write(coco_root / "annotations" / "captions_val2014.json", {"images": images, "annotations": []})
    with pytest.raises(DatasetError, match="the id 1 is given to two images"):
        coco.read(coco_root)


def rename(root, change):
    """Change the file names."""
    edit(root, lambda content: [image.update(file_name=change(image["file_name"])) for image in content["images"]])


@pytest.mark.parametrize(
    "change", ["../val2014/{}", "val2014/{}", "val2014\\{}", "C:\\coco\\{}", "/data/coco/val2014/{}", "./{}", "deep/{}"]
)
def test_names_with_folders_in_front(change, coco_root):
    before = {record.image_id: record.file.name for record in coco.read(coco_root).records}
    rename(coco_root, change.format)
    if change.startswith("deep"):
        (coco_root / "val2014").rename(coco_root / "moving")
        (coco_root / "val2014").mkdir()
        (coco_root / "moving").rename(coco_root / "val2014" / "deep")
    dataset = coco.read(coco_root)
    assert {record.image_id: record.file.name for record in dataset.records} == before and not dataset.findings


@pytest.mark.parametrize(
    "name", ["../../secret.jpg", "/secret.jpg", "D:/secret.jpg", "a/../../../secret.jpg", "..\\..\\s.jpg"]
)
def test_nothing_outside_of_the_folder_is_read(name, coco_root):
    photo(coco_root.parent / "secret.jpg")
    photo(coco_root.parent / "s.jpg")
    name = str(coco_root.parent / "secret.jpg") if name == "/secret.jpg" else name
    rename(coco_root, lambda old: name if old.endswith("11.jpg") else old)
    dataset = coco.read(coco_root)
    assert len(dataset.records) == 9 and 11 not in splits_of(dataset)
    (told,) = dataset.findings["rows that name a file outside of the folder"]
    assert name.rpartition("/")[2].rpartition("\\")[2] in told and str(coco_root) in told


@pytest.mark.parametrize("layout", ["flat", "one folder", "doubled", "2017", "other case"])
def test_the_layouts_of_coco(layout, coco_root):
    before = {r.image_id: (r.captions, r.split) for r in coco.read(coco_root).records}
    for part in ("train2014", "val2014"):
        target = {"flat": coco_root, "one folder": coco_root / "images"}.get(layout, coco_root / part / part)
        for file in [*(coco_root / part).iterdir()] if layout in ("flat", "one folder", "doubled") else ():
            target.mkdir(exist_ok=True)
            file.rename(target / file.name)
        if layout == "2017":
            (coco_root / part).rename(coco_root / part.replace("2014", "2017"))
            file = coco_root / "annotations" / f"captions_{part}.json"
            file.rename(str(file).replace("2014", "2017"))
        if layout == "other case":
            (coco_root / part).rename(coco_root / part.upper())
    if layout == "doubled":
        (coco_root / "annotations").rename(coco_root / "moving")
        (coco_root / "annotations_trainval2014").mkdir()
        (coco_root / "moving").rename(coco_root / "annotations_trainval2014" / "annotations")
    dataset = coco.read(coco_root)
    assert {r.image_id: (r.captions, r.split) for r in dataset.records} == before and not dataset.findings
    assert dataset.splits_from == ("val2017 halved" if layout == "2017" else "val2014 halved")


def test_of_two_years_in_one_folder_the_one_asked_for_is_read(coco_root):
    for part, ids in (("train2017", (1, 2)), ("val2017", (11,))):
        images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in ids]
        annotations = [{"image_id": number, "caption": "Of 2017."} for number in ids]
        write(coco_root / "annotations" / f"captions_{part}.json", {"images": images, "annotations": annotations})
        for image in images:
            photo(coco_root / part / image["file_name"])
    images = [{"cocoid": 1, "split": "restval"}, {"cocoid": 11, "split": "test"}]
    write(coco_root / "dataset_coco.json", {"images": images})
    dataset = coco2017.read(coco_root)
    assert dataset.name == "coco2017" and splits_of(dataset) == {1: "train", 11: "test"}
    assert {record.captions for record in dataset.records} == {("Of 2017.",)}
    assert {record.captions[0][:7] for record in coco.read(coco_root).records} == {"A photo"}


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"images": [', b"\xff\xd8\xff\xe0"])
def test_captions_that_are_no_json(content, coco_root):
    (coco_root / "annotations" / "captions_val2014.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"captions_val2014\.json is damaged .*Replace it"):
        coco.read(coco_root)


def test_a_folder_without_annotations(tmp_path):
    with pytest.raises(
        DatasetError, match=r"neither annotations/captions_train2014\.json nor .*holds nothing.*CAPTIONING_ROOT"
    ):
        coco.read(tmp_path)


@needs_real
def test_the_real_coco():
    dataset = coco.read(REAL / "coco")
    assert [len(dataset.split(split)) for split in ("train", "val", "test")] == [1684, 200, 300]
    assert sum(len(record.captions) for record in dataset.records) == 10_928
    assert {len(record.captions) for record in dataset.records} == {5, 6, 7}
    assert not dataset.findings and not any("\n" in caption for caption in dataset.captions("train"))
