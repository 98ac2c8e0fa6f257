"""Flickr8k and Flickr30k: captions in a text file, splits from official lists or Karpathy's file."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from captioning.datasets import rows
from captioning.datasets.dataset import SPLITS, UNSPLIT, CaptionDataset, DatasetError, assemble
from captioning.datasets.fetching import Wanted, bare_name, fetch_archive, fetch_readable, note_of, require_most
from captioning.datasets.needs import Need, archive
from captioning.datasets.photos import NOT_THERE, Photos, look_for, nearest
from captioning.datasets.records import Record
from captioning.datasets.rows import Caption
from captioning.datasets.splits import HASH
from captioning.datasets.texts import Findings


@dataclass(frozen=True)
class Flickr:
    """A release of captioned Flickr photos, as people have it on their disks."""

    name: str
    PHOTOS: int  # of the release
    sizes: Mapping[str, int]  # split -> photos
    folders: tuple[str, ...]  # names of the photos' folder, the release's own one first
    texts: tuple[str, ...]  # names of the captions' file, likewise; others have it as Kaggle or Hugging Face give it
    lists: Mapping[str, str] = field(default_factory=dict)  # split -> official list of its photos

    @property
    def karpathy(self) -> str:
        """Karpathy's file of splits, which also serves as the file of captions."""
        return f"dataset_{self.name}.json"

    def read(self, root: Path) -> CaptionDataset:
        """Read the photos and captions as they lie on disk.

        Args:
            root: holds, itself or in folders below it, a folder of photos and a file of captions, by the first names
                that are there. The official lists decide on the splits, beside the captions or elsewhere; where the
                captions are others' and no list is there, the captions file does, if it has splits, else Karpathy's
                file; where none does, the pictures are in no split yet.

        Raises:
            DatasetError: a file is missing or lines are not in the release's layout.
        """
        folder = [*look_for(root, *self.folders, folders=True), root][0]
        photos, findings = Photos(folder), Findings(list)
        if folder == root and not photos.paths:
            raise DatasetError(f"{root} holds no photo folder; looked for {', '.join(self.folders)}; {nearest(root)}.")
        source = next((file for name in (*self.texts, self.karpathy) for file in look_for(root, name)), None)
        if source is None:
            raise DatasetError(
                f"{self.texts[0]} is missing: it belongs to the {self.name.capitalize()} text release. None of "
                f"{', '.join((*self.texts, self.karpathy))} is in {root} or the folders in it; {nearest(root)}."
            )
        captions = rows.read(source, findings)
        splits, lists = self._splits(root, source, captions)
        found = photos.find(caption.image for caption in captions)
        texts, nowhere = defaultdict(list), []
        unused: dict[str, None] = {}
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
        splits_from = "official lists" if len(lists) > 1 else lists[0].name if splits else HASH
        dataset = assemble(self.name, records, findings, splits_from, dict.fromkeys([source, *lists]))
        return self._compared_with_the_release(dataset, len(photos.paths), splits)

    def _splits(self, root: Path, source: Path, captions: list[Caption]) -> tuple[dict[str, str], list[Path]]:
        """Return file name -> split, and the files that say so: the lists, the captions, Karpathy's, or none."""
        lists = {split: (look_for(root, name) or [source.parent / name])[0] for split, name in self.lists.items()}
        if lists and (source.name == self.texts[0] or any(map(Path.exists, lists.values()))):
            if missing := [file for file in lists.values() if not file.is_file()]:
                raise DatasetError(
                    f"{missing[0]} is missing: it belongs to the {self.name.capitalize()} text release; "
                    f"{nearest(source.parent)}."
                )
            names = [(name.strip(), split) for split, file in lists.items() for name in rows.text_of(file).splitlines()]
            pairs, files = {(_key(name), split): None for name, split in names if name}, [*lists.values()]
        else:
            files = [source] if any(row.split for row in captions) else look_for(root, self.karpathy)[:1]
            of_files = [captions] if files == [source] else (rows.read(file, Findings(list)) for file in files)
            pairs = {(_key(row.image), row.split): None for listed in of_files for row in listed if row.split}
        splits = dict(pairs.keys())
        if len(splits) < len(pairs) or not {*splits.values()} <= {*SPLITS}:
            these = " and ".join(map(str, files))
            raise DatasetError(f"In {these} a photo is in two splits, or a split is none of {', '.join(SPLITS)}.")
        return splits, files

    def _compared_with_the_release(
        self, dataset: CaptionDataset, photos: int, splits: dict[str, str]
    ) -> CaptionDataset:
        """Note where there are other numbers of photos than in the release."""
        listed = Counter(splits.values())
        counts = {"photos": (photos, self.PHOTOS)}
        counts |= {f"listed for {split}": (listed[split], self.sizes[split]) for split in listed}
        counts |= {f"usable for {split}": (len(dataset.split(split)), self.sizes[split]) for split in listed}
        fewer = [f"{what}: {have:,} of {all_:,}" for what, (have, all_) in counts.items() if have != all_]
        return dataset.found("other numbers than in the release", fewer)


class Fetched(Flickr):
    """A release that can be downloaded: two zips."""

    def needs(self, root: Path, wanted: Wanted) -> list[Need]:
        """Return what `fetch` brings."""
        try:
            again = [photo for photo in self._listed(root) if not photo.exists()]
        except (FileNotFoundError, ValueError):
            again = []
        return [
            archive("flickr8k-text", 2, 10, root / "text", wanted.delete_zips),
            archive("flickr8k-photos", 1115, 1125, root / self.folders[0], wanted.delete_zips, again),
        ]

    def fetch(self, root: Path, wanted: Wanted) -> dict[Path, str]:
        """Download and unpack the release's two zips, whatever the limit; return listed photos that are in none -> why.

        Raises:
            DatasetError: the text names a photo as no photo is named.
            DownloadError: a zip cannot be had, or too many photos are missing in it.
            UnpackError: a zip is damaged.
        """
        text = partial(fetch_archive, "flickr8k-text", root, delete=wanted.delete_zips)
        files = [root / name for name in (self.texts[0], *self.lists.values())]
        photos = fetch_readable(text, partial(self._listed, root), [note_of(root / "Flickr8k_text.zip"), *files])

        def again() -> frozenset[Path]:
            return wanted.again.union(photo for photo in photos if not photo.exists())

        fetch_archive("flickr8k-photos", root, delete=wanted.delete_zips, again=again)
        missing = {photo: "is not in the zip" for photo in photos if not photo.exists()}
        require_most(missing, len(photos), wanted.missing_share)
        return missing

    def _listed(self, root: Path) -> list[Path]:
        """Return the photos in the official lists; each has captions."""
        tokens, *lists = [root / name for name in (self.texts[0], *self.lists.values())]
        lines = {file: file.read_bytes().decode(errors="replace").split("\n") for file in (tokens, *lists)}
        names = [line.partition("\t")[0].rpartition("#")[0] for line in lines.pop(tokens) if line]
        captioned = {bare_name(name, tokens) for name in names}
        listed = {file: [name.strip() for name in names if name.strip()] for file, names in lines.items()}
        for file, names in listed.items():
            if not names or not captioned.issuperset(names):
                raise DatasetError(f"{file} is empty, or lists photos without captions in {tokens.name}.")
        return [root / self.folders[0] / name for names in listed.values() for name in names]


def _key(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


flickr8k = Fetched(
    "flickr8k",
    PHOTOS=8091,
    sizes={"train": 6000, "val": 1000, "test": 1000},
    folders=("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images"),
    texts=("Flickr8k.token.txt", "captions.txt", "captions.csv"),
    lists={split: f"Flickr_8k.{part}Images.txt" for split, part in zip(SPLITS, ("train", "dev", "test"), strict=True)},
)
flickr30k = Flickr(
    "flickr30k",
    PHOTOS=31_783,
    sizes={"train": 29_000, "val": 1014, "test": 1000},  # Karpathy's, which leave out 769 photos
    folders=("flickr30k-images", "flickr30k_images", "Images", "images"),
    texts=("results_20130124.token", "results.csv", "flickr_annotations_30k.csv", "captions.txt", "captions.csv"),
)
