"""What every loader gives: pictures with their captions, split by picture."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from captioning.provenance import FileState

SPLITS = ("train", "val", "test")
UNSPLIT = ""  # the split of a picture whose source has none
NOT_ON_DISK = "annotated photos that are not on disk"


class DatasetError(ValueError):
    """The files of a dataset are not as they should be."""


@dataclass(frozen=True)
class Record:
    """One picture with its captions."""

    image_id: int | str
    file: Path
    captions: tuple[str, ...]
    split: str
    truth: dict | None = None  # what is really in a drawn scene
    content: str = ""  # digest of the file's bytes; empty until the photo check has read them
    state: FileState | None = None  # of the file as the photo check read it


@dataclass(frozen=True)
class CaptionDataset:
    """All usable pictures of a dataset, in a fixed shuffled order."""

    name: str
    records: tuple[Record, ...]
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> how many
    findings: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)  # what to look at -> names

    def split(self, name: str) -> list[Record]:
        """Return the records of one split: train, val or test."""
        if name not in SPLITS:
            raise ValueError(f"Unknown split {name!r}; known: {', '.join(SPLITS)}.")
        return [record for record in self.records if record.split == name]

    def captions(self, split: str) -> list[str]:
        """Return all captions of one split."""
        return [caption for record in self.split(split) for caption in record.captions]

    def first(self, limit: int | None) -> CaptionDataset:
        """Return the first `limit` pictures of the fixed shuffled order; all for None."""
        return dataclasses.replace(self, records=self.records[:limit])

    def found(self, what: str, names: Iterable[str]) -> CaptionDataset:
        """Return the same pictures with one more finding for the report; none where there are no names."""
        names = tuple(names)
        return dataclasses.replace(self, findings=self.findings | {what: names}) if names else self

    def report(self, most: int | None = None) -> str:
        """Return what was left out and what was found, one line each.

        Args:
            most: names per finding; None for all.
        """
        lines = [f"{count:,} {reason}" for reason, count in self.left_out.items()]
        for what, names in self.findings.items():
            lines += [f"{what} ({len(names):,}):", *(f"  {name}" for name in names[:most])]
            lines += ["  ..."] if most is not None and len(names) > most else []
        return "\n".join(lines or ["Nothing was left out, nothing was found."]) + "\n"

    def letters_only(self) -> CaptionDataset:
        """Return the dataset with the captions of train in lower case and without all but letters.

        The usual cleaning of Flickr8k notebooks. The captions of val and test stay as people wrote them: they are what
        a caption is scored against, and cleaned references give other scores.
        """
        records = [
            dataclasses.replace(r, captions=tuple(filter(None, map(_letters_only, r.captions))))
            if r.split == "train" else r
            for r in self.records
        ]  # fmt: skip
        return dataclasses.replace(self, records=tuple(record for record in records if record.captions))

    def resplit(self, train_share: float) -> CaptionDataset:
        """Return the same pictures with a split of our own, by picture, in the fixed shuffled order.

        Args:
            train_share: share of the pictures for training; a tenth of these, the last ones, becomes val, the rest
                of the pictures test.
        """
        first_test = round(train_share * len(self.records))
        first_val = first_test - first_test // 10
        names = ["train" if n < first_val else "val" if n < first_test else "test" for n in range(len(self.records))]
        records = tuple(dataclasses.replace(r, split=name) for r, name in zip(self.records, names, strict=True))
        return dataclasses.replace(self, records=records)

    def save(self, path: Path) -> None:
        """Write the records as JSON; files below the JSON's folder by their relative path."""
        rows = []
        for record in self.records:
            row = dataclasses.asdict(record)
            file = record.file.resolve()
            inside = file.is_relative_to(path.parent.resolve())
            row["file"] = str(file.relative_to(path.parent.resolve()) if inside else file)
            rows.append(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Findings have a file of their own: the later notebooks do not need them.
        content = {"name": self.name, "left_out": self.left_out, "records": rows}
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> CaptionDataset:
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        records = tuple(
            Record(**(row | {"file": path.parent / row["file"], "captions": tuple(row["captions"])}))
            for row in content["records"]
        )
        return cls(content["name"], records, content["left_out"])


def shuffled(image_ids: Iterable[int | str]) -> list[int | str]:
    """Return the ids in the fixed shuffled order: that of a hash, so it stays when pictures are added."""
    return sorted(image_ids, key=lambda image_id: hashlib.sha256(str(image_id).encode()).digest())


def assemble(name: str, records: Iterable[Record], left_out: Counter) -> CaptionDataset:
    """Put the records into the fixed shuffled order and leave out what cannot be used.

    Args:
        name: the dataset's name.
        records: records as found; the file may be missing.
        left_out: reasons counted so far.

    Raises:
        DatasetError: nothing usable is left, or there is nothing to train on.
    """
    left_out = Counter(left_out)
    records = list(records)
    present = {folder: _names(folder) for folder in {record.file.parent for record in records}}
    usable = []
    for record in records:
        captions = tuple(" ".join(caption.split()) for caption in record.captions if caption.strip())
        left_out["empty captions"] += len(record.captions) - len(captions)
        if record.file.name not in present[record.file.parent]:
            left_out[NOT_ON_DISK] += 1
        elif not captions:
            left_out["photos without a caption"] += 1
        else:
            usable.append(dataclasses.replace(record, captions=captions))
    if not any(record.split in ("train", UNSPLIT) for record in usable):
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
        raise DatasetError(f"{name}: no usable picture to train on ({reasons or 'none was found'}).")
    by_id = {record.image_id: record for record in usable}
    if len(by_id) < len(usable):
        raise DatasetError(f"{name}: {len(usable) - len(by_id)} image ids stand for two pictures.")
    return CaptionDataset(
        name, tuple(by_id[image_id] for image_id in shuffled(by_id)), {reason: n for reason, n in left_out.items() if n}
    )


def _letters_only(caption: str) -> str:
    """Return the caption in lower case; marks go, a word that holds anything else than letters goes as a whole."""
    words = "".join(c for c in caption.lower() if c.isalnum() or c.isspace()).split()
    return " ".join(word for word in words if word.isalpha())


def _names(folder: Path) -> set[str]:
    """List a folder once: asking the disk for each of 120,000 photos takes minutes on a network drive."""
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
