"""What a sampled caption is worth: CIDEr-D against what people wrote about its picture; NumPy alone."""

from collections.abc import Sequence

import numpy as np

from captioning.datasets.records import Record
from captioning.metrics import CiderD, References
from captioning.tokenizer import END, PAD, SPECIAL, Tokenizer


class Reward:
    """CIDEr-D of captions in token ids; how rare an n-gram is comes from the captions of these records alone."""

    def __init__(self, records: Sequence[Record], tokenizer: Tokenizer, end: bool = True):
        """Count the n-grams that people wrote of the train pictures.

        `end` makes END a word of a finished caption and of each reference; False is a mistake.
        """
        captions = {number: list(record.captions) for number, record in enumerate(records)}
        self._cider = CiderD(References(captions, end=SPECIAL[END] if end else None))
        self._tokenizer, self._end = tokenizer, end

    def __call__(self, samples: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return the reward of each caption.

        Args:
            samples: ids (pictures, samples, steps): words, END if it was reached, PAD.
            pictures: number of the record of each picture, (pictures,).

        Returns:
            float (pictures, samples), between 0 and 10.
        """
        count, of_each, _ = samples.shape
        words = [self._words(row) for row in samples.reshape(count * of_each, -1)]
        rewards = self._cider.score_pairs(words, np.arange(len(words)), np.repeat(pictures, of_each))
        return rewards.reshape(count, of_each)

    def _words(self, row: np.ndarray) -> list[str]:
        left_out = {PAD} if self._end else {PAD, END}
        return [self._tokenizer.word(token) for token in row.tolist() if token not in left_out]


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Return how much better each caption is than the mean of the picture's others: they sum to 0 for each picture.

    Luo, "A Better Variant of Self-Critical Sequence Training" (2020, arXiv:2003.09971), equation 7.

    Args:
        rewards: (pictures, samples), of two samples or more.
    """
    samples = rewards.shape[1]
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / (samples - 1)
    return rewards - others
