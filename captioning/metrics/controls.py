"""Controls that a caption score needs beside it: chance, and how sure it is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from captioning.metrics.cider import CiderD
from captioning.metrics.references import ImageId, References

SAMPLES = 1000  # of a bootstrap, always drawn from the same seed
_DRAWN = 2**20  # indices drawn at a time: 8 MB


def shuffled_cider(
    references: CiderD | References | Mapping[ImageId, Sequence[str]],
    results: Mapping[ImageId, str],
    seeds: Iterable[int] = range(5),
) -> float:
    """Return the mean CIDEr-D that is left when every caption is given to another image.

    A captioner that looks at its picture scores far above this; one that says the same of all does not.

    References are as for `CiderD`, or a fitted one. For each seed one derangement is drawn, a permutation in which no
    caption stays; a ValueError for fewer than two images.
    """
    metric = references if isinstance(references, CiderD) else CiderD(references)
    return fmean(metric.score(texts)[0] for texts in shuffles(results, seeds))


def shuffles(results: Mapping[ImageId, str], seeds: Iterable[int] = range(5)) -> Iterator[dict[ImageId, str]]:
    """Yield for each seed the captions, each given to another image than its own; a ValueError for one image only."""
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


def bootstrap_interval(per_image_scores: ArrayLike) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean over images: its lower and its upper end (Efron 1979).

    As many scores as there are images are drawn `SAMPLES` times.
    """
    low, high = np.quantile(_resampled_means(per_image_scores), [0.025, 0.975]).tolist()
    return low, high


class Lead(NamedTuple):
    """By how much one system is above another."""

    mean: float  # of the differences
    low: float  # of the 95 % interval of that mean
    high: float
    not_above: float  # share of the resamples in which it is not above the other: small where the lead is sure


def paired_bootstrap(one: ArrayLike, other: ArrayLike) -> Lead:
    """Compare two systems on the same images (Koehn 2004): which is better does not depend on the images drawn?

    Both are scored on the same resamples, so that images that are hard for both do not blur the difference. For scores
    that are means over images (CIDEr-D, ROUGE-L), not for corpus BLEU; a ValueError where there are not equally many.
    """
    first, second = np.asarray(one, float), np.asarray(other, float)
    if first.shape != second.shape:
        raise ValueError(f"Systems are compared on the same images, not on {first.shape} and {second.shape} scores.")
    means = _resampled_means(first - second)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return Lead(float(np.mean(first - second)), low, high, float(np.mean(means <= 0)))


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean of several runs (seeds) and their sample deviation (n - 1), None of a single one."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def _resampled_means(per_image_scores: ArrayLike) -> np.ndarray:
    """Return the mean of each of `SAMPLES` draws of as many images with replacement: (samples,)."""
    scores = np.asarray(per_image_scores, float)
    if scores.ndim != 1 or not len(scores):
        raise ValueError(f"One score per image is needed, not an array of shape {scores.shape}.")
    generator, size = np.random.default_rng(0), len(scores)
    together = max(1, _DRAWN // size)
    parts = (min(together, SAMPLES - start) for start in range(0, SAMPLES, together))
    return np.concatenate([scores[generator.integers(size, size=(part, size))].mean(axis=1) for part in parts])


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
