"""Run an encoder once per picture: restartable float16 shards on disk, with a manifest."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from captioning.datasets.dataset import Record
from captioning.encoders import Encoder, spec_of
from captioning.images import ImageError, load_pixels
from captioning.settings import Project, require

SHARD = 512  # pictures per shard
BATCH = 16  # pictures per run of the CNN; short batches are filled up, so every row is computed alike
FLOAT16_MAX = 65504.0
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class FeatureError(ValueError):
    """A feature folder does not hold what is asked of it."""


def folder_of(project: Project, encoder: str) -> Path:
    """Return the folder of the shards of one encoder, for the weights that the project uses."""
    weights = project.encoder_weights
    kind = weights if weights in ("imagenet", "random") else "files"
    return project.data / "features" / f"{encoder}-{spec_of(encoder).layer}-{kind}"


class FeatureStore:
    """The features of all encoded pictures, read through memory maps."""

    def __init__(self, folder: Path):
        """Open a feature folder.

        Raises:
            FileNotFoundError: `extract` has not been run for it.
        """
        self.folder = Path(folder)
        manifest = require(self.folder / "manifest.json", made_by=_maker(self.folder))
        self.manifest: dict = json.loads(manifest.read_text(encoding="utf-8"))
        self.regions, self.channels = self.manifest["regions"], self.manifest["channels"]
        self._shards: list[np.ndarray] = []
        self._place: dict[int | str, tuple[int, int]] = {}
        self.unreadable: dict[int | str, str] = {}
        for path in sorted(self.folder.glob("features-*.npy")):
            contents = _shard_contents(path)
            # The first shard counts: later ones may be left from an earlier, larger run.
            known = self._place.keys() | self.unreadable.keys()
            for row, image_id in enumerate(contents["ids"]):
                if image_id not in known:
                    self._place[image_id] = (len(self._shards), row)
            self.unreadable |= {image_id: why for image_id, why in contents["unreadable"] if image_id not in known}
            self._shards.append(np.load(path, mmap_mode="r"))

    def __contains__(self, image_id: int | str) -> bool:
        return image_id in self._place

    def __len__(self) -> int:
        return len(self._place)

    def readable(self, records: Sequence[Record]) -> list[Record]:
        """Return the records whose pictures have features.

        Raises:
            FeatureError: a picture was neither encoded nor found unreadable.
        """
        unknown = [r.image_id for r in records if r.image_id not in self._place and r.image_id not in self.unreadable]
        if unknown:
            raise FeatureError(
                f"{self.folder} lacks {len(unknown)} pictures, for example {unknown[0]}: "
                f"run notebooks/{_maker(self.folder)}.ipynb again, it adds what is missing."
            )
        return [record for record in records if record.image_id in self._place]

    def rows(self, records: Sequence[Record]) -> np.ndarray:
        """Return the features of the pictures, in this order: float16 (pictures, regions, channels)."""
        features = np.empty((len(records), self.regions, self.channels), np.float16)
        for target, record in zip(features, records, strict=True):
            shard, row = self._place[record.image_id]
            target[...] = self._shards[shard][row]
        return features

    def averaged(self, records: Sequence[Record]) -> np.ndarray:
        """Return one vector per picture, the mean over its regions: float32 (pictures, 1, channels)."""
        vectors = np.empty((len(records), 1, self.channels), np.float32)
        for start in range(0, len(records), 64):
            part = slice(start, start + 64)
            self.rows(records[part]).mean(axis=1, dtype=np.float32, keepdims=True, out=vectors[part])
        return vectors

    def statistics(self, records: Sequence[Record], averaged: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance per channel over the pictures of the records.

        Channels that hardly vary get the average variance: else a picture in which such a channel does fire would
        drown all others.

        Args:
            records: pictures with features.
            averaged: take the vectors of `averaged`, which vary less than the regions that they are the means of.

        Returns:
            Two float32 arrays (channels,).
        """
        total, squares = np.zeros(self.channels), np.zeros(self.channels)
        rows = self.averaged if averaged else self.rows
        for start in range(0, len(records), 64):
            values = rows(records[start : start + 64]).astype(np.float64).reshape(-1, self.channels)
            total += values.sum(axis=0)
            squares += (values**2).sum(axis=0)
        count = len(records) * (1 if averaged else self.regions)
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0)
        average = variance.mean()
        variance[variance <= 1e-4 * average] = average if average > 0 else 1.0
        return mean.astype(np.float32), variance.astype(np.float32)


def extract(records: Sequence[Record], encoder: Encoder, folder: Path) -> FeatureStore:
    """Encode every picture once; what exists is kept, what is missing is made.

    A shard is written under another name and renamed when whole, so a run that is killed loses one shard at most.

    Args:
        records: in the dataset's fixed shuffled order; shard k holds pictures 512 k to 512 k + 511.
        encoder: the frozen CNN.
        folder: one folder per encoder and weights, see `folder_of`.

    Returns:
        The features; unreadable pictures are listed by name on stdout and left out.

    Raises:
        FeatureError: the folder was made with another encoder, or a feature does not fit into float16.
        OSError: the disk is too small or full; complete shards stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_manifest(folder, encoder)
    shards = [list(records[start : start + SHARD]) for start in range(0, len(records), SHARD)]
    missing = {
        number: shard for number, shard in enumerate(shards) if not _is_whole(_shard_file(folder, number), shard)
    }
    if missing:
        _check_disk(folder, sum(map(len, missing.values())), encoder)
        _write_shards(missing, encoder, folder)
    store = FeatureStore(folder)
    unreadable = [(r.file, store.unreadable[r.image_id]) for r in records if r.image_id in store.unreadable]
    if unreadable:
        print(f"{len(unreadable)} unreadable pictures are left out:")
        print("\n".join(f"  {file.name}: {reason}" for file, reason in unreadable))
    return store


def encode_files(files: Sequence[Path | str], encoder: Encoder) -> np.ndarray:
    """Encode pictures without keeping the result: float16 (pictures, regions, channels).

    Raises:
        ImageError: a file is not a readable picture.
    """
    for file in files:
        load_pixels(file, 8)
    return np.concatenate([rows for rows, _ in _encoded_batches([Path(file) for file in files], encoder)])


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset without TensorFlow's tuning thread.

    There is little to tune here, and an iterator that ends waits for that thread's next look: up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _write_shards(missing: dict[int, list[Record]], encoder: Encoder, folder: Path) -> None:
    files = [record.file for shard in missing.values() for record in shard]
    batches = _encoded_batches(files, encoder, breaks=[len(shard) for shard in missing.values()])
    started = time.perf_counter()
    with tqdm(total=len(files), unit=" pictures", desc=encoder.spec.name, file=sys.stdout, mininterval=5) as progress:
        for number, shard in missing.items():
            rows, reasons = [], []
            while len(reasons) < len(shard):
                features, problems = next(batches)
                rows.append(features[[not problem for problem in problems]])
                reasons += problems
                progress.update(len(problems))
            _write_shard(_shard_file(folder, number), shard, np.concatenate(rows), reasons)
    seconds = time.perf_counter() - started
    print(f"{len(files)} pictures in {seconds:.0f} s: {len(files) / seconds:.1f} pictures/s.")


def _encoded_batches(
    files: Sequence[Path], encoder: Encoder, breaks: Sequence[int] | None = None
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Yield (float16 features, reason why unreadable or "") batch by batch; no batch crosses a break."""
    size = encoder.spec.size
    numbers = _padded_numbers(breaks or [len(files)])

    def load(number):
        if number < 0:
            return np.zeros((size, size, 3), np.uint8), ""
        try:
            return load_pixels(files[number], size), ""
        except ImageError as error:
            return np.zeros((size, size, 3), np.uint8), str(error)

    def load_in_graph(number):
        pixels, problem = tf.numpy_function(load, [number], [tf.uint8, tf.string])
        return number, tf.ensure_shape(pixels, (size, size, 3)), problem

    batches = tf.data.Dataset.from_tensor_slices(numbers).map(load_in_graph, num_parallel_calls=os.cpu_count())
    batches = untuned(batches.batch(BATCH, drop_remainder=True).prefetch(2))
    run = tf.function(encoder, input_signature=[tf.TensorSpec((BATCH, size, size, 3), tf.uint8)])
    for numbers_now, pixels, problems in batches:
        real = numbers_now.numpy() >= 0
        yield _to_float16(run(pixels).numpy()[real], encoder), [p.decode() for p in problems.numpy()[real]]


def _padded_numbers(breaks: Iterable[int]) -> np.ndarray:
    """Number the pictures; -1 fills every last batch before a break."""
    numbers, start = [], 0
    for count in breaks:
        numbers += [*range(start, start + count), *[-1] * (-count % BATCH)]
        start += count
    return np.array(numbers, np.int64)


def _to_float16(features: np.ndarray, encoder: Encoder) -> np.ndarray:
    largest = np.abs(features).max(initial=0)
    if not largest <= FLOAT16_MAX:  # also true for NaN
        raise FeatureError(f"A feature of {encoder.spec.name} is {largest}: float16 ends at {FLOAT16_MAX:.0f}.")
    return features.astype(np.float16)


def _write_shard(path: Path, shard: list[Record], rows: np.ndarray, reasons: list[str]) -> None:
    """Write ids, then features, each under another name first: a shard exists once its .npy does."""
    contents = {
        "pictures": _fingerprints(shard),
        "ids": [record.image_id for record, reason in zip(shard, reasons, strict=True) if not reason],
        "unreadable": [(record.image_id, reason) for record, reason in zip(shard, reasons, strict=True) if reason],
    }
    partial = path.with_suffix(".part")
    try:
        path.unlink(missing_ok=True)  # a shorter shard of an earlier, smaller limit
        partial.write_text(json.dumps(contents), encoding="utf-8")
        partial.replace(path.with_suffix(".json"))
        with partial.open("wb") as file:
            _write_array(file, rows)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno not in _DISK_FULL:
            raise
        raise OSError(
            error.errno, f"The disk is full. All earlier shards are kept; free {rows.nbytes >> 20} MiB or more and "
            "run this again, or set a smaller CAPTIONING_LIMIT. Shard", str(path),
        ) from error  # fmt: skip


def _write_array(file: BinaryIO, array: np.ndarray) -> None:
    """Write a .npy file; NumPy's own writing does not notice when the disk fills up within its last 4 kB."""
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(np.ascontiguousarray(array))


def _is_whole(path: Path, shard: list[Record]) -> bool:
    """Tell whether the shard is on disk and made from these very files."""
    if not path.is_file():
        return False
    kept = _shard_contents(path)["pictures"]
    return kept[: len(shard)] == _fingerprints(shard)


def _fingerprints(shard: list[Record]) -> list[list]:
    return [[record.image_id, record.file.stat().st_size if record.file.exists() else None] for record in shard]


def _check_manifest(folder: Path, encoder: Encoder) -> None:
    path = folder / "manifest.json"
    now = encoder.identity | {"dtype": "float16", "shard": SHARD}
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        for field, value in now.items():
            if kept.get(field) != value:
                raise FeatureError(
                    f"{folder} was made with {field} {kept.get(field)!r}, now it is {value!r}. "
                    "Move or delete that folder, or use the encoder and weights that it was made with."
                )
    else:
        versions = {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__}
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(now | {"versions": versions}, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)


def _check_disk(folder: Path, pictures: int, encoder: Encoder) -> None:
    need = pictures * encoder.spec.regions * encoder.spec.channels * 2
    free = shutil.disk_usage(folder).free
    print(f"{pictures} pictures to encode: {need / 1e6:.0f} MB of disk, {free / 1e9:.0f} GB are free.")
    if need > free:
        raise OSError(
            errno.ENOSPC, f"The features need {need / 1e9:.2f} GB and {free / 1e9:.2f} GB are free: free some, "
            "set a smaller CAPTIONING_LIMIT, or choose CAPTIONING_ENCODER=mobilenet. Folder", str(folder),
        )  # fmt: skip


def _shard_file(folder: Path, number: int) -> Path:
    return folder / f"features-{number:05d}.npy"


def _shard_contents(path: Path) -> dict:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def _maker(folder: Path) -> str:
    """Return the notebook that makes this encoder's features."""
    makers = {"inception_v3": "05_inceptionv3_bahdanau_attention", "resnet50": "07_bilstm_dot_attention"}
    return makers.get(folder.name.split("-")[0], "03_vgg16_transfer_values")
