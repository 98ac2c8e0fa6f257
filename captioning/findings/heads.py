"""What the heads of a Transformer look at, each on its own."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from captioning.datasets.dataset import Record
from captioning.findings.finding import Finding
from captioning.findings.wording import listed, percent
from captioning.metrics import attention

SAME = 0.9  # share of their weight that heads have in common: above, they are called alike


def heads(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> Finding:
    """Tell how sharp each head looks, how much heads have in common, and which one looks most at what is named.

    Args:
        records, words: the pictures, and the words of one caption for each.
        maps: the weights of one block as each word was chosen, (words, heads, regions), rows summing to 1.
    """
    looks = [weights for weights in maps if len(weights)]
    if not looks:
        return Finding("All captions are empty: there is no map.")
    every = np.concatenate(looks)  # (words of all captions, heads, regions)
    sharp = every.max(axis=2).mean(axis=0) * every.shape[2]
    told = listed(f"×{value:.1f} of head {number}" for number, value in enumerate(sharp, start=1))
    text = f"Mean of the largest weight of a word, in multiples of an even look: {told}."
    if pairs := list(combinations(range(every.shape[1]), 2)):
        # The smaller of two weights, summed: 1 for equal maps, 0 for maps without a region in common.
        common = np.mean([np.minimum(every[:, one], every[:, other]).sum(axis=1).mean() for one, other in pairs])
        verdict = "the heads look alike" if common > SAME else "the heads divide the work"
        text += f" Two heads have {percent(common, 0)} of their weight in common at a word: {verdict}."
    return Finding(text + _inside(records, words, maps))


def _inside(records: Sequence[Record], words: Sequence[Sequence[str]], maps: Sequence[np.ndarray]) -> str:
    """Name the head with the most weight in the boxes of what is named; nothing where no box is known."""
    heads = range(maps[0].shape[1])
    found = (attention.inside(records, words, [weights[:, head] for weights in maps]) for head in heads)
    if not (measured := [head for head in found if head]):
        return ""
    inside = [head.inside.mean for head in measured]
    most = int(np.argmax(inside))
    return (
        f" At the names of objects that are there, head {most + 1} has the most weight in the box, "
        f"{percent(inside[most], 0)}; the mean of the heads is {percent(float(np.mean(inside)), 0)}, an even look has "
        f"{percent(measured[0].area.mean, 0)}."
    )
