"""Controls that a caption score needs beside it: chance, and how sure it is."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist, fmean
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from captioning.metrics.cider import CiderD
from captioning.metrics.references import ImageId

SAMPLES = 1000  # of a bootstrap, always drawn from the same seed


def shuffled_cider(cider: CiderD, results: Mapping[ImageId, str]) -> float:
    """Return the mean CIDEr-D that is left when every caption is given to another image, see `shuffles`.

    A captioner that looks at its picture scores far above this; one that says the same of all does not.
    """
    return fmean(cider.score(texts)[0] for texts in shuffles(results))


def shuffles(results: Mapping[ImageId, str]) -> Iterator[dict[ImageId, str]]:
    """Yield the captions five times, each given to another image than its own; a ValueError for one image only."""
    captions = list(results.values())
    if len(captions) < 2:
        raise ValueError("Captions cannot be shuffled among other images: there is only one image.")
    for seed in range(5):
        yield {image: captions[place] for image, place in zip(results, _derangement(len(results), seed), strict=True)}


def _derangement(size: int, seed: int) -> np.ndarray:
    """Draw permutations until none of the places is its own; every third one or so is such."""
    generator = np.random.default_rng(seed)
    while np.any((permutation := generator.permutation(size)) == np.arange(size)):
        pass
    return permutation


def bootstrap_interval(per_image_scores: ArrayLike) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean over images: its lower and its upper end (Efron 1979).

    As many scores as there are images are drawn with replacement, `SAMPLES` times.
    """
    scores = np.asarray(per_image_scores, float)
    if scores.ndim != 1 or not len(scores):
        raise ValueError(f"One score per image is needed, not an array of shape {scores.shape}.")
    generator, size = np.random.default_rng(0), len(scores)
    means = [scores[generator.integers(size, size=size)].mean() for _ in range(SAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return low, high


class Estimate(NamedTuple):
    """A mean over images with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 where it is surely above 0, -1 where it is surely below, else 0."""
        return (self.low > 0) - (self.high < 0)

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Estimate the mean of one value per image."""
        low, high = bootstrap_interval(values)
        return cls(float(np.asarray(values, float).mean()), low, high)


def paired_bootstrap(one: ArrayLike, other: ArrayLike) -> Estimate:
    """Estimate by how much one system leads another on the same images (Koehn 2004).

    Both are scored on the same resamples, so that images that are hard for both do not blur the difference. For scores
    that are means over images (CIDEr-D, ROUGE-L), not for corpus BLEU; a ValueError where there are not equally many.
    """
    first, second = np.asarray(one, float), np.asarray(other, float)
    if first.shape != second.shape:
        raise ValueError(f"Systems are compared on the same images, not on {first.shape} and {second.shape} scores.")
    return Estimate.of(first - second)


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
