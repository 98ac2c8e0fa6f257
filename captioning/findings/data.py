"""What the tables and figures of a dataset's pictures, captions and words amount to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from captioning.datasets.dataset import SPLITS, CaptionDataset, Record
from captioning.findings.finding import Finding
from captioning.words import tokenize


def numbered(count: int, noun: str) -> str:
    """Return "1 picture", "1,900 pictures"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(items: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def percent(share: float) -> str:
    """Return a share in percent that says 0 and 100 only where nothing and everything is meant."""
    text = f"{share:.1%}"
    return {"0.0%": "under 0.1%", "100.0%": "over 99.9%"}.get(text, text) if 0 < share < 1 else f"{share:.0%}"


def splits(dataset: CaptionDataset) -> Finding:
    """Tell the share of each split, the captions per picture, and how sure a share of the test pictures is."""
    sizes = {split: len(dataset.split(split)) for split in SPLITS}
    total = sum(sizes.values())
    shares = [f"{percent(size / total)} {split}" for split, size in sizes.items()]
    captions = sum(len(record.captions) for record in dataset.records)
    text = f"Of {numbered(total, 'picture')}, {listed(shares)}; {captions / total:.1f} captions per picture on average."
    if not sizes["test"]:
        return Finding(text)
    margin = round(100 * 1.96 * math.sqrt(0.25 / sizes["test"]))  # of a share of one half, which varies most
    counted = f"A share counted on {numbered(sizes['test'], 'test picture')}"
    return Finding(f"{text} {counted} is uncertain by up to {numbered(margin, 'percentage point')} (95% interval).")


def shared_words(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the share of the words of two texts that both use."""
    words, others = set(one), set(other)
    return len(words & others) / max(1, len(words | others))


def agreement(records: Sequence[Record], most: int = 5) -> Finding:
    """Tell whether captions of one picture are more alike than those of different ones.

    Args:
        records: of the pictures shown.
        most: captions shown of each.
    """
    words = [[tokenize(caption) for caption in record.captions[:most]] for record in records]
    count = sum(map(len, words))
    text = f"{numbered(len(records), 'picture')} with {numbered(count, 'caption')}."
    within = [shared_words(*pair) for captions in words for pair in combinations(captions, 2)]
    across = [shared_words(a, b) for one, other in combinations(words, 2) for a in one for b in other]
    if within:
        text += f" Two captions of one picture share {np.mean(within):.0%} of their words on average."
    if across:
        text += f" Two captions of different pictures share {np.mean(across):.0%}."
    return Finding(text)


def captions_per_picture(records: Sequence[Record]) -> Finding:
    """Tell how many captions most pictures have, and the fewest and the most."""
    counts = Counter(len(record.captions) for record in records)
    (usual, pictures), fewest, most = counts.most_common(1)[0], min(counts), max(counts)
    if fewest == most:
        return Finding(f"Captions per picture: {usual}, for all {len(records):,}.")
    share = percent(pictures / len(records))
    return Finding(
        f"Captions per picture: {usual} for {pictures:,} of {len(records):,} ({share}); the fewest are {fewest}, the "
        f"most {most}."
    )


def lengths(words: Mapping[str, Sequence[int]], cut: int | None) -> Finding:
    """Tell how long captions are and what the cut loses.

    Args:
        words: split -> number of words of each caption.
        cut: words that training keeps of a caption; None for all.
    """
    means = [f"{np.mean(values):.1f} in {split}" for split, values in words.items() if len(values)]
    train = np.asarray(words["train"])
    text = f"Mean length in words: {listed(means)}. The longest train caption has {numbered(train.max(), 'word')}."
    if cut is None:
        return Finding(text)
    longer, lost = np.count_nonzero(train > cut), np.maximum(train - cut, 0).sum()
    if not longer:
        return Finding(f"{text} None is longer than {numbered(cut, 'word')}: the cut loses nothing.")
    return Finding(
        f"{text} The cut after {numbered(cut, 'word')} shortens {longer:,} of {numbered(len(train), 'train caption')} "
        f"({percent(longer / len(train))}) and loses {percent(lost / train.sum())} of the text."
    )


def common_words(counts: Counter[str], most: int) -> Finding:
    """Tell how much of the text the most common words are, and how far one of them alone gets.

    Args:
        counts: word -> occurrences in train.
        most: words shown.
    """
    (word, first), total = counts.most_common(1)[0], counts.total()
    shown = sum(count for _, count in counts.most_common(most))
    return Finding(
        f'A model that says "{word}" and nothing else is right for {percent(first / total)} of the words of train. '
        f"The {numbered(min(most, len(counts)), 'word')} shown, of {len(counts):,}, make up {percent(shown / total)} "
        "of the text."
    )


def rare_words(counts: Counter[str], minimum: int) -> Finding:
    """Tell what a minimum count leaves out of the vocabulary.

    Args:
        counts: word -> occurrences in train.
        minimum: of a word that is kept.
    """
    rare = [count for count in counts.values() if count < minimum]
    if not rare:
        rarest = numbered(min(counts.values()), "time")
        return Finding(
            f"A minimum count of {minimum} leaves out no word of train: the rarest occurs {rarest}. Nothing is lost."
        )
    once = rare.count(1)
    return Finding(
        f"A minimum count of {minimum} leaves out {len(rare):,} of {numbered(len(counts), 'word')} "
        f"({percent(len(rare) / len(counts))}), which are {percent(sum(rare) / counts.total())} of the text. "
        f"{numbered(once, 'word')} {'occurs' if once == 1 else 'occur'} only once."
    )


def unknown_words(captions: Mapping[str, Sequence[str]], known: set[str]) -> Finding:
    """Tell how many captions and words are outside of a vocabulary.

    Args:
        captions: split -> captions.
        known: the words of the vocabulary.
    """
    told = []
    for split, texts in captions.items():
        words = [tokenize(text) for text in texts]
        unknown = Counter(word for text in words for word in text if word not in known)
        if not unknown:
            continue
        holding = sum(not known.issuperset(text) for text in words)
        (word, times), total = unknown.most_common(1)[0], sum(map(len, words))
        told.append(
            f"{split}: unknown words are in {holding:,} of {numbered(len(texts), 'caption')} "
            f"({percent(holding / len(texts))}) and make up {percent(unknown.total() / total)} of the text; the most "
            f'frequent is "{word}" ({numbered(times, "time")}).'
        )
    if not told:
        return Finding(
            f"No caption of {listed(list(captions))} holds an unknown word: nothing is lost on this dataset."
        )
    return Finding(" ".join(told))
