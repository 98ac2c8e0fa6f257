"""Small originals of every downloadable dataset, as their servers offer them."""

import csv
import functools
import hashlib
import io
import json
import os
import random
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from captioning.fetching.download import URLS
from captioning.provenance import FileState
from captioning.settings import Project

REAL = Path(__file__).parents[2] / "shared" / "real"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real photos are not here: {REAL}")
MIRROR = "/mirror"
COCO = f"{MIRROR}/images.cocodataset.org"
KARPATHY = f"{MIRROR}/cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
FLICKR = f"{MIRROR}/github.com/jbrownlee/Datasets/releases/download/Flickr8k"
NARRATIVES = f"{MIRROR}/storage.googleapis.com/localized-narratives/annotations/open_images_train_v6_captions.jsonl"
OPEN_IMAGES = f"{MIRROR}/open-images-dataset.s3.amazonaws.com/train"
COLOURS = ("red", "green", "blue", "white", "black")
SPLITS = ("train", "train", "train", "val", "test")


def photo(path):
    """Write a small black photo and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def repaint(file):
    """Write another picture of the same size under the same name, with the time of the old one."""
    state = FileState.of(file)
    file.write_bytes(file.read_bytes()[:-40] + bytes(38) + b"\xff\xd9")
    os.utime(file, ns=(state.modified, state.modified))
    assert FileState.of(file)[:2] == state[:2]


def splits_of(dataset):
    """Return image id -> split."""
    return {record.image_id: record.split for record in dataset.records}


def counts_of(dataset):
    """Return reason -> number of what the dataset's report names."""
    return {reason: len(names) for reason, names in dataset.findings.items()}


def jpeg(number, size=(32, 24)):
    """Return the bytes of a photo; another number is another photo."""
    image = Image.frombytes("RGB", size, random.Random(number).randbytes(3 * size[0] * size[1]))
    image.paste(COLOURS[number % 5], (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    image.save(file, "JPEG", comment=str(number))
    return file.getvalue()


def made_up(number):
    """Return a photo and five captions of some variety."""
    words = random.Random(number)
    things = [words.choice(("dog", "cat", "child", "boat", "house")) for _ in range(5)]
    return jpeg(number), [f"A {COLOURS[number % 5]} {thing} stands in picture {number % 3}." for thing in things]


def real_photos():
    """Return a function like `made_up` that gives real photos with their real captions."""
    content = json.loads((REAL / "coco" / "annotations" / "captions_val2014.json").read_text())
    captions = {image["id"]: [] for image in content["images"]}
    for row in content["annotations"]:
        captions[row["image_id"]].append(" ".join(row["caption"].split()))
    pairs = [(REAL / "coco" / "val2014" / image["file_name"], captions[image["id"]]) for image in content["images"]]
    return lambda number: (pairs[number][0].read_bytes(), pairs[number][1])


def packed(files):
    """Return a zip of name -> bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def unpacked(content):
    """Return name -> bytes of a zip, the other way round as `packed`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def publish(server):
    """Let the table of addresses have the sums and sizes of what this server has now, if it has a way to undo that."""
    for name, entry in URLS.items():
        content = server.files.get(f"{MIRROR}/{entry['url'].partition('//')[2]}")
        if content is not None and entry.keys() & {"md5", "size"} and hasattr(server, "patch"):
            sums = {"md5": hashlib.md5(content).hexdigest(), "size": len(content)}
            server.patch.setitem(URLS, name, {"url": entry["url"]} | sums)


def publish_to_kernels(server, folder, patch):
    """Do the same for kernels that are started later: IPython runs what is in its startup folder."""
    server.patch = patch
    publish(server)
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "published.py").write_text(f"from captioning.fetching.download import URLS\nURLS.update({URLS!r})\n")
    patch.setenv("IPYTHONDIR", str(folder))


def serve_coco(server, train=30, val=20, karpathy=True, source=made_up, year=2014):
    """Offer COCO: both zips, every photo by itself, the annotations; return file name -> photo."""
    annotations, photos, splits = {f"annotations/instances_val{year}.json": b"not wanted"}, {}, []
    for part, ids in ((f"train{year}", range(1, 1 + train)), (f"val{year}", range(1001, 1001 + val))):
        names = {number: f"COCO_{part}_{number:012d}.jpg" if year == 2014 else f"{number:012d}.jpg" for number in ids}
        own = {f"{part}/{name}": source(number)[0] for number, name in names.items()}
        images = [
            {"id": number, "file_name": name, "coco_url": f"http://images.cocodataset.org/{part}/{name}"}
            for number, name in names.items()
        ]
        rows = [{"image_id": number, "caption": text} for number in ids for text in source(number)[1]]
        content = json.dumps({"images": images, "annotations": rows}).encode()
        annotations[f"annotations/captions_{part}.json"] = content
        server.files[f"{COCO}/zips/{part}.zip"] = packed(own)
        server.files |= {f"{COCO}/{name}": photo for name, photo in own.items()}
        photos |= own
        splits += [{"cocoid": number, "split": SPLITS[number % 5]} for number in ids]
    server.files[f"{COCO}/annotations/annotations_trainval{year}.zip"] = packed(annotations)
    if karpathy:
        files = {"dataset_coco.json": json.dumps({"images": splits}), "dataset_flickr8k.json": "{}"}
        server.files[KARPATHY] = packed(files)
    publish(server)
    return photos


serve_coco2017 = functools.partial(serve_coco, year=2017)


def serve_flickr8k(server, photos=40, source=made_up):
    """Offer Flickr8k; a caption of a photo that does not exist is in it, as in the release."""
    names = {number: f"{number}_abc.jpg" for number in range(photos)}
    lines = [f"{name}#{n}\t{text}" for number, name in names.items() for n, text in enumerate(source(number)[1])]
    lines.append("2258277193_586949ec62.jpg.1#0\tA photo that does not exist .")
    text = {"Flickr8k.token.txt": "\n".join(lines) + "\n"}
    for split, file in (("train", "trainImages"), ("val", "devImages"), ("test", "testImages")):
        text[f"Flickr_8k.{file}.txt"] = "\n".join(name for n, name in names.items() if SPLITS[n % 5] == split) + "\n"
    server.files[f"{FLICKR}/Flickr8k_text.zip"] = packed(text)
    contents = {f"Flicker8k_Dataset/{name}": source(number)[0] for number, name in names.items()}
    server.files[f"{FLICKR}/Flickr8k_Dataset.zip"] = packed(contents | {"__MACOSX/._x": b"left by a Mac"})
    publish(server)


def serve_open_images(server, photos=40, source=made_up):
    """Offer Open Images: one long caption each."""
    rows = []
    for number in range(photos):
        image_id = f"{number:016x}"
        photo, texts = source(number)
        text = " ".join(texts[:4]) + " In the background there are trees, a building and the sky."
        rows.append({"dataset_id": "train", "image_id": image_id, "annotator_id": 1, "caption": text})
        server.files[f"{OPEN_IMAGES}/{image_id}.jpg"] = photo
    server.files[NARRATIVES] = "".join(json.dumps(row) + "\n" for row in rows).encode()


def write_coco(root, **parts):
    """Write a COCO folder, a photo and a caption for each id of each part; return the folder."""
    (root / "annotations").mkdir(parents=True)
    for part, ids in parts.items():
        (root / part).mkdir()
        for number in ids:
            (root / part / f"{number}.jpg").write_bytes(jpeg(number))
        images = [{"id": number, "file_name": f"{number}.jpg"} for number in ids]
        annotations = [{"image_id": number, "caption": "a photo"} for number in ids]
        content = json.dumps({"images": images, "annotations": annotations})
        (root / "annotations" / f"captions_{part}.json").write_text(content)
    return root


def write_folder(root, photos=40, source=made_up):
    """Write a folder of one's own photos with a CSV of captions."""
    (root / "holidays").mkdir(parents=True)
    with (root / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "caption"])
        for number in range(photos):
            photo, texts = source(number)
            (root / "holidays" / f"{number:03d}.jpg").write_bytes(photo)
            rows.writerows([f"holidays/{number:03d}.jpg", text] for text in texts[:2])


def own_project(folder):
    """Write forty photos of one's own into a folder and return a project on them, whose home is elsewhere."""
    write_folder(folder / "own", photos=40)
    return Project("folder", root=str(folder / "own"), home=folder / "home")
