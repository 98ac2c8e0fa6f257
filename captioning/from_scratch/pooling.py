"""One vector per image, and what is subtracted from it and what it is divided by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def channel_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit what `CaptioningRNN` subtracts and divides by; pass the features of the train split only.

    Args:
        features: (images, channels) or (images, regions, channels), any float type.

    Returns:
        Mean and deviation of each channel over the images, regions averaged first: (channels,) float64 each.
        A channel that hardly varies has deviation 0, which means that the captioner leaves it out.

    Raises:
        ValueError: no image.
    """
    features = np.asarray(features)
    if not len(features):
        raise ValueError("No image to take mean and deviation of: does the train split have pictures with features?")
    mean, count = 0.0, len(features)
    for part in _in_parts(features):
        mean = mean + part.sum(axis=0) / count
    variance = 0.0  # a second pass: the difference of two large sums would be inexact
    for part in _in_parts(features):
        variance = variance + np.square(part - mean).sum(axis=0) / count
    deviation = np.sqrt(variance)
    # Divided by next to nothing, such a channel would drown all others in the first picture in which it fires.
    deviation[deviation <= 1e-2 * np.sqrt(np.mean(variance))] = 0
    return mean, deviation


def _in_parts(features: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the features of some images at a time, regions averaged: (images, channels) float64."""
    for start in range(0, len(features), 1024):
        yield pool_regions(features[start : start + 1024], "float64")


def pool_regions(features: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Average the regions of each image.

    Args:
        features: (batch, regions, channels), or (batch, channels) for one region each, any float type.
        dtype: of the sum and of the result; float16 shards must not be summed in float16.

    Returns:
        (batch, channels).

    Raises:
        ValueError: another number of axes.
    """
    features = np.asarray(features)
    if features.ndim not in (2, 3):
        raise ValueError(f"Features must be (batch, [regions,] channels), not of shape {features.shape}.")
    return features.mean(axis=1, dtype=dtype) if features.ndim == 3 else features.astype(dtype)
