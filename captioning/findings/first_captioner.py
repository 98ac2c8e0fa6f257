"""What the page for beginners, notebook 00, shows: a picture, its features, one step, two losses, what is named."""

from collections.abc import Mapping, Sequence

import numpy as np

from captioning.datasets.records import Record
from captioning.findings.finding import Finding
from captioning.findings.training import FLAT
from captioning.findings.wording import counted, percent
from captioning.images import open_image
from captioning.metrics import grounding
from captioning.words import tokenize


def one_picture(record: Record) -> Finding:
    """Tell how large a picture is, and how long its first caption."""
    width, height = open_image(record.file).size
    return Finding(
        f"The picture has {width} x {height} pixels of three numbers each: {3 * width * height:,} numbers. "
        f"The caption has {counted(len(tokenize(record.captions[0])), 'word')}."
    )


def coarse(record: Record, features: np.ndarray) -> Finding:
    """Tell how many numbers are left of a picture, (numbers,)."""
    width, height = open_image(record.file).size
    return Finding(
        f"Of {3 * width * height:,} numbers, {counted(features.size, 'number')} are left: "
        f"one of every {3 * width * height / features.size:,.0f}."
    )


def one_step(before: float, after: float) -> Finding:
    """Tell the loss of a batch before and after a gradient step on it, nats per word."""
    course = "fell" if after < before else "did not fall: the step was too long" if after > before else "stayed"
    return Finding(f"The loss of these captions {course}: {before:.3f} before the step, {after:.3f} after it.")


def overfitting(training: Sequence[float], validation: Sequence[float], even: float) -> Finding:
    """Tell what became of two losses, nats per word after each epoch; `even`: of equal probabilities for all words."""
    if not np.isfinite([training[-1], validation[-1]]).all():
        return Finding("The loss is not a finite number any more: the steps were too long, and training diverged.")
    if min(validation) >= even:
        return Finding(
            f"The validation loss was never below {min(validation):.2f}, no better than the same probability for every "
            f"word ({even:.2f}): nothing was learned."
        )
    lowest, low, end = int(np.argmin(validation)), min(validation), validation[-1]
    course = (
        f"The training loss went from {training[0]:.2f} to {training[-1]:.2f}. The validation loss was lowest after "
        f"epoch {lowest + 1} of {len(validation)} ({low:.2f})"
    )
    if end - low < FLAT:
        return Finding(f"{course} and ended at {end:.2f}: no overfitting yet.")
    fell = training[-1] < training[lowest]
    verdict = "from there on the network overfits" if fell else "the training loss did not fall meanwhile, either"
    return Finding(f"{course} and rose to {end:.2f} by the end: {verdict}. The weights of epoch {lowest + 1} are kept.")


def named(records: Sequence[Record], results: Mapping[str, Sequence[str]]) -> Finding:
    """Tell what captioners name right in drawn pictures: places, objects, their colors; and which captions are exact.

    The results are a caption per picture by the name of the captioner.
    """
    truth = {record.image_id: record.truth or {} for record in records}
    told = []
    for name, texts in results.items():
        shares = grounding(truth, dict(zip(truth, texts, strict=True)))
        parts = {"place": "of the places", "object": "of the objects", "colour": "of the colors"}
        right = ", ".join(f"{percent(shares[kind], 0)} {what}" for kind, what in parts.items())
        told.append(f"{name} names {right}; {percent(shares['exact'], 0)} of its captions name all, and no more.")
    return Finding(f"On {counted(len(records), 'validation picture')}: {' '.join(told)}")
