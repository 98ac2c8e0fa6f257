"""Rank the captions of a beam by what people said of similar pictures; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captioning.decoding.steps import Caption


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
        k: how many of the pictures count, 1 or more; all of them where there are fewer.
        mix: weight of the log-probability, in units of similarity, 0 or more; 0 leaves it out.

    Returns:
        The captions with that score, the best first (ties: in the order given); finished ones before cut-off ones.
    """
    means = np.asarray(similarity, np.float64)[:, :k].mean(axis=1).tolist()
    scored = [c._replace(score=mean + mix * c.per_word) for c, mean in zip(captions, means, strict=True)]
    return sorted(scored, key=lambda caption: (not caption.finished, -caption.score))
