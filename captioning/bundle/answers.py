"""What a captioner says of one picture: captions with their log-probabilities, how sure it is, where it looked."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from captioning.decoding import Caption
from captioning.tokenizer import Tokenizer
from captioning.words import units


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
    attention: np.ndarray | None = field(default=None, compare=False)  # (words, regions): where it looked for each word

    @property
    def caption(self) -> str:
        """The best caption."""
        return self.candidates[0].caption

    def __str__(self) -> str:
        return self.caption


def answer(
    found: Caption | Sequence[Caption],
    n: int,
    tokenizer: Tokenizer,
    validation: Sequence[float] | None,
    attention: bool,
) -> Answer:
    """Return the answer that the captions found for one picture amount to; of those with one text the first is taken.

    `validation` is `per_word` of the validation captions in ascending order; `attention` keeps that of the best one.
    """
    found = [found] if isinstance(found, Caption) else found
    candidates: dict[str, Candidate] = {}
    for caption in found:
        text = units.plain(tokenizer.decode(caption.tokens))
        candidates.setdefault(text, Candidate(text, caption.log_probability, caption.per_word))
    first, *others = candidates.values()
    below = bisect_left(validation, first.per_word) / len(validation) if validation else None
    seen = (tuple(map(tokenizer.word, found[0].tokens)), found[0].attention) if attention else ()
    return Answer((first, *others[: n - 1]), below, *seen)
