"""Features + token ids -> tf.data batches; each picture's features are read once for all its captions."""

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from captioning.datasets.records import Record
from captioning.decoding.steps import require_whole
from captioning.features import FeatureStore
from captioning.quiet import tensorflow as tf
from captioning.tokenizer import PAD, Tokenizer

ALL = (slice(None),)  # of a batch's pictures: one share
# Batches whose pictures are sorted by length together: 77 % of COCO's positions are words then, 55 % without. Only in
# large sets: of scenes, where the length tells how much a picture shows, all models learned less from such batches.
POOL, LARGE = 16, 1000  # batches


class CaptionBatches:
    """The captions of one split beside their pictures' features.

    A batch is ({"features": (batch, regions, channels), "tokens": (batch, captions, steps)}, targets), where targets
    (batch, captions, steps) are the tokens one step later. Pictures with fewer captions get rows of PAD.
    """

    def __init__(
        self,
        records: Sequence[Record],
        store: FeatureStore,
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        captions: int = 5,
        max_words: int = 30,
        averaged: bool = False,
        seed: int = 0,
        pool: int | None = None,
    ):
        """Tokenize the captions.

        Args:
            records: the pictures of one split.
            store: their features; pictures without any (unreadable ones) are left out.
            tokenizer: fitted on the train split.
            batch_size: pictures per batch.
            captions: captions per picture at most; a picture with more shows other ones each epoch.
            max_words: longer captions are cut, and then have no END to learn from.
            averaged: give one vector per picture, the mean over its regions.
            seed: of the order; the order is a function of (seed, epoch).
            pool: batches whose pictures are sorted by the length of their captions together, which leaves less padding;
                1: none; None: `POOL` where there are `LARGE` batches or more, else 1.

        Raises:
            ValueError: there is no picture with features, or none per batch.
            FeatureError: a picture was never encoded.
        """
        require_whole("batch_size", batch_size, 1)
        self.records, self._rows = store.found(records)
        if not self.records:
            raise ValueError(_nothing(records, store))
        self.store = store
        self.batch_size, self.max_words, self.seed, self.pool = batch_size, max_words, seed, pool
        given = ([_cut(tokenizer.encode(text), max_words) for text in r.captions] for r in self.records)
        self._tokens = _Tokens(given, len(tokenizer))
        # Where pictures have one caption each, five rows would be four times padding.
        self.captions = min(captions, int(self._tokens.counts.max()))
        self._longest = self._tokens.longest()
        self.averaged = averaged
        # Vectors are small: kept in memory. Regions are read from the disk, batch by batch.
        self._vectors = store.averaged(self.records) if averaged else None
        self.regions = 1 if averaged else store.regions

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches per epoch; one of them may be smaller."""
        return -(-len(self.records) // self.batch_size)

    @property
    def captions_per_epoch(self) -> int:
        """Number of captions in an epoch."""
        return int(np.minimum(self._tokens.counts, self.captions).sum())

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance per channel of the features as the batches give them."""
        return self.store.statistics(self.records, averaged=self.averaged)

    def training(self, first_epoch: int, epochs: int, shares: Sequence[slice] = ALL) -> tf.data.Dataset:
        """Return the batches of the epochs `first_epoch` to `epochs` - 1; they do not depend on the earlier epochs.

        Args:
            first_epoch, epochs: as said.
            shares: which pictures of each batch, one element for each share, in turn: those of several devices.
        """
        count = self.steps_per_epoch * (epochs - first_epoch)
        epochs = range(first_epoch, epochs)
        return self._dataset(lambda: (batch for n in epochs for batch in self.epoch(n, shares)), count * len(shares))

    def evaluation(self, shares: Sequence[slice] = ALL) -> tf.data.Dataset:
        """Return every picture once, in the order of the records, with its first captions; shares as in `training`."""
        plain = self._split(np.arange(len(self.records)))
        return self._dataset(lambda: self._batches(plain, None, shares), self.steps_per_epoch * len(shares))

    def epoch(self, epoch: int, shares: Sequence[slice] = ALL) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Yield the batches of one epoch, shuffled by (seed, epoch); `shares` as in `training`.

        Pictures are shuffled, cut into pools of some batches, and sorted by length inside each of them; then the
        batches are shuffled.
        """
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.records))
        pool = self.batch_size * (self.pool or (POOL if self.steps_per_epoch >= LARGE else 1))
        pools = (order[start : start + pool] for start in range(0, len(order), pool))
        batches = self._split(np.concatenate([each[np.argsort(self._longest[each], kind="stable")] for each in pools]))
        return self._batches([batches[number] for number in random.permutation(len(batches))], random, shares)

    def pictures(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the numbers of the records in each batch of `epoch`, and their features (batch, regions, channels)."""
        random = np.random.default_rng((self.seed, epoch))
        for numbers in self._split(random.permutation(len(self.records))):
            yield numbers, self._features(numbers)

    def _split(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    def _batches(
        self, batches: Sequence[np.ndarray], random: np.random.Generator | None, shares: Sequence[slice] = ALL
    ):
        for numbers in batches:
            tokens = self._tokens.batch(numbers, self.captions, random)
            for share in shares:
                part = tokens[share]
                yield {"features": self._features(numbers[share]), "tokens": part[..., :-1]}, part[..., 1:]

    def _features(self, numbers: np.ndarray) -> np.ndarray:
        if self._vectors is not None:
            return self._vectors[numbers]
        # As they are on disk, in float16: TensorFlow widens them many times faster than NumPy.
        return self.store.read(self._rows[numbers])

    def _dataset(self, generator: Callable[[], Iterator], count: int) -> tf.data.Dataset:
        tokens = tf.TensorSpec((None, self.captions, None), tf.int32)
        kind = tf.float16 if self._vectors is None else tf.float32
        features = tf.TensorSpec((None, self.regions, self.store.channels), kind)
        batches = _from_generator(generator, count, ({"features": features, "tokens": tokens}, tokens)).prefetch(2)
        # There is little to tune, and an iterator that ends waits for the tuning thread's next look: up to a minute.
        options = tf.data.Options()
        options.autotune.enabled = False
        return batches.with_options(options)


class _Tokens:
    """The ids of all captions, one after another: a list for each caption would take six times the memory."""

    def __init__(self, pictures: Iterable[list[list[int]]], vocabulary: int):
        ids, lengths, counts = array("H" if vocabulary <= 1 << 16 else "i"), array("i"), array("i")
        for rows in pictures:
            for row in rows:
                ids.extend(row)
                lengths.append(len(row))
            counts.append(len(rows))
        self._ids, self._lengths, self.counts = (np.frombuffer(each, each.typecode) for each in (ids, lengths, counts))
        # Where the ids of each caption and the captions of each picture begin.
        self._starts, self._first = (np.cumsum(each) - each for each in (self._lengths, self.counts))

    def longest(self) -> np.ndarray:
        """Return the number of ids in the longest caption of each picture: (pictures,)."""
        return np.maximum.reduceat(self._lengths, self._first)

    def batch(self, pictures: np.ndarray, most: int, random: np.random.Generator | None) -> np.ndarray:
        """Return the ids of `most` captions of each picture, padded to the longest: int32 (pictures, most, steps).

        If a picture has more, `random` chooses; without it, the first ones are taken.
        """
        counts, chosen = self.counts[pictures], np.tile(np.arange(most), (len(pictures), 1))
        if random is not None:
            for row in np.flatnonzero(counts > most).tolist():
                chosen[row] = random.choice(int(counts[row]), most, replace=False)
        there = chosen < counts[:, None]
        captions = np.where(there, self._first[pictures][:, None] + chosen, 0)
        lengths = np.where(there, self._lengths[captions], 0)
        steps = np.arange(lengths.max())
        places = np.minimum(self._starts[captions][..., None] + steps, len(self._ids) - 1)
        return np.where(steps < lengths[..., None], self._ids[places], PAD).astype(np.int32)


def _from_generator(generator: Callable[[], Iterator], count: int, signature: Any) -> tf.data.Dataset:
    """Return the `count` elements that a generator yields as a dataset; each iteration starts a new generator.

    Like `tf.data.Dataset.from_generator`, whose checks of an element take longer than reading its features; but the
    generator of an iteration that is abandoned stays in memory.
    """
    specs, ids = tf.nest.flatten(signature), itertools.count()
    running: dict[np.int64, Iterator] = {}

    def begin() -> np.int64:
        run = np.int64(next(ids))
        running[run] = generator()
        return run

    def element(run: np.int64, number: np.int64) -> list[np.ndarray]:
        found = tf.nest.flatten(next(running[run]))
        if number == count - 1:
            del running[run]
        return found

    def of_run(run) -> tf.data.Dataset:
        def given(number):
            arrays = tf.numpy_function(element, [run, number], [spec.dtype for spec in specs])
            arrays = [tf.ensure_shape(array, spec.shape) for array, spec in zip(arrays, specs, strict=True)]
            return tf.nest.pack_sequence_as(signature, arrays)

        return tf.data.Dataset.range(count).map(given)

    runs = tf.data.Dataset.from_tensors(0).map(lambda _: tf.numpy_function(begin, [], tf.int64))
    return runs.flat_map(of_run).apply(tf.data.experimental.assert_cardinality(count))


def _cut(tokens: list[int], max_words: int) -> list[int]:
    """Return START, the words and END; of too many words the first ones, without END."""
    return tokens if len(tokens) <= max_words + 2 else tokens[: max_words + 1]


def _nothing(records: Sequence[Record], store: FeatureStore) -> str:
    """Say why there is no batch."""
    if not records:
        return (
            "There are no pictures to make batches of: this split of the dataset is empty. Give it more pictures "
            "(CAPTIONING_LIMIT, or a larger folder) and run notebooks/01_download.ipynb again."
        )
    splits = " and ".join(sorted({record.split for record in records}))
    return (
        f"None of the {len(records)} pictures of the split {splits} has features, for example: "
        f"{store.reason(records[0])} Replace the broken photos and run notebooks/01_download.ipynb again."
    )
