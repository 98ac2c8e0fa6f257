"""Run an encoder once per picture."""

import dataclasses
import functools
import itertools
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tqdm import tqdm

from captioning.datasets.records import Record
from captioning.encoders import Encoder
from captioning.features.index import BROKEN, UNSEEN, Entry, key_of
from captioning.features.shards import FeatureError
from captioning.features.store import FeatureStore
from captioning.files import only_one, require_space
from captioning.images import ImageError, Picture, each, load_pixels
from captioning.provenance import StaleError, content_digest

BATCH = 16  # pictures per run of the CNN; short batches are filled up, so every row is computed alike
FLUSH = 64  # pictures between two writes: the most that a kill can lose
RUNS = 2  # batches in the CNN at a time: alone, one leaves processors idle between its layers
THREADS = os.cpu_count()  # that open pictures
MISSING_SHARE = 0.01  # of the photos that may be missing
FLOAT16_MAX, FLOAT16_MIN = 65504.0, 6.1e-5  # the largest number, and the smallest that has all its digits


def extract(records: Sequence[Record], encoder: Encoder, folder: Path, encode: Callable | None = None) -> FeatureStore:
    """Encode every picture once: what has a row is kept, without a look at its photo; what is missing is added.

    It may be interrupted or killed at any time, and two processes may ask for the same folder: one waits.

    Unreadable pictures are listed by name on stdout and left out.

    Args:
        records: in any order; a record without a content digest has its photo read for it.
        encoder, folder: the frozen CNN, and the folder for it and its weights, see `folder_of`.
        encode: does what `encoded` does; that of `workers.Crew` has several processes or machines do it.

    Raises:
        FeatureError: the folder was made with another encoder, more than 1 % of the photos are missing, or float16
            cannot hold the features.
        StaleError: a photo is not the one any more that notebook 01 has read.
        OSError: the disk is too small or full; what was written stays.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one(folder, wait=True):
        store = FeatureStore.for_writing(folder, encoder.identity)
        missing = _missing(records, store)
        if missing:
            need = len(missing) * encoder.spec.regions * encoder.spec.channels * 2
            print(f"{len(missing)} pictures to encode: {need / 1e6:.0f} MB of disk.")
            way_out = "set a smaller CAPTIONING_LIMIT, or choose CAPTIONING_ENCODER=mobilenet"
            require_space(folder, need, "The features", way_out)
            _add((encode or encoded)(missing, encoder, len(store) > 0), missing, len(records), store)
    left_out = [reason for record in records if (reason := store.reason(record))]
    if left_out:
        print(f"{len(left_out)} unreadable pictures are left out:")
        print("\n".join(f"  {reason}" for reason in left_out))
    return store


def encode_each(
    pictures: Picture | Iterable[Picture], encoders: Sequence[Encoder], keep_errors: bool = False
) -> Iterator[tuple[list[ImageError | None], list[np.ndarray]]]:
    """Encode pictures without keeping the result, a batch at a time: a generator of them may be endless.

    Args:
        pictures: one or several, see `images.ACCEPTED`.
        encoders: the frozen CNNs.
        keep_errors: pass over pictures that cannot be read, instead of raising the first ImageError.

    Yields:
        What is wrong with each picture of a batch, or None; float16 (pictures that can be read, regions, channels) of
        each encoder. A FeatureError where float16 cannot hold them, a TypeError for what is no picture.
    """
    sizes = {encoder.spec.size for encoder in encoders}

    def load(numbered: tuple[int, Picture]) -> dict[int, np.ndarray] | ImageError:
        number, picture = numbered
        name = _name_of(picture) or f"Picture {number}"
        source: Any = picture
        if hasattr(picture, "read"):  # a file that is open gives its bytes once, and each size asks for them
            source = SimpleNamespace(read=functools.cache(picture.read))
        try:
            return {size: load_pixels(source, size, name) for size in sizes}
        except ImageError as error:
            if keep_errors:
                return error
            raise

    alive = False  # features other than zero have been seen
    for _, loaded in _batches(enumerate(each(pictures), start=1), load):
        read = [item for item in loaded if not isinstance(item, ImageError)]
        features = [np.empty((0, encoder.spec.regions, encoder.spec.channels), np.float16) for encoder in encoders]
        if read:
            encoded = (encoder.run(np.stack([item[encoder.spec.size] for item in read])) for encoder in encoders)
            features = [_to_float16(*pair, alive) for pair in zip(encoded, encoders, strict=True)]
            alive = True
        yield [item if isinstance(item, ImageError) else None for item in loaded], features


def encode_files(pictures: Picture | Iterable[Picture], encoder: Encoder) -> np.ndarray:
    """Return the features of pictures that can all be read, in one array: float16 (pictures, regions, channels)."""
    none = np.empty((0, encoder.spec.regions, encoder.spec.channels), np.float16)
    return np.concatenate([none, *(features for _, (features,) in encode_each(pictures, [encoder]))])


def _name_of(picture: Picture) -> str:
    """Return a path, or the name of a file that is open or of a photo at an address; of others there is none."""
    name = picture if isinstance(picture, str | os.PathLike) else getattr(picture, "name", "")
    return os.fspath(name) if isinstance(name, str | os.PathLike) else ""


def _missing(records: Sequence[Record], store: FeatureStore) -> list[Record]:
    """Return the records to encode, each with the digest that its photo must have, if it can be seen."""
    missing = store.unsettled(records)
    unseen = {key: record for key, record in missing.items() if not os.path.isfile(record.file)}
    _check_unseen(list(unseen.values()), len(records))
    return [
        dataclasses.replace(record, content=key.partition("\t")[0])
        for key, record in missing.items()
        if key not in unseen or not store.reason(record)
    ]


def _check_unseen(unseen: Sequence[Record], asked: int) -> None:
    if len(unseen) > MISSING_SHARE * asked:
        raise FeatureError(
            f"{len(unseen)} of {asked} photos have no features yet and cannot be seen, for example {unseen[0].file}: "
            f"is {unseen[0].file.parent} on a drive that is not mounted, or was it moved? Nothing that was encoded is "
            "lost. Bring the photos back, or run notebooks/01_download.ipynb again."
        )


def _add(parts: Generator, missing: Sequence[Record], asked: int, store: FeatureStore) -> None:
    """Write what comes of the pictures, `FLUSH` at a time and when an error or an interrupt ends it."""
    waiting: list[Entry] = []
    unseen: list[Record] = []
    name = store.identity["encoder"]
    with closing(parts), tqdm(total=len(missing), unit=" pictures", desc=name, file=sys.stdout) as progress:
        try:
            for records, entries in parts:
                unseen += [record for record, entry in zip(records, entries, strict=True) if entry.mark == UNSEEN]
                _check_unseen(unseen, asked)
                waiting += entries
                if len(waiting) >= FLUSH:
                    store.add(waiting)
                    waiting = []
                progress.update(len(entries))
        finally:
            if waiting:
                store.add(waiting)


def encoded(
    records: Sequence[Record], encoder: Encoder, alive: bool
) -> Generator[tuple[Sequence[Record], list[Entry]], None, None]:
    """Yield records, which have the digests that their photos must have, with what came of them, in order.

    `alive` says whether features other than zero have been seen.
    """
    size = encoder.spec.size

    def run(loaded: list) -> np.ndarray | None:
        pixels = [picture for picture in loaded if not isinstance(picture, Entry)]
        filled = np.zeros((BATCH, size, size, 3), np.uint8)
        filled[: len(pixels)] = pixels or filled[:0]
        return encoder.run(filled)[: len(pixels)] if pixels else None

    batches = ([pair] for pair in _batches(records, lambda record: _load(record, size)))
    for ((batch, loaded),), (features,) in _ahead(batches, lambda pair: run(pair[1]), RUNS, RUNS):
        rows = iter(())
        if features is not None:
            rows = iter(_to_float16(features, encoder, alive))
            alive = True  # else the check of these numbers has failed
        entries = [
            found if isinstance(found, Entry) else Entry(key_of(record.image_id, record.content), next(rows))
            for record, found in zip(batch, loaded, strict=True)
        ]
        yield batch, entries


def _load(record: Record, size: int) -> np.ndarray | Entry:
    """Return a photo's pixels, or why there are none; its bytes are read once."""
    key, name = key_of(record.image_id, record.content), record.file.name
    try:
        content = record.file.read_bytes()
    except OSError as error:
        return Entry(key, mark=UNSEEN, reason=f"{name} cannot be seen now ({error.strerror}).")
    if not record.content:
        return Entry(key, mark=UNSEEN, reason=f"{name} could not be seen a moment ago.")
    if content_digest(content) != record.content:
        raise StaleError(
            f"{record.file} has changed since it was looked at: run notebooks/01_download.ipynb again, which notes the "
            "new photo. All that was encoded is kept."
        )
    try:
        return load_pixels(content, size, name)
    except ImageError as error:
        return Entry(key, mark=BROKEN, reason=str(error))


def _batches(items: Iterable, load: Callable) -> Iterator[tuple[Sequence, list]]:
    """Yield items with what `load` gives for them, loaded in parallel while the batches before are worked on."""
    items = iter(items)
    return _ahead(iter(lambda: list(itertools.islice(items, BATCH)), []), load, 2, THREADS)


def _ahead(batches: Iterator[Sequence], work: Callable, count: int, threads: int | None) -> Iterator[tuple]:
    """Yield batches with what `work` gives for each item; threads work on the next `count` of them meanwhile."""
    pool, ended = ThreadPoolExecutor(threads), False
    ahead: deque[tuple[Sequence, list[Future]]] = deque()
    try:
        while ahead or not ended:
            try:
                batch = next(batches)
                ahead.append((batch, [pool.submit(work, item) for item in batch]))
            except StopIteration:
                ended = True
            except Exception as error:  # its turn comes after what is under way
                ahead.append(((), [Future()]))
                ahead[-1][1][0].set_exception(error)
            if ahead and (ended or len(ahead) > count):
                batch, futures = ahead.popleft()
                yield batch, [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _to_float16(features: np.ndarray, encoder: Encoder, alive: bool) -> np.ndarray:
    """Return the features as they are kept; refuse what float16 cannot hold, and what says nothing."""
    name = f"{encoder.spec.name} with {encoder.weights} weights"
    largest = np.abs(features).max(axis=(1, 2))  # (pictures,)
    if not (largest <= FLOAT16_MAX).all():  # also true for NaN
        raise FeatureError(f"A feature of {name} is {largest.max()}: float16 ends at {FLOAT16_MAX:.0f}.")
    # One picture may be all gray; all of them, or the first, say that the encoder is to blame.
    if largest.max() < FLOAT16_MIN and not (alive and len(largest) < BATCH):
        raise FeatureError(
            f"The largest feature from {name} is {largest.max():.1g}: float16 would hold zeros or "
            "noise. These weights lose the signal on the way: use others (CAPTIONING_WEIGHTS=imagenet), or another "
            "encoder (CAPTIONING_ENCODER)."
        )
    return features.astype(np.float16)
