"""CIDEr-D (Vedantam et al. 2015) as coco-caption computes it."""

from collections.abc import Mapping, Sequence

import numpy as np

from captioning.metrics.ngrams import ORDERS, Counts
from captioning.metrics.references import ImageId, References, words_of

SIGMA = 6.0


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
        ngrams = self._ngrams = self.references.ngrams
        # idf = log(images) - log(images with the n-gram in a reference), 1 where there is none.
        self._idf = [
            np.log(ngrams.images) - np.log(np.maximum(order.images_with(size), 1))
            for order, size in zip(ngrams.orders, ngrams.sizes, strict=True)
        ]
        self._weights, self._norms = [], []
        for order, idf in zip(ngrams.orders, self._idf, strict=True):
            self._weights.append(order.count * idf[order.ngram])
            self._norms.append(_norms(order.sentence, self._weights[-1], len(ngrams.lengths)))

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
        ngrams = self._ngrams
        words = [words_of(tokens) for tokens in candidates]
        counts = ngrams.count(words)
        similarity = sum(self._similarity(order, rows) for order, rows in enumerate(counts)) / ORDERS
        # coco-caption takes the number of bigrams for the length of a caption.
        bigrams = np.maximum(np.fromiter(map(len, words), np.int64, len(words)) - 1, 0)
        delta = bigrams[ngrams.image] - np.maximum(ngrams.lengths - 1, 0)
        similarity = similarity * np.exp(-(delta**2) / (2 * SIGMA**2))
        scores = 10 * _sums(ngrams.image, similarity, ngrams.images) / ngrams.captions
        return float(scores.mean()), scores

    def _similarity(self, order: int, rows: Counts) -> np.ndarray:
        """Return the clipped cosine of each reference with the caption of its image: (sentences,)."""
        ngrams, table = self._ngrams, self._ngrams.orders[order]
        idf = np.append(self._idf[order], np.log(ngrams.images))  # the last one: for all unknown n-grams
        weights = rows.count * idf[np.minimum(rows.ngram, len(idf) - 1)]
        asked, found = table.rows_of(rows.sentence, rows.ngram)
        theirs = self._weights[order][found]
        product = _sums(table.sentence[found], np.minimum(weights[asked], theirs) * theirs, len(ngrams.lengths))
        norm = _norms(rows.sentence, weights, ngrams.images)[ngrams.image] * self._norms[order]
        return np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)


def _norms(sentence: np.ndarray, weights: np.ndarray, sentences: int) -> np.ndarray:
    return np.sqrt(_sums(sentence, weights**2, sentences))


def _sums(index: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Add up the values of each index, as floats even when there is none."""
    return np.bincount(index, values, size).astype(float)
