"""Flickr8k: captions in a text file, official lists for the splits."""

from collections import Counter, defaultdict
from functools import partial
from pathlib import Path, PurePosixPath

from captioning.datasets import rows
from captioning.datasets.dataset import SPLITS, UNSPLIT, CaptionDataset, DatasetError, Record, assemble
from captioning.datasets.fetching import Wanted, bare_name, fetch_archive, fetch_readable, note_of, require_most
from captioning.datasets.needs import Need, archive
from captioning.datasets.photos import NOT_THERE, Photos, look_for, nearest
from captioning.datasets.splits import HASH
from captioning.datasets.texts import Findings

PHOTO_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
TOKENS, KAGGLE, KARPATHY = "Flickr8k.token.txt", ("captions.txt", "captions.csv"), "dataset_flickr8k.json"
PHOTOS, SIZES = 8091, {"train": 6000, "val": 1000, "test": 1000}  # of the release
LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}


def needs(root: Path, wanted: Wanted) -> list[Need]:
    """Return what `fetch` brings."""
    try:
        again = [photo for photo in _listed(root) if not photo.exists()]
    except (FileNotFoundError, ValueError):
        again = []
    return [
        archive("flickr8k-text", 2, 10, root / "text", wanted.delete_zips),
        archive("flickr8k-photos", 1115, 1125, root / PHOTO_FOLDERS[0], wanted.delete_zips, again),
    ]


def fetch(root: Path, wanted: Wanted) -> dict[Path, str]:
    """Download and unpack the release's two zips, whatever the limit; return listed photos that are in none -> why.

    Raises:
        DatasetError: the text names a photo as no photo is named.
        DownloadError: a zip cannot be had, or too many photos are missing in it.
        UnpackError: a zip is damaged.
    """
    text = partial(fetch_archive, "flickr8k-text", root, delete=wanted.delete_zips)
    files = [root / name for name in (TOKENS, *LISTS.values())]
    photos = fetch_readable(text, partial(_listed, root), [note_of(root / "Flickr8k_text.zip"), *files])

    def again() -> frozenset[Path]:
        return wanted.again.union(photo for photo in photos if not photo.exists())

    fetch_archive("flickr8k-photos", root, delete=wanted.delete_zips, again=again)
    missing = {photo: "is not in the zip" for photo in photos if not photo.exists()}
    require_most(missing, len(photos), wanted.missing_share)
    return missing


def _listed(root: Path) -> list[Path]:
    """Return the photos in the official lists; each has captions."""
    lines = {
        file: (root / file).read_bytes().decode(errors="replace").split("\n") for file in (TOKENS, *LISTS.values())
    }
    tokens = [line.partition("\t")[0].rpartition("#")[0] for line in lines.pop(TOKENS) if line]
    captioned = {bare_name(name, root / TOKENS) for name in tokens}
    listed = {file: [name.strip() for name in names if name.strip()] for file, names in lines.items()}
    for file, names in listed.items():
        if not names or not captioned.issuperset(names):
            raise DatasetError(f"{root / file} is empty, or lists photos without captions in {TOKENS}.")
    return [root / PHOTO_FOLDERS[0] / name for names in listed.values() for name in names]


def read(root: Path) -> CaptionDataset:
    """Read Flickr8k as it lies on disk.

    Args:
        root: holds, itself or in folders below it, a photo folder (`Flicker8k_Dataset`, the release's own spelling, or
            `Images`), and `Flickr8k.token.txt` with the official lists `Flickr_8k.{train,dev,test}Images.txt` beside
            it, or the `captions.txt` of Kaggle, with the lists or without: then Karpathy's `dataset_flickr8k.json`
            gives the splits, and where that is not there either, the pictures are in no split yet. It also serves as
            the file of captions.

    Raises:
        DatasetError: a file is missing or lines are not in the release's layout.
    """
    folder = [*look_for(root, *PHOTO_FOLDERS, folders=True), root][0]
    photos, findings = Photos(folder), Findings(list)
    if folder == root and not photos.paths:
        raise DatasetError(f"{root} holds no photo folder; looked for {', '.join(PHOTO_FOLDERS)}; {nearest(root)}.")
    sources = look_for(root, TOKENS) or look_for(root, *KAGGLE) or look_for(root, KARPATHY)
    if not sources:
        raise DatasetError(
            f"{TOKENS} is missing: it belongs to the Flickr8k text release. Neither it nor {KAGGLE[0]} nor {KARPATHY} "
            f"is in {root} or the folders in it; {nearest(root)}."
        )
    source = sources[0]
    captions = rows.read(source, findings)
    splits, lists = _splits(root, source)
    found = photos.find(caption.image for caption in captions)
    texts, unused, nowhere = defaultdict(list), {}, []
    for caption in captions:
        path, why, more = found[caption.image]
        name = PurePosixPath(caption.image)
        key = path or name.name, name.stem, splits.get(_key(caption.image), UNSPLIT)
        if splits and not key[2] and path:
            unused[name.name] = None
        elif splits and not key[2]:
            nowhere.append(name.name)
        elif path or (why == NOT_THERE and not more):
            texts[key].append(caption.text)
        else:
            findings[why].append(f"{caption.place}: {caption.image} ({more})")
    records = [Record(stem, photos.root / file, tuple(of), split) for (file, stem, split), of in texts.items()]
    findings |= {"photos in no official split": [*unused], "captions of photos that do not exist": nowhere}
    splits_from = HASH if not splits else KARPATHY if lists[0].name == KARPATHY else "official lists"
    dataset = assemble("flickr8k", records, findings, splits_from, dict.fromkeys([source, *lists]))
    return _compared_with_the_release(dataset, len(photos.paths), splits)


def _splits(root: Path, source: Path) -> tuple[dict[str, str], list[Path]]:
    """Return file name -> split, and the files that say so: the official lists, else Karpathy's, else none."""
    lists = {split: (look_for(root, name) or [source.parent / name])[0] for split, name in LISTS.items()}
    if source.name == TOKENS or any(map(Path.exists, lists.values())):
        if missing := [file for file in lists.values() if not file.is_file()]:
            raise DatasetError(
                f"{missing[0]} is missing: it belongs to the Flickr8k text release; {nearest(source.parent)}."
            )
        names = [(name.strip(), split) for split, file in lists.items() for name in rows.text_of(file).splitlines()]
        pairs, files = {(_key(name), split): None for name, split in names if name}, [*lists.values()]
    else:
        files = look_for(root, KARPATHY)[:1]
        listed = (row for file in files for row in rows.read(file, Findings(list)))
        pairs = {(_key(row.image), row.split): None for row in listed if row.split}
    splits = dict(pairs.keys())
    if len(splits) < len(pairs) or not {*splits.values()} <= {*SPLITS}:
        names = " and ".join(map(str, files))
        raise DatasetError(f"In {names} a photo is in two splits, or a split is none of {', '.join(SPLITS)}.")
    return splits, files


def _key(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


def _compared_with_the_release(dataset: CaptionDataset, photos: int, splits: dict[str, str]) -> CaptionDataset:
    """Note where there are other numbers of photos than in the release."""
    listed = Counter(splits.values())
    counts = {"photos": (photos, PHOTOS)} | {f"listed for {split}": (listed[split], SIZES[split]) for split in listed}
    counts |= {f"usable for {split}": (len(dataset.split(split)), SIZES[split]) for split in listed}
    fewer = [f"{what}: {have:,} of {all_:,}" for what, (have, all_) in counts.items() if have != all_]
    return dataset.found("other numbers than in the release", fewer)
