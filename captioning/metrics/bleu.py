"""Corpus BLEU-1 to BLEU-4 (Papineni et al. 2002) with coco-caption's choices."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from captioning.metrics.references import ORDERS, count_ngrams

# coco-caption's guards against a division by zero: without any match the score is about 1e-16, not 0.
TINY, SMALL = 1e-15, 1e-9


def corpus_bleu(references: Sequence[Sequence[Counter]], candidates: Sequence[Sequence[str]]) -> list[float]:
    """Score a set of captions as one corpus.

    Matches are clipped at the largest count in one reference of the image; the brevity penalty compares the total
    length with the total of the closest reference lengths (of two equally close ones, the shorter).

    Args:
        references: the n-grams of each image's references, see `count_ngrams`.
        candidates: one list of words per image, in the same order; may be empty.

    Returns:
        BLEU-1, BLEU-2, BLEU-3, BLEU-4 in [0, 1].
    """
    matches, guesses, length, closest = [0] * ORDERS, [0] * ORDERS, 0, 0
    for captions, words in zip(references, candidates, strict=True):
        for ngram, count in count_ngrams(words).items():
            matches[len(ngram) - 1] += min(count, max(caption.get(ngram, 0) for caption in captions))
            guesses[len(ngram) - 1] += count
        length += len(words)
        lengths = (sum(count for ngram, count in caption.items() if len(ngram) == 1) for caption in captions)
        closest += min((abs(other - len(words)), other) for other in lengths)[1]
    ratio = (length + TINY) / (closest + SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for order in range(ORDERS):
        product *= (matches[order] + TINY) / (guesses[order] + SMALL)
        scores.append(product ** (1 / (order + 1)) * penalty)
    return scores
