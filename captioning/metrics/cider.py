"""CIDEr-D (Vedantam et al. 2015) as coco-caption computes it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from captioning.metrics.ngrams import ORDERS, spans
from captioning.metrics.references import ImageId, References, words_of

SIGMA = 6.0
_TOGETHER = 4096  # pairs compared at a time: some 20 MB with five references each


class _Vectors(NamedTuple):
    """The weighed n-grams of one order of all candidates; those of a candidate lie side by side."""

    start: np.ndarray  # (candidates,) first row of each
    length: np.ndarray  # (candidates,) number of rows of each
    ngram: np.ndarray  # (rows,)
    weight: np.ndarray  # (rows,)
    norm: np.ndarray  # (candidates,)


class CiderD:
    """The metric, fitted once on the references: they fix the document frequencies."""

    def __init__(self, references: References | Mapping[ImageId, Sequence[str]]):
        """Weigh the n-grams of the references: image id -> raw captions, or the same already tokenized."""
        self.references = references if isinstance(references, References) else References(references)
        ngrams = self._ngrams = self.references.ngrams
        self._idf, self._weights, self._norms = [], [], []
        for order, size in zip(ngrams.orders, ngrams.sizes, strict=True):
            # idf = log(images) - log(images with the n-gram in a reference); the last one is for all unknown n-grams.
            idf = np.log(ngrams.images) - np.log(np.append(order.images_with(size), 1))
            self._idf.append(idf)
            self._weights.append(order.count * idf[order.ngram])
            self._norms.append(_norms(order.sentence, self._weights[-1], len(ngrams.lengths)))

    def score(self, results: Mapping[ImageId, str]) -> tuple[float, np.ndarray]:
        """Score one caption per image, see `References.tokens_of`.

        Returns:
            The mean, and the scores (images,) in the order of the references; 10 is a perfect match.
        """
        return self.score_tokens(self.references.tokens_of(results))

    def score_tokens(self, candidates: Sequence[Sequence[str]]) -> tuple[float, np.ndarray]:
        """Score captions that are tokenized already, one per image in the order of the references."""
        scores = self.score_pairs(candidates, range(len(candidates)), range(len(self.references.ids)))
        return float(scores.mean()), scores

    def score_pairs(self, candidates: Sequence[Sequence[str]], candidate: ArrayLike, image: ArrayLike) -> np.ndarray:
        """Score any captions for any images; the time grows with the pairs, not with the references.

        Args:
            candidates: tokenized captions, each counted once.
            candidate: (pairs,) index of a caption.
            image: (pairs,) index of an image, in the order of `references.ids`, to whose references it is compared.

        Returns:
            (pairs,): what `score` gives that image with that caption.
        """
        texts, images = np.asarray(candidate, np.int64), np.asarray(image, np.int64)
        for index, size in ((texts, len(candidates)), (images, len(self.references.ids))):
            if index.shape != images.shape or index.ndim != 1 or np.any((index < 0) | (index >= size)):
                raise ValueError(f"Pairs to score need {images.size} indices from 0 to {size - 1}, not {index}.")
        words = [words_of(tokens) for tokens in candidates]
        vectors = self._vectors(words)
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        scores = np.empty(len(images))
        for start in range(0, len(images), _TOGETHER):
            these = slice(start, start + _TOGETHER)
            scores[these] = self._compare(vectors, lengths, texts[these], images[these])
        return scores

    def score_references(self) -> np.ndarray:
        """Score each reference against the others of its image: (references,), in their order."""
        image, captions = self._ngrams.image, self._ngrams.captions
        if np.any(captions < 2):
            raise ValueError("An image has a single reference: there is no other to compare it to.")
        everyone = [tokens for of_one in self.references.tokens for tokens in of_one]
        scores = self.score_pairs(everyone, range(len(everyone)), image)
        # Taken out again: each compared to itself, where every order with a weight is a perfect match.
        itself = 10 / ORDERS * np.sum([norms > 0 for norms in self._norms], axis=0)
        return (scores * captions[image] - itself) / (captions[image] - 1)

    def _vectors(self, words: Sequence[Sequence[str]]) -> list[_Vectors]:
        """Weigh the n-grams of captions, order by order."""
        vectors = []
        for rows, idf in zip(self._ngrams.count(words), self._idf, strict=True):
            weight = rows.count * idf[np.minimum(rows.ngram, len(idf) - 1)]
            length = np.bincount(rows.sentence, minlength=len(words))
            norm = _norms(rows.sentence, weight, len(words))
            vectors.append(_Vectors(np.cumsum(length) - length, length, rows.ngram, weight, norm))
        return vectors

    def _compare(
        self, vectors: Sequence[_Vectors], lengths: np.ndarray, candidate: np.ndarray, image: np.ndarray
    ) -> np.ndarray:
        """Return the score of each pair: (pairs,)."""
        ngrams = self._ngrams
        captions = ngrams.captions[image]
        pair, sentence = spans(ngrams.first[image], captions)  # one row per pair and reference
        behind = np.cumsum(captions) - captions - ngrams.first[image]  # from a sentence to its row
        similarity = np.zeros(len(pair))
        for mine, table, theirs, norms in zip(vectors, ngrams.orders, self._weights, self._norms, strict=True):
            owner, row = spans(mine.start[candidate], mine.length[candidate])
            asked, found = table.rows_of(image[owner], mine.ngram[row])
            products = np.minimum(mine.weight[row[asked]], theirs[found]) * theirs[found]
            product = _sums(behind[owner[asked]] + table.sentence[found], products, len(pair))
            norm = mine.norm[candidate[pair]] * norms[sentence]
            similarity += np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)
        # coco-caption takes the number of bigrams for the length of a caption.
        delta = np.maximum(lengths[candidate[pair]] - 1, 0) - np.maximum(ngrams.lengths[sentence] - 1, 0)
        similarity *= np.exp(-(delta**2) / (2 * SIGMA**2))
        return 10 / ORDERS * _sums(pair, similarity, len(image)) / captions


def _norms(sentence: np.ndarray, weights: np.ndarray, sentences: int) -> np.ndarray:
    return np.sqrt(_sums(sentence, weights**2, sentences))


def _sums(index: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Add up the values of each index, as floats even when there is none."""
    return np.bincount(index, values, size).astype(float)
