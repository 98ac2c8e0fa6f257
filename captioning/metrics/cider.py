"""CIDEr-D (Vedantam et al. 2015) as coco-caption computes it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from captioning.metrics.references import ORDERS, ImageId, References, count_ngrams, words_of

SIGMA = 6.0


class _Vector(NamedTuple):
    """A caption as CIDEr-D sees it."""

    counts: Counter  # of its n-grams; each weighs its count times its idf
    norms: list[float]  # of the weights of each order
    bigrams: int  # which coco-caption takes for the caption's length


class CiderD:
    """The metric, fitted once on the references: they fix the document frequencies."""

    def __init__(self, references: References | Mapping[ImageId, Sequence[str]]):
        """Weigh the n-grams of the references.

        Args:
            references: image id -> raw reference captions, or the same already tokenized.

        Raises:
            ValueError: see `References`.
        """
        self.references = references if isinstance(references, References) else References(references)
        images = self.references.ngrams
        frequency = Counter(ngram for captions in images for ngram in set().union(*captions))
        # log(images) - log(images with the n-gram in a reference), which is 1 where there is none.
        self._unknown = math.log(len(images))
        self._idf = {ngram: self._unknown - math.log(count) for ngram, count in frequency.items()}
        self._vectors = [[self._vector(counts) for counts in captions] for captions in images]

    def score(self, results: Mapping[ImageId, str]) -> tuple[float, np.ndarray]:
        """Score one caption per image.

        Args:
            results: image id -> caption (raw text); the same images as the references.

        Returns:
            The mean, and the scores (images,) in the order of the references; 10 is a perfect match.

        Raises:
            ValueError: see `References.tokens_of`.
        """
        return self.score_tokens(self.references.tokens_of(results))

    def score_tokens(self, candidates: Sequence[Sequence[str]]) -> tuple[float, np.ndarray]:
        """Score captions that are tokenized already, one per image in the order of the references."""
        scores = np.empty(len(candidates))
        for place, (tokens, references) in enumerate(zip(candidates, self._vectors, strict=True)):
            own = self._vector(count_ngrams(words_of(tokens)))
            scores[place] = 10 * sum(self._similarity(own, other) for other in references) / len(references)
        return float(scores.mean()), scores

    def _vector(self, counts: Counter) -> _Vector:
        squares, bigrams = [0.0] * ORDERS, 0
        for ngram, count in counts.items():
            squares[len(ngram) - 1] += (count * self._idf.get(ngram, self._unknown)) ** 2
            bigrams += count if len(ngram) == 2 else 0
        return _Vector(counts, [math.sqrt(square) for square in squares], bigrams)

    def _similarity(self, own: _Vector, other: _Vector) -> float:
        """Return the clipped cosine, averaged over the orders; less, the farther apart the lengths are."""
        products = [0.0] * ORDERS
        for ngram, count in own.counts.items():
            if found := other.counts.get(ngram):
                products[len(ngram) - 1] += min(count, found) * found * self._idf[ngram] ** 2
        orders = zip(products, own.norms, other.norms, strict=True)
        cosine = sum(product / (norm * others) for product, norm, others in orders if product) / ORDERS
        return cosine * math.exp(-((own.bigrams - other.bigrams) ** 2) / (2 * SIGMA**2))
