"""Features + token ids -> tf.data batches; each picture's features are read once for all its captions."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from captioning.datasets.dataset import Record
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
        self.records = store.readable(records)
        if not self.records:
            raise ValueError(_nothing(records, store))
        self.store = store
        self.batch_size, self.max_words, self.seed, self.pool = batch_size, max_words, seed, pool
        # Where pictures have one caption each, five rows would be four times padding.
        self.captions = min(captions, max(len(record.captions) for record in self.records))
        self._tokens = _Tokens([_cut(tokenizer.encode(text), max_words) for text in r.captions] for r in self.records)
        self._longest = self._tokens.longest()
        self.averaged = averaged
        # Vectors are small: kept in memory. Regions are read from the disk, batch by batch.
        self._vectors = store.averaged(self.records) if averaged else None
        self.regions = 1 if averaged else store.regions

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches per epoch; one of them may be smaller."""
        return -(-len(self.records) // self.batch_size)

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
            tokens = self._pad([self._choose(self._tokens[number], random) for number in numbers])
            for share in shares:
                part = tokens[share]
                yield {"features": self._features(numbers[share]), "tokens": part[..., :-1]}, part[..., 1:]

    def _features(self, numbers: np.ndarray) -> np.ndarray:
        if self._vectors is not None:
            return self._vectors[numbers]
        # As they are on disk, in float16: TensorFlow widens them many times faster than NumPy.
        return self.store.rows([self.records[number] for number in numbers])

    def _choose(self, rows: list[np.ndarray], random: np.random.Generator | None) -> list[np.ndarray]:
        if random is None or len(rows) <= self.captions:
            return rows[: self.captions]
        return [rows[index] for index in random.choice(len(rows), self.captions, replace=False)]

    def _pad(self, chosen: list[list[np.ndarray]]) -> np.ndarray:
        longest = max(len(row) for rows in chosen for row in rows)
        tokens = np.full((len(chosen), self.captions, longest), PAD, np.int32)
        for picture, rows in enumerate(chosen):
            for index, row in enumerate(rows):
                tokens[picture, index, : len(row)] = row
        return tokens

    def _dataset(self, generator, count: int) -> tf.data.Dataset:
        tokens = tf.TensorSpec((None, self.captions, None), tf.int32)
        kind = tf.float16 if self._vectors is None else tf.float32
        features = tf.TensorSpec((None, self.regions, self.store.channels), kind)
        signature = ({"features": features, "tokens": tokens}, tokens)
        batches = tf.data.Dataset.from_generator(generator, output_signature=signature)
        batches = batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)
        # There is little to tune, and an iterator that ends waits for the tuning thread's next look: up to a minute.
        options = tf.data.Options()
        options.autotune.enabled = False
        return batches.with_options(options)


class _Tokens:
    """The ids of all captions, one behind the other: a list for each caption would take three times the memory."""

    def __init__(self, pictures: Iterable[list[list[int]]]):
        ids, ends, captions = array("i"), array("q", [0]), array("q", [0])
        for rows in pictures:
            for row in rows:
                ids.extend(row)
                ends.append(len(ids))
            captions.append(len(ends) - 1)
        arrays = (np.frombuffer(numbers, numbers.typecode) for numbers in (ids, ends, captions))
        self._ids, self._ends, self._captions = arrays

    def longest(self) -> np.ndarray:
        """Return the number of ids in the longest caption of each picture: (pictures,)."""
        return np.maximum.reduceat(np.diff(self._ends), self._captions[:-1])

    def __getitem__(self, picture: int) -> list[np.ndarray]:
        """Return the ids of each caption of a picture."""
        first, behind = self._captions[picture : picture + 2].tolist()
        return [self._ids[start:end] for start, end in pairwise(self._ends[first : behind + 1].tolist())]


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
