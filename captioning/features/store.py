"""The features on disk: found by a picture's id and content, read a few at a time."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from captioning.datasets.records import Record, Records
from captioning.encoders import spec_of
from captioning.environment import of_process
from captioning.features.index import BROKEN, Entry, key_of
from captioning.features.shards import FeatureError, Shards
from captioning.files import NO_ARRAYS, DamagedError, read_json, write_atomically, write_json
from captioning.provenance import FileState, content_digest, difference, digest
from captioning.quiet import keras
from captioning.quiet import tensorflow as tf
from captioning.settings import Project, require

SHARD = 512  # rows per shard
PART = 64  # rows in memory at a time
SAMPLE = 5000  # pictures that the statistics are taken over, at most
SPOT_CHECK = 32  # rows whose bytes count in the digest of the features
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_IDENTITY = ("dtype", "shard", "versions")  # fields of the manifest that do not decide what the numbers are


def folder_of(project: Project, encoder: str) -> Path:
    """Return the folder of the features of one encoder, for the weights and the precision that are used now."""
    precision = of_process("PRECISION")
    ending = "" if precision == "float32" else f"-{precision}"
    return project.data / "features" / f"{encoder}-{spec_of(encoder).layer}-{project.weights_kind}{ending}"


class FeatureStore:
    """The features of all encoded pictures; a row is found by the picture's id and content."""

    def __init__(self, folder: Path, mend: bool = False):
        """Open a feature folder; `mend` names damaged parts and gives them up, instead of raising (`for_writing`).

        Raises:
            FileNotFoundError: `extract` has not been run for it.
            FeatureError: a file in it is damaged; the message names it.
        """
        self.folder = Path(folder)
        self._way_out = f"Run notebooks/{_maker(self.folder)}.ipynb again."
        manifest = require(self.folder / "manifest.json", made_by=_maker(self.folder))
        try:
            self.manifest: dict = read_json(manifest, self._way_out)
            self.regions, self.channels = self.manifest["regions"], self.manifest["channels"]
            per_shard = self.manifest["shard"]
        except (DamagedError, TypeError, KeyError) as error:
            raise FeatureError(f"{manifest} is damaged ({error!r}). {self._way_out}") from error
        self.identity = {field: value for field, value in self.manifest.items() if field not in _NOT_IDENTITY}
        self._shards = Shards(self.folder, _header(self.manifest), (self.regions, self.channels), per_shard)
        self._contents: dict[tuple, str] = {}
        if self._shards.damage and not mend:
            raise FeatureError(f"{'; '.join(self._shards.damage)}. {self._way_out} It restores what is lost.")
        if mend:
            for damage in self._shards.damage:
                print(f"{damage}: what is lost is made again.")
            self._shards.mend()

    @classmethod
    def for_writing(cls, folder: Path, identity: dict) -> FeatureStore:
        """Open a feature folder for `add`, new or not; a FeatureError if its rows come from another encoder.

        The caller holds `files.only_one` for it.
        """
        _check_manifest(folder, identity | {"dtype": "float16", "shard": SHARD})
        return cls(folder, mend=True)

    def add(self, entries: Sequence[Entry]) -> None:
        """Write rows, and why pictures have none; after an OSError, what was there before is untouched."""
        try:
            self._shards.add(entries)
        except OSError as error:
            if error.errno not in _DISK_FULL:
                raise
            need = len(entries) * self._shards.row_bytes >> 20
            raise OSError(
                error.errno, f"The disk is full. All that was written before is kept; free {need + 1} MiB or more and "
                "run this again, or set a smaller CAPTIONING_LIMIT. Folder", str(self.folder),
            ) from error  # fmt: skip

    def key(self, record: Record) -> str:
        """Return what the record's row is found by; a photo that no check has read is read here."""
        return key_of(record.image_id, record.content or self._content(record))

    def _content(self, record: Record) -> str:
        """Return the digest of the photo's bytes; if it cannot be seen, that of the newest row under its id."""
        try:
            known = (record.file, FileState.of(record.file))
            if known not in self._contents:
                self._contents[known] = content_digest(record.file.read_bytes())
            return self._contents[known]
        except OSError:
            return self._shards.known.newest_content(record.image_id)

    def numbers(self, records: Sequence[Record]) -> np.ndarray:
        """Return the number of each picture's row, -1 where there is none: int64 (records,)."""
        return self._shards.known.find([self.key(record) for record in records])

    def __contains__(self, record: Record) -> bool:
        return self.numbers([record])[0] >= 0

    def __len__(self) -> int:
        return len(self._shards.known)

    def unsettled(self, records: Sequence[Record]) -> dict[str, Record]:
        """Return, by key, the pictures that have no row and are not known to be broken."""
        keys, without = [self.key(record) for record in records], self._shards.known.without
        return {
            key: record
            for key, record, number in zip(keys, records, self._shards.known.find(keys), strict=True)
            if number < 0 and not (key in without and without[key].mark == BROKEN)
        }

    def reason(self, record: Record) -> str:
        """Return why the picture is left out: it is broken, or could not be seen; "" if neither is known."""
        without = self._shards.known.without
        key = self.key(record) if without else ""
        return without[key].reason if key in without and record not in self else ""

    def readable(self, records: Sequence[Record]) -> Records:
        """Return the records whose pictures have features.

        Raises:
            FeatureError: a picture was neither encoded nor left out with a reason.
        """
        return self.found(records)[0]

    def found(self, records: Sequence[Record]) -> tuple[Records, np.ndarray]:
        """Return the records whose pictures have features, see `readable`, and the numbers of their rows."""
        numbers = self.numbers(records)
        there = numbers >= 0
        packed = Records.of(records)
        if lacking := [record for record in packed.where(~there) if not self.reason(record)]:
            raise self._lack(lacking, len(records))
        return packed.where(there), numbers[there]

    def _lack(self, lacking: Sequence[Record], asked: int) -> FeatureError:
        """Return the error for pictures without features."""
        first = lacking[0]
        other = self._shards.known.has_row_under(first.image_id)
        why = "the features under this id are of another photo" if other else "it was never encoded"
        return FeatureError(
            f"{self.folder} lacks {len(lacking)} of {asked} pictures, for example {first.image_id} "
            f"({first.file.name}): {self.reason(first) or why}. {self._way_out} It adds what is missing."
        )

    def rows(self, records: Sequence[Record]) -> np.ndarray:
        """Return the features of the pictures, in this order: float16 (pictures, regions, channels).

        Raises:
            FeatureError: a picture has none, or a shard is damaged.
        """
        numbers = self.numbers(records)
        if lacking := [records[place] for place in np.flatnonzero(numbers < 0).tolist()]:
            raise self._lack(lacking, len(records))
        return self.read(numbers)

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Return the rows with these numbers (see `numbers`), in this order: float16 (rows, regions, channels).

        Raises:
            FeatureError: a shard is damaged.
        """
        return self._shards.read(numbers, self._way_out)

    def averaged(self, records: Sequence[Record]) -> np.ndarray:
        """Return one vector per picture, the mean over its regions: float32 (pictures, 1, channels)."""
        vectors = np.empty((len(records), 1, self.channels), np.float32)
        for start in range(0, len(records), PART):
            part = slice(start, start + PART)
            self.rows(records[part]).mean(axis=1, dtype=np.float32, keepdims=True, out=vectors[part])
        return vectors

    def statistics(self, records: Sequence[Record], averaged: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance per channel over the pictures of the records.

        Over at most `SAMPLE` of them, spread evenly; the result, two float32 arrays (channels,), is kept beside the
        features. Channels that hardly vary get the average variance: else a picture in which such a channel does fire
        would drown all others. `averaged` takes those vectors, which vary less than the regions that they are made of.
        """
        if not records:
            raise ValueError("Statistics need a picture: there is none with features.")
        records = _spread(records, SAMPLE)
        path = self.folder / f"statistics-{digest(self.digest(records), averaged)}.npy"
        with contextlib.suppress(OSError, *NO_ARRAYS):  # not there yet, or damaged: it is made
            kept = np.load(path)
            if kept.shape == (2, self.channels):
                return kept[0], kept[1]
        found = self._statistics(records, self.averaged if averaged else self.rows)
        with contextlib.suppress(OSError), write_atomically(path) as draft:  # a folder that may only be read
            np.save(draft, found)
        return found[0], found[1]

    def _statistics(self, records: Sequence[Record], rows: Callable) -> np.ndarray:
        total, squares, count = np.zeros(self.channels), np.zeros(self.channels), 0
        for start in range(0, len(records), PART):
            values = rows(records[start : start + PART]).astype(np.float64).reshape(-1, self.channels)
            total += values.sum(axis=0)
            squares += (values**2).sum(axis=0)
            count += len(values)
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0)
        average = variance.mean()
        variance[variance <= 1e-4 * average] = average if average > 0 else 1.0
        return np.array([mean, variance], np.float32)

    def digest(self, records: Iterable[Record]) -> str:
        """Return 16 hexadecimal digits that stand for the features of these pictures, in any order.

        Of the encoder's identity, all ids and contents, and the bytes of a few rows: a change in place shows, too.
        """
        keys = sorted(map(self.key, records))
        numbers = self._shards.known.find(keys)
        few = np.array(_spread(numbers[numbers >= 0], SPOT_CHECK), np.int64)
        return digest(self.identity, keys, content_digest(self._shards.read(few, self._way_out).tobytes()))


def _check_manifest(folder: Path, now: dict) -> None:
    """Write the manifest of a new folder; refuse a folder of another encoder.

    A damaged manifest is made again if the first line of the index says that it was this one.
    """
    path, index = folder / "manifest.json", folder / "index.tsv"
    kept = None
    with contextlib.suppress(DamagedError, FileNotFoundError):
        kept = read_json(path, "")
    if isinstance(kept, dict) and kept.keys() >= now.keys():
        kept.pop("versions", None)
        if found := difference(kept, now):
            raise FeatureError(
                f"{folder} holds other features: {found}. "
                "Move or delete that folder, or use the encoder and weights that it was made with."
            )
        return
    header = index.read_bytes().partition(b"\n")[0] if index.is_file() else b""
    if header not in (b"", _header(now).encode()):
        raise FeatureError(f"{path} is damaged, and {index} is of another encoder. Move or delete that folder.")
    if path.is_file() or header:
        print(f"{path} is damaged or missing: it is made again.")
    versions = {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__}
    write_json(path, now | {"versions": versions})


def _header(manifest: dict) -> str:
    """Return the first line of the index: it ties the rows to the manifest."""
    kept = {field: value for field, value in manifest.items() if field != "versions"}
    return f"row or - or ?\tcontent\timage id\twhy there is no row\t{digest(kept)}"


def _spread(items: Sequence | np.ndarray, most: int) -> list:
    """Return at most so many of the items, spread evenly."""
    count = min(len(items), most)
    return [items[number * len(items) // count] for number in range(count)]


def _maker(folder: Path) -> str:
    """Return the notebook that makes this encoder's features."""
    makers = {"inception_v3": "05_inceptionv3_bahdanau_attention", "resnet50": "07_bilstm_dot_attention"}
    return makers.get(folder.name.split("-")[0], "03_vgg16_transfer_values")
