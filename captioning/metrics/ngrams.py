"""Counting n-grams of many captions at once with NumPy, for BLEU and CIDEr-D."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np

ORDERS = 4
_LOW = 0xFFFFFFFF  # the lower half of a packed pair


@dataclass(frozen=True)
class Counts:
    """How often the n-grams of one order occur in each sentence; sorted by sentence, then n-gram."""

    sentence: np.ndarray  # (rows,) index of the sentence
    ngram: np.ndarray  # (rows,) id of the n-gram; ids from `ReferenceNgrams.sizes` on are in no reference
    count: np.ndarray  # (rows,)


class ReferenceNgrams:
    """The n-grams (n = 1 to 4) of all reference captions, counted and arranged for looking an image's n-grams up.

    An n-gram is known by the id of its first n - 1 words and the id of its last word, so that one sorted array of
    integers per order holds all of them.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[str]]]):
        """Number and count the n-grams of references: images x captions x words; every image has a caption."""
        sentences = list(chain.from_iterable(references))
        self.images = len(references)
        self.captions = np.fromiter(map(len, references), np.int64, self.images)  # (images,)
        self.first = np.cumsum(self.captions) - self.captions  # (images,) first sentence of each
        self.image = np.repeat(np.arange(self.images), self.captions)  # (sentences,)
        self.lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))  # (sentences,) in words
        self._words = {word: index for index, word in enumerate(dict.fromkeys(chain.from_iterable(sentences)))}
        self._keys = [np.empty(0, np.int64)] * (ORDERS - 1)
        counts, self._keys = self._count(sentences)
        self.sizes = [len(self._words), *map(len, self._keys)]  # how many n-grams there are of each order
        self.orders = [ImageCounts(of_one, self.image) for of_one in counts]

    def count(self, sentences: Sequence[Sequence[str]]) -> list[Counts]:
        """Count the n-grams of other sentences, one `Counts` per order; unknown n-grams get ids of their own."""
        return self._count(sentences)[0]

    def _count(self, sentences: Sequence[Sequence[str]]) -> tuple[list[Counts], list[np.ndarray]]:
        known = self._words
        new_ids: defaultdict[str, int] = defaultdict(count(len(known)).__next__)  # new words get the next numbers
        ids = (known[word] if word in known else new_ids[word] for word in chain.from_iterable(sentences))
        words = np.fromiter(ids, np.int64)
        lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
        sentence = np.repeat(np.arange(len(sentences)), lengths)
        # How many words follow from here to the end of the sentence, this one included.
        remaining = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(words))
        position, ngrams, new = np.arange(len(words)), words, []
        counts = [_count_pairs(sentence, ngrams)]
        for order in range(2, ORDERS + 1):
            fits = remaining[position] >= order
            position = position[fits]
            ngrams, unseen = _identify(_pack(ngrams[fits], words[position + order - 1]), self._keys[order - 2])
            counts.append(_count_pairs(sentence[position], ngrams))
            new.append(unseen)
        return counts, new


class ImageCounts:
    """The counts of one order, sorted by image and n-gram, with the rows of each such pair side by side."""

    def __init__(self, counts: Counts, image: np.ndarray):
        keys = _pack(image[counts.sentence], counts.ngram)
        order = np.argsort(keys, kind="stable")
        self.sentence = counts.sentence[order].astype(np.int32)  # (rows,) half of the memory for all of COCO
        self.count = counts.count[order].astype(np.int32)  # (rows,)
        self._pairs, self._first, self._rows = np.unique(keys[order], return_index=True, return_counts=True)

    @property
    def ngram(self) -> np.ndarray:
        """Return the id of the n-gram of each row: (rows,)."""
        return np.repeat(self._pairs & _LOW, self._rows)

    def images_with(self, ngrams: int) -> np.ndarray:
        """Return in how many images each n-gram occurs (document frequency): (ngrams,)."""
        return np.bincount(self._pairs & _LOW, minlength=ngrams)

    def largest_count(self, image: np.ndarray, ngram: np.ndarray) -> np.ndarray:
        """Return the largest count of an n-gram in one reference of an image, 0 where there is none: (asked,)."""
        asked, row = self.rows_of(image, ngram)
        largest = np.zeros(len(image), np.int64)
        np.maximum.at(largest, asked, self.count[row])
        return largest

    def rows_of(self, image: np.ndarray, ngram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the reference rows of pairs of image and n-gram.

        Returns:
            Two arrays of equal length: which pair was asked for, and one row here that holds it.
        """
        place, found = _look_up(_pack(image, ngram), self._pairs)
        place = place[found]
        asked, row = spans(self._first[place], self._rows[place])
        return np.flatnonzero(found)[asked], row


def spans(start: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write ranges of whole numbers one behind the other.

    Returns:
        Two arrays of equal length: the index of the range, and the number.
    """
    owner = np.repeat(np.arange(len(length)), length)
    return owner, np.arange(len(owner)) + (start - np.cumsum(length) + length)[owner]


def _pack(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Join two ids below 2**31 into one integer that sorts like the pair."""
    return (high.astype(np.int64) << 32) | low


def _count_pairs(sentence: np.ndarray, ngram: np.ndarray) -> Counts:
    pairs, count = np.unique(_pack(sentence, ngram), return_counts=True)
    return Counts(pairs >> 32, pairs & _LOW, count)


def _look_up(keys: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each key in the sorted `known`, and whether it is really there."""
    place = np.searchsorted(known, keys)
    found = place < len(known)
    found[found] = known[place[found]] == keys[found]
    return place, found


def _identify(keys: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each key in the sorted `known`, ids beyond it for the others, and those others."""
    ids, hit = _look_up(keys, known)
    unseen, inverse = np.unique(keys[~hit], return_inverse=True)
    ids[~hit] = len(known) + inverse
    return ids, unseen
