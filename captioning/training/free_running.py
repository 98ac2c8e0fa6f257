"""Caption validation pictures while a model is trained, word for word from its own words, and score the captions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from captioning.datasets.records import Record
from captioning.decoding import StepFunction, greedy
from captioning.metrics import CiderD
from captioning.tokenizer import Tokenizer

PICTURES = 200  # of the validation split are captioned
_TOGETHER = 100  # pictures decoded at a time


class FreeRunning:
    """Greedy captions of the same pictures after each epoch; their CIDEr decides which epoch is the best."""

    def __init__(self, records: Sequence[Record], features: np.ndarray, tokenizer: Tokenizer, max_words: int):
        """Take validation pictures and a row of features for each; captions may have as many words as in training."""
        self._records, self._features, self._tokenizer = records, features, tokenizer
        self._max_length = max_words
        self.caption = ""  # of the first picture, when it was last scored
        self._cider = CiderD({record.image_id: list(record.captions) for record in records})

    def score(self, initial_state: Callable[[np.ndarray], Any], step: StepFunction) -> float:
        """Return the CIDEr of the captions that `step` gives from `initial_state(features)`."""
        texts: list[str] = []
        for start in range(0, len(self._records), _TOGETHER):
            state = initial_state(self._features[start : start + _TOGETHER])
            texts += [self._tokenizer.decode(caption.tokens) for caption in greedy(step, state, self._max_length)]
        results = {record.image_id: text for record, text in zip(self._records, texts, strict=True)}
        self.caption = texts[0]
        return float(self._cider.score(results)[0])
