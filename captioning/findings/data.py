"""What the tables and figures of a dataset's pictures, captions and words amount to."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np

from captioning.datasets.dataset import SPLITS, CaptionDataset
from captioning.datasets.records import Record
from captioning.findings.finding import Finding
from captioning.findings.wording import counted, listed, percent
from captioning.words import tokenize, units

SHOWN = 5  # captions shown of a picture


def splits(dataset: CaptionDataset) -> Finding:
    """Tell the share of each split, the captions per picture, and how sure a share of the test pictures is."""
    sizes = {split: len(dataset.split(split)) for split in SPLITS}
    total = sum(sizes.values())
    shares = listed(f"{percent(size / total)} {split}" for split, size in sizes.items())
    mean = sum(len(record.captions) for record in dataset.records) / total
    text = f"Of {counted(total, 'picture')}, {shares}; {mean:.1f} captions per picture on average."
    if not sizes["test"]:
        return Finding(text)
    margin = math.ceil(100 * 1.96 * math.sqrt(0.25 / sizes["test"]))  # of a share of one half, which varies most
    return Finding(
        f"{text} A share counted on {counted(sizes['test'], 'test picture')} is uncertain by up to "
        f"{counted(margin, 'percentage point')} (95 % interval)."
    )


def shared_words(one: Collection[str], other: Collection[str]) -> float:
    """Return the share of the words of two texts that both use; two empty ones are the same."""
    words, others = set(one), set(other)
    return len(words & others) / len(words | others) if words | others else 1.0


def agreement(records: Sequence[Record]) -> Finding:
    """Tell whether captions of one picture, those shown, are more alike than those of different ones."""
    words = [[tokenize(caption) for caption in record.captions[:SHOWN]] for record in records]
    text = f"{counted(len(records), 'picture')} with {counted(sum(map(len, words)), 'caption')}."
    within = [shared_words(*pair) for captions in words for pair in combinations(captions, 2)]
    across = [shared_words(a, b) for one, other in combinations(words, 2) for a in one for b in other]
    if within:
        text += f" Two captions of one picture share {percent(np.mean(within), 0)} of their words on average."
    if across:
        text += f" Two captions of different pictures share {percent(np.mean(across), 0)}."
    return Finding(text)


def splitting(captions: Sequence[str]) -> Finding:
    """Tell whether words or characters are what the vocabulary holds and the scores count."""
    if not units.are_marked(captions):
        return Finding("The captions of train are split into words, as coco-caption does it.")
    characters = len({token for caption in captions for token in tokenize(caption) if units.unspaced(token)})
    return Finding(
        f"The captions of train are written without spaces between words: their {characters:,} characters are the "
        '"words" of the vocabulary and the scores, without the rules of coco-caption. To count words instead, put '
        "spaces between them first, for example with jieba, MeCab or PyThaiNLP."
    )


def captions_per_picture(records: Sequence[Record]) -> Finding:
    """Tell how many captions most pictures have, and the fewest and the most."""
    counts = Counter(len(record.captions) for record in records)
    ((usual, pictures),), total = counts.most_common(1), len(records)
    if len(counts) == 1:
        return Finding(f"Captions per picture: {usual}, for all {total:,}.")
    return Finding(
        f"Captions per picture: {usual} for {pictures:,} of {total:,} ({percent(pictures / total)}); the fewest are "
        f"{min(counts)}, the most {max(counts)}."
    )


def lengths(words: Mapping[str, Sequence[int]], cut: int | None) -> Finding:
    """Tell how long captions are and what the cut loses.

    Args:
        words: split -> number of words of each caption.
        cut: words that training keeps of a caption; None for all.
    """
    means = listed(f"{np.mean(values):.1f} in {split}" for split, values in words.items() if len(values))
    train = np.asarray(words["train"])
    text = f"Mean length in words: {means}. The longest train caption has {counted(train.max(), 'word')}."
    if cut is None:
        return Finding(text)
    longer, lost = np.count_nonzero(train > cut), np.maximum(train - cut, 0).sum()
    if not longer:
        return Finding(f"{text} Truncating after {counted(cut, 'word')} loses nothing.")
    return Finding(
        f"{text} Truncating after {counted(cut, 'word')} shortens {longer:,} of {counted(len(train), 'train caption')} "
        f"({percent(longer / len(train))}) and loses {percent(lost / train.sum())} of the text."
    )


def common_words(counts: Counter[str], most: int) -> Finding:
    """Tell how much of the text the `most` common words of train are, and how far one of them alone gets."""
    common, total = counts.most_common(most), counts.total()
    word, first = common[0]
    shown = sum(count for _, count in common)
    return Finding(
        f'A model that says "{word}" and nothing else is right for {percent(first / total)} of the words of train. '
        f"Shown: {len(common)} of {counted(len(counts), 'word')}, {percent(shown / total)} of the text."
    )


def rare_words(counts: Counter[str], minimum: int) -> Finding:
    """Tell what a minimum count leaves out of the vocabulary, from the occurrences of each word in train."""
    rare = [count for count in counts.values() if count < minimum]
    text = f"A minimum count of {minimum} leaves out"
    if not rare:
        return Finding(f"{text} no word of train: the rarest occurs {counted(min(counts.values()), 'time')}.")
    return Finding(
        f"{text} {len(rare):,} of {counted(len(counts), 'word')} ({percent(len(rare) / len(counts))}), or "
        f"{percent(sum(rare) / counts.total())} of the text. Words that occur only once: {rare.count(1):,}."
    )


def unknown_words(captions: Mapping[str, Sequence[str]], known: set[str]) -> Finding:
    """Tell how many words of the captions of each split are outside of a vocabulary, and how many captions hold one."""
    told = []
    for split, texts in captions.items():
        words = [tokenize(text) for text in texts]
        unknown = Counter(word for text in words for word in text if word not in known)
        if unknown:
            holding = sum(not known.issuperset(text) for text in words)
            (word, times), total = unknown.most_common(1)[0], sum(map(len, words))
            told.append(
                f"{split}: unknown words are in {holding:,} of {counted(len(texts), 'caption')} "
                f"({percent(holding / len(texts))}) and make up {percent(unknown.total() / total)} of the text; no "
                f'other is more frequent than "{word}" ({counted(times, "time")}).'
            )
    return Finding(" ".join(told) or f"No caption of {listed(captions)} contains an unknown word: nothing is lost.")
