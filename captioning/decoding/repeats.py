"""Which words may occur twice in one caption: those that people repeat; no word list, so for every language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from captioning.tokenizer import SPECIAL, Tokenizer

SHARE = 0.04  # of the captions that hold a word at all, so many hold it twice or more
LEAST = 10  # captions that hold it twice or more: fewer are chance


def may_repeat(captions: Iterable[Sequence[str]]) -> list[str]:
    """Return the words that people use twice in one caption, such as "a", "the", "of"; alphabetical.

    Args:
        captions: those of the train split, as tokens of `captioning.words.tokenize`.
    """
    once, twice = Counter(), Counter()
    for caption in captions:
        counts = Counter(caption)
        once.update(counts.keys())
        twice.update(word for word, count in counts.items() if count > 1)
    return sorted(word for word, count in twice.items() if count >= max(LEAST, SHARE * once[word]))


def once_mask(tokenizer: Tokenizer, words: Iterable[str] | None) -> np.ndarray | None:
    """Return which token ids a caption may hold once at most, for `beam_search(once=...)`: bool (vocabulary,).

    Args:
        tokenizer: its words have these ids.
        words: those that may be repeated, see `may_repeat`; None if all of them may, which gives None.
    """
    if words is None:
        return None
    free = {*SPECIAL, *words}
    return np.array([tokenizer.word(token) not in free for token in range(len(tokenizer))])
