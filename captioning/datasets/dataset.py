"""What every loader gives: pictures with their captions, split by picture."""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from captioning import provenance
from captioning.datasets.photos import nearest
from captioning.datasets.records import Record, Records
from captioning.provenance import FileState, content_digest
from captioning.words import units

SPLITS = ("train", "val", "test")
UNSPLIT = ""  # the split of a picture whose source has none
NOT_ON_DISK = "annotated photos that are not on disk"
Found = TypeVar("Found")


class DatasetError(ValueError):
    """The files of a dataset are not as they should be."""


class Source(NamedTuple):
    """A file of captions or splits, as it was when it was read."""

    file: Path
    state: FileState
    content: str  # digest of its bytes

    @classmethod
    def of(cls, file: Path) -> Source:
        """Note the file as it is now."""
        state = FileState.of(file)  # before its bytes: a later change is never missed
        return cls(file, state, content_digest(file.read_bytes()))


@dataclass(frozen=True)
class CaptionDataset:
    """All usable pictures of a dataset, in a fixed shuffled order."""

    name: str
    records: Sequence[Record]
    findings: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)  # what to look at -> names
    splits_from: str = field(default="", compare=False)  # what decides on the splits; empty: drawn with the pictures
    sources: tuple[Source, ...] = field(default=(), compare=False)  # the files that it was read from
    made_from: dict = field(default_factory=dict, compare=False)  # the choices of notebook 01; see `prepare`
    _found: dict = field(default_factory=dict, init=False, compare=False, repr=False)  # see `once`

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", Records.of(self.records))

    def split(self, name: str) -> Records:
        """Return the records of one split: train, val or test."""
        _require_split(name)
        return Records.of(self.records).where(record.split == name for record in self.records)

    def captions(self, split: str) -> list[str]:
        """Return all captions of one split."""
        _require_split(split)
        return [caption for record in self.records if record.split == split for caption in record.captions]

    def once(self, split: str, of: Callable[[list[str]], Found]) -> Found:
        """Return what a function gives for the captions of a split; it is called once."""
        if (split, of) not in self._found:
            self._found[split, of] = of(self.captions(split))
        return self._found[split, of]

    def digest(self, *splits: str) -> str:
        """Return a digest of the ids, splits and captions of the pictures of these splits."""
        return provenance.digest([(r.image_id, r.split, r.captions) for name in splits for r in self.split(name)])

    def first(self, limit: int | None) -> CaptionDataset:
        """Return the first `limit` pictures of the fixed shuffled order; all for None."""
        return dataclasses.replace(self, records=self.records[:limit])

    def found(self, what: str, names: Iterable[str]) -> CaptionDataset:
        """Return the same pictures with one more finding for the report; none where there are no names."""
        names = (*self.findings.get(what, ()), *names)
        return dataclasses.replace(self, findings=self.findings | {what: names}) if names else self

    def report(self, most: int | None = None) -> str:
        """Return what was left out and what was found, each with its number and then its names, at most so many."""
        lines = []
        for what, names in self.findings.items():
            lines += [f"{what} ({len(names):,}):", *(f"  {name}" for name in names[:most])]
            lines += ["  ..."] if most is not None and len(names) > most else []
        return "\n".join(lines or ["Nothing was left out, nothing was found."]) + "\n"

    def in_units(self) -> CaptionDataset:
        """Return the dataset with the characters of its captions marked if most of train lack spaces; see `units`."""
        if not units.lacks_spaces(self.captions("train")):
            return self
        records = (dataclasses.replace(r, captions=tuple(map(units.mark, r.captions))) for r in self.records)
        return dataclasses.replace(self, records=Records.of(records))

    def letters_only(self) -> CaptionDataset:
        """Return the dataset with the captions of train in lower case and without all but letters.

        The usual cleaning of Flickr8k notebooks. The captions of val and test stay as people wrote them: they are what
        a caption is scored against, and cleaned references give other scores.
        """
        words: Counter[str] = Counter()
        records, empty = [], []
        for record in self.records:
            if record.split == "train":
                texts = [_letters_only(caption, words) for caption in record.captions]
                empty += [f"{record.image_id}: {c}" for c, t in zip(record.captions, texts, strict=True) if not t]
                record = dataclasses.replace(record, captions=tuple(filter(None, texts)))
            records.append(record)
        cleaned = dataclasses.replace(self, records=tuple(record for record in records if record.captions))
        bare = (str(record.image_id) for record in records if not record.captions)
        cleaned = cleaned.found("pictures left without a caption by the cleaning", bare)
        cleaned = cleaned.found("captions of which the cleaning leaves nothing", empty)
        dropped = (f"{word} ({count:,})" for word, count in words.most_common())
        return cleaned.found("words with digits in them, which the cleaning drops", dropped)


def _require_split(name: str) -> None:
    if name not in SPLITS:
        raise ValueError(f"Unknown split {name!r}; known: {', '.join(SPLITS)}.")


def shuffled(image_ids: Iterable[int | str]) -> list[int | str]:
    """Return the ids in the fixed shuffled order: that of a hash, so it stays when pictures are added."""
    return sorted(image_ids, key=lambda image_id: hashlib.sha256(str(image_id).encode()).digest())


def assemble(
    name: str,
    records: Iterable[Record],
    findings: Mapping[str, Sequence[str]] | None = None,
    splits_from: str = "",
    sources: Iterable[Path] = (),
) -> CaptionDataset:
    """Put the records into the fixed shuffled order and leave out what cannot be used.

    Args:
        records: records as found; the file may be missing.
        findings: what the loader left out, reason -> names.
        splits_from: what decides on the splits, for example the name of a file.
        sources: the files that the loader has read just now.

    Raises:
        DatasetError: nothing usable is left, or there is nothing to train on.
    """
    left_out = defaultdict(list, {reason: list(names) for reason, names in (findings or {}).items()})
    present: dict[Path, set[str]] = {}
    usable = []
    for record in records:
        folder = record.file.parent
        if folder not in present:
            present[folder] = _names(folder)
        if record.file.name not in present[folder]:
            left_out[NOT_ON_DISK].append(str(record.file))
        elif not record.captions:
            left_out["photos without a caption"].append(str(record.image_id))
        else:
            usable.append(record)
    if not any(record.split in ("train", UNSPLIT) for record in usable):
        left = {reason: names for reason, names in left_out.items() if names}
        reasons = ", ".join(f"{len(names)} {reason}" for reason, names in left.items()) or "none was found"
        away = next(iter(left_out[NOT_ON_DISK]), "")
        hint = f" Looked for {away}: is a drive not mounted? {nearest(Path(away).parent)}." if away else ""
        examples = "".join(f"\n  {reason}: {names[0]}" for reason, names in left.items() if reason != NOT_ON_DISK)
        raise DatasetError(f"{name}: no usable picture to train on ({reasons}).{hint}{examples}")
    by_id = {record.image_id: record for record in usable}
    if len(by_id) < len(usable):
        raise DatasetError(f"{name}: {len(usable) - len(by_id)} pictures have the image id of another one.")
    return CaptionDataset(
        name,
        tuple(by_id[image_id] for image_id in shuffled(by_id)),
        {reason: tuple(names) for reason, names in left_out.items() if names},
        splits_from,
        tuple(map(Source.of, sources)),
    )


def _letters_only(caption: str, dropped: Counter[str]) -> str:
    """Return the caption in lower case; punctuation goes, a word with digits goes as a whole and is counted.

    Vowel signs and accents are part of a letter, and so are the joiners between letters.
    """
    words = "".join(c for c in caption.lower() if c.isalnum() or c.isspace() or _belongs(c)).split()
    dropped.update(word for word in words if not all(c.isalpha() or _belongs(c) for c in word))
    return " ".join(word for word in words if all(c.isalpha() or _belongs(c) for c in word))


def _belongs(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character in "\u200c\u200d"


def _names(folder: Path) -> set[str]:
    """List a folder once: asking the disk for each of 120,000 photos takes minutes on a network drive."""
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
