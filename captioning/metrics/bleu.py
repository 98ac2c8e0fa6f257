"""Corpus BLEU-1 to BLEU-4 (Papineni et al. 2002) with coco-caption's choices."""

import math
from collections.abc import Sequence

import numpy as np

from captioning.metrics.ngrams import ReferenceNgrams

# coco-caption's guards against a division by zero: without any match the score is about 1e-16, not 0.
TINY, SMALL = 1e-15, 1e-9


def corpus_bleu(references: ReferenceNgrams, candidates: Sequence[Sequence[str]]) -> list[float]:
    """Score a set of captions as one corpus: BLEU-1, BLEU-2, BLEU-3 and BLEU-4, in [0, 1].

    Matches are clipped at the largest count in one reference of the image; the brevity penalty compares the total
    length with the total of the closest reference lengths (of two equally close ones, the shorter).

    Args:
        references, candidates: one list of words per image, in the order of the references; may be empty.
    """
    lengths = np.fromiter(map(len, candidates), np.int64, len(candidates))
    ratio = (lengths.sum() + TINY) / (_closest_lengths(references, lengths).sum() + SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    counts = zip(references.count(candidates), references.orders, strict=True)
    for order, (rows, images) in enumerate(counts, start=1):
        largest = images.largest_count(rows.sentence, rows.ngram)
        product *= (np.minimum(rows.count, largest).sum() + TINY) / (rows.count.sum() + SMALL)
        scores.append(float(product ** (1 / order) * penalty))
    return scores


def _closest_lengths(references: ReferenceNgrams, lengths: np.ndarray) -> np.ndarray:
    """Return for each candidate the reference length that is closest to its own: (candidates,)."""
    theirs, image = references.lengths, references.image
    order = np.lexsort((theirs, np.abs(theirs - lengths[image]), image))
    return theirs[order][references.first]  # the first one of each
