"""Rank the captions of a beam by what people said of similar pictures; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np

from captioning.decoding.steps import Caption, require_whole


def rerank(captions: Sequence[Caption], similarity: np.ndarray, k: int, mix: float) -> list[Caption]:
    """Rank the captions of one picture by consensus with the captions of the train pictures nearest to it.

    The score of a caption is its mean similarity to the k nearest pictures, plus `mix` times its log-probability per
    word. The consensus is that of Devlin et al. 2015, "Exploring Nearest Neighbor Approaches for Image Captioning"
    (arXiv 1505.04467), section 3.2, who rank the neighbors' captions by it; Mao et al. 2015, "Deep Captioning with
    Multimodal Recurrent Neural Networks" (arXiv 1412.6632), section 8, so rerank those of a beam.

    Args:
        captions: the candidates, as `beam_search(..., return_all=True)` gives them for one picture.
        similarity: of each candidate to the captions of each near picture, the nearest first, (candidates, most);
            for example CIDEr-D.
        k: how many of the pictures count; all of them where there are fewer.
        mix: weight of the log-probability, in units of similarity; 0 leaves it out.

    Returns:
        The captions with that score, the best first (ties: in the order given); finished ones before cut-off ones.

    Raises:
        ValueError: a bad argument.
    """
    similarity = np.asarray(similarity, np.float64)
    require_whole("k", k, 1)
    if isinstance(mix, bool) or not isinstance(mix, Real) or not 0 <= mix < np.inf:
        raise ValueError(f"mix must be a number of at least 0, not {mix!r}.")
    if similarity.ndim != 2 or len(similarity) != len(captions) or not similarity.shape[1]:
        raise ValueError(
            f"similarity must be ({len(captions)} candidates, pictures: 1 or more), not {similarity.shape}."
        )
    if not np.isfinite(similarity).all():
        raise ValueError("similarity holds NaN or infinity.")
    means = similarity[:, :k].mean(axis=1).tolist()
    scored = [c._replace(score=mean + mix * c.per_word) for c, mean in zip(captions, means, strict=True)]
    return sorted(scored, key=lambda caption: (not caption.finished, -caption.score))
