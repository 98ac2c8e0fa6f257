"""Does a decoder look at the thing that it names? For drawn scenes, where the place of every thing is known."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from captioning.datasets.records import Record
from captioning.metrics.controls import Estimate
from captioning.metrics.lexicon import SCENES, phrases_of


class Looking(NamedTuple):
    """Where attention lies as things are named, as shares of its weight; means over pictures."""

    pictures: int  # with a named thing that is really there
    words: int  # how often such a thing is named
    inside: Estimate  # weight in the box of the thing, at the word that names it
    area: Estimate  # the box's share of the picture: what attention without a preference gives
    others: Estimate  # weight in the same box at the other words of the caption
    over_area: Estimate  # inside - area, paired
    over_others: Estimate  # inside - others, paired


def inside(
    records: Sequence[Record], words: Sequence[Sequence[str]], attentions: Sequence[np.ndarray]
) -> Looking | None:
    """Measure how much attention lies in the box of a thing at the word that names it; None where no box is known.

    Only names of things that are there count. A name of several words ("hot air balloon") counts with its mean.

    The attention of each caption is (words, regions), rows summing to 1; the regions form a square grid, row by row.
    """
    rows, mentions = [], 0
    for of_one in zip(records, words, attentions, strict=True):
        if named := list(_of_one(*of_one)):
            rows.append(np.mean(named, axis=0))
            mentions += len(named)
    if not rows:
        return None
    here, area, others = np.transpose(rows)
    columns = (here, area, others, here - area, here - others)
    return Looking(len(rows), mentions, *map(Estimate.of, columns))


def boxes_of(record: Record, words: Sequence[str]) -> dict[int, list[float]]:
    """Return number of a word -> box of the thing in the picture that it names; nothing on photos.

    A box is [left, top, right, bottom] in shares of the width and height. Of two things of a kind the color decides.
    """
    return {number: box for place, box in _named(record, words) for number in place}


def share_inside(weights: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """Return the share of attention in a box; within a region the weight is spread evenly.

    The weights (..., regions) are of a square grid, row by row, else there is a ValueError; for boxes see `boxes_of`.
    """
    side = math.isqrt(weights.shape[-1])
    if side * side != weights.shape[-1]:
        raise ValueError(f"{weights.shape[-1]} regions form no square grid.")
    # Between the edges of the regions, how much of each is left of and above each side of the box.
    left, top, right, bottom = (np.clip(side * edge - np.arange(side), 0, 1) for edge in box)
    return weights @ np.outer(bottom - top, right - left).ravel()


def _of_one(record: Record, words: Sequence[str], attention: np.ndarray) -> Iterator[tuple[float, float, float]]:
    """Yield (inside, area, others) of each thing named in a caption that has other words, too."""
    if len(words) != len(attention):
        raise ValueError(f"Picture {record.image_id}: {len(words)} words but {len(attention)} rows of attention.")
    for place, box in _named(record, words):
        shares = share_inside(np.asarray(attention, float), box)
        if len(place) < len(words):
            area = (box[2] - box[0]) * (box[3] - box[1])
            yield shares[list(place)].mean(), area, np.delete(shares, place).mean()


def _named(record: Record, words: Sequence[str]) -> Iterator[tuple[range, list[float]]]:
    """Yield the numbers of the words that name each thing of a caption that is there, and its box."""
    things = [thing for thing in (record.truth or {}).get("objects", ()) if "box" in thing]
    for phrase in phrases_of(words, SCENES.find(words)) if things else ():
        # The only one of its kind is meant, whatever its color is called.
        if thing := phrase._replace(colour=None).thing(things) or phrase.thing(things):
            yield range(phrase.noun.start, phrase.noun.end), thing["box"]
