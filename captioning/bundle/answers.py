"""What a captioner says of one picture: captions with their log-probabilities, how sure it is, where it looked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioning.decoding import Caption
from captioning.tokenizer import Tokenizer


@dataclass(frozen=True)
class Candidate:
    """One caption for a picture, as a person writes it."""

    caption: str
    log_probability: float  # natural logarithm, the sum over its words and END
    per_word: float  # the same, divided by the number of its terms: the mean log-probability


@dataclass(frozen=True)
class Answer:
    """What a captioner says of one picture; `str` gives the caption."""

    candidates: tuple[Candidate, ...]  # at least one, the best first
    below: float | None  # share of the validation captions of which the model was less sure; None: not evaluated yet
    words: tuple[str, ...] = ()  # of the best caption, as the model chose them; with the attention only
    attention: np.ndarray | None = None  # (words, regions): where it looked as it chose each word

    @property
    def caption(self) -> str:
        """The best caption."""
        return self.candidates[0].caption

    def __str__(self) -> str:
        return self.caption


def answer(
    found: Sequence[Caption], tokenizer: Tokenizer, validation: Sequence[float] | None, attention: bool
) -> Answer:
    """Return the answer that the captions found for one picture amount to.

    Args:
        found: the captions of the picture, the best first.
        tokenizer: writes them.
        validation: `per_word` of the validation captions in ascending order, or None.
        attention: whether the attention of the best caption is kept.
    """
    candidates = tuple(
        Candidate(tokenizer.decode(caption.tokens), caption.log_probability, per_word(caption)) for caption in found
    )
    below = bisect_left(validation, candidates[0].per_word) / len(validation) if validation else None
    if not attention:
        return Answer(candidates, below)
    words = tuple(tokenizer.word(token) for token in found[0].tokens)
    return Answer(candidates, below, words, found[0].attention)


def per_word(caption: Caption) -> float:
    """Return the mean log-probability of a caption's words, and of END where it is finished."""
    return caption.log_probability / max(1, len(caption.tokens) + caption.finished)
