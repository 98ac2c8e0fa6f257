"""Controls that a caption score needs beside it: chance, spread, and how many captions are new."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist, fmean

import numpy as np

from captioning.metrics.cider import CiderD
from captioning.metrics.references import ImageId, References
from captioning.words import tokenize

SAMPLES = 1000  # of a bootstrap, always drawn from the same seed


def shuffled_cider(
    references: CiderD | References | Mapping[ImageId, Sequence[str]],
    results: Mapping[ImageId, str],
    seeds: Iterable[int] = range(5),
) -> float:
    """Return the mean CIDEr-D that is left when every caption is given to another image.

    A captioner that looks at its picture scores far above this; one that says the same of all does not.

    Args:
        references: as for `CiderD`, or a fitted one.
        results: image id -> raw caption.
        seeds: one derangement (a permutation in which no caption stays) is drawn for each.

    Raises:
        ValueError: fewer than two images, no seed, or as in `CiderD.score`.
    """
    metric = references if isinstance(references, CiderD) else CiderD(references)
    if not (scores := [metric.score(texts)[0] for texts in shuffles(results, seeds)]):
        raise ValueError("shuffled_cider needs at least one seed.")
    return fmean(scores)


def shuffles(results: Mapping[ImageId, str], seeds: Iterable[int] = range(5)) -> Iterator[dict[ImageId, str]]:
    """Yield for each seed the captions, each given to another image than its own.

    Raises:
        ValueError: there is one image only.
    """
    captions = list(results.values())
    if len(captions) < 2:
        raise ValueError("Captions cannot be shuffled among other images: there is only one image.")
    for seed in seeds:
        yield {image: captions[place] for image, place in zip(results, _derangement(len(results), seed), strict=True)}


def _derangement(size: int, seed: int) -> np.ndarray:
    """Draw permutations until none of the places is its own; every third one or so is such."""
    generator = np.random.default_rng(seed)
    while np.any((permutation := generator.permutation(size)) == np.arange(size)):
        pass
    return permutation


def bootstrap_interval(per_image_scores: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean over images: its lower and its upper end (Efron 1979).

    Args:
        per_image_scores: (images,), for example the array of `CiderD.score`; as many are drawn `SAMPLES` times.

    Raises:
        ValueError: no score.
    """
    scores = np.asarray(per_image_scores, float)
    if scores.ndim != 1 or not len(scores):
        raise ValueError(f"One score per image is needed, not an array of shape {scores.shape}.")
    generator = np.random.default_rng(0)
    means = [scores[generator.integers(len(scores), size=len(scores))].mean() for _ in range(SAMPLES)]
    return tuple(np.quantile(means, [0.025, 0.975]).tolist())


def share_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share of `count`, which 0 and 1 have as well (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.975)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * (share * (1 - share) / count + (z / (2 * count)) ** 2) ** 0.5 / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def shares_differ(one: tuple[float, Sequence[float]], other: tuple[float, Sequence[float]]) -> bool:
    """Tell whether two shares, each with its interval, are distinguishable (Newcombe 1998, method 10)."""
    (larger, (low, _)), (smaller, (_, high)) = sorted([one, other], key=lambda pair: -pair[0])
    return larger - smaller > ((larger - low) ** 2 + (high - smaller) ** 2) ** 0.5


def distinct_captions(results: Mapping[ImageId, str]) -> float:
    """Return the share of different captions among all, compared after tokenization."""
    captions = _tokenized(results)
    return len(set(captions)) / len(captions)


def novel_captions(results: Mapping[ImageId, str], train_captions: Iterable[str]) -> float:
    """Return the share of captions that are not word for word in train, compared after tokenization.

    An empty caption is not novel.
    """
    captions = _tokenized(results)
    wanted = set(captions)
    copied = {caption for text in train_captions if (caption := tuple(tokenize(text))) in wanted} | {()}
    return sum(caption not in copied for caption in captions) / len(captions)


def _tokenized(results: Mapping[ImageId, str]) -> list[tuple[str, ...]]:
    if not results:
        raise ValueError("There is no caption to look at: the results are empty.")
    return [tuple(tokenize(caption)) for caption in results.values()]
