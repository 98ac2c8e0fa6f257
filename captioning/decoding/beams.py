"""The live prefixes and the finished captions of a beam search; NumPy only."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from captioning.decoding.steps import NOTHING_ALLOWED, Caption, Next, largest, survivors, trace
from captioning.tokenizer import END


class _Found(NamedTuple):
    """A caption without its attention, which only those that are returned get."""

    log_probability: float
    score: float
    finished: bool
    words: np.ndarray  # (words,)
    rows: np.ndarray  # the row of the batch in which each word was chosen, (words,)


class Beams:
    """The search of a batch of images: what is alive does not depend on the length penalty, what is finished does.

    A slot is an image that is still in the batch; row `slot * beams + beam` is one of its prefixes: one at first, then
    up to `width` of them.
    """

    def __init__(self, images: int, width: int, max_length: int, penalties: Sequence[float], wanted: int):
        """Begin with an empty prefix per image; `width` of them are kept.

        The penalties are the exponents alpha, each with finished captions of its own: `wanted` per image.
        """
        self.width, self.max_length, self.penalties, self.wanted = width, max_length, penalties, wanted
        self.image = np.arange(images)  # (slots,)
        self.open = np.ones((images, len(penalties)), bool)  # (slots, penalties): still searched
        self.sums = np.zeros((images, 1))  # (slots, beams): log-probability of each prefix; -inf: there is none
        self.words = np.zeros((images, 0), np.int32)  # of each prefix: (rows, position)
        self.rows = np.zeros((images, 0), np.int64)  # the row of the batch in which each was chosen
        self.attention: list[np.ndarray | None] = []  # one per position, (rows, regions)
        self.found: list[list[list[_Found]]] = [[[] for _ in range(images)] for _ in penalties]  # the best first
        self.least = np.full((images, len(penalties)), -np.inf)  # the score of the last of those wanted

    def extend(self, following: Next) -> np.ndarray:
        """Move on by one token and return the rows of the old batch that the new rows continue."""
        self.attention.append(following.attention)
        slots, sums = len(self.sums), self.sums.reshape(-1, 1)
        ends = (following.end[:, None] + sums).reshape(self.sums.shape)
        scores = (following.scores + sums).reshape(slots, -1)  # (slots, beams * words)
        best = largest(scores, min(self.width, scores.shape[1]))
        words = np.take_along_axis(following.words.reshape(slots, -1), best, axis=1)
        sums = np.take_along_axis(scores, best, axis=1)
        self._finish(ends, sums)
        if self.words.shape[1] == self.max_length:
            self.open[:] = False
            return np.arange(self.sums.size)
        return self._move(best // following.words.shape[1], words, sums)

    def captions(self) -> list[list[list[Caption]]]:
        """Return those of each penalty and image: finished ones, then cut-off ones where too few are finished."""
        for slot, beam in zip(*np.nonzero(self.sums > -np.inf), strict=True):
            for of_images, alpha in zip(self.found, self.penalties, strict=True):
                captions = of_images[self.image[slot]]
                if len(captions) < self.wanted:
                    captions.append(self._found(slot, beam, self.sums[slot, beam], False, alpha))
        return [[[self._caption(found) for found in captions] for captions in of_images] for of_images in self.found]

    def _finish(self, ends: np.ndarray, sums: np.ndarray) -> None:
        """Keep each END (slots, beams) that is among the `width` best of all continuations of its image."""
        order = np.argsort(-np.concatenate([ends, sums], axis=1), axis=1, kind="stable")[:, : self.width]
        for slot, rank in zip(*np.nonzero(order < ends.shape[1]), strict=True):
            beam, image = order[slot, rank], self.image[slot]
            for penalty in np.flatnonzero(self.open[slot]):
                found = self._found(slot, beam, ends[slot, beam], True, self.penalties[penalty])
                if found.score > self.least[image, penalty]:
                    captions = self.found[penalty][image]
                    insort(captions, found, key=lambda caption: -caption.score)
                    del captions[self.wanted :]
                    if len(captions) == self.wanted:
                        self.least[image, penalty] = captions[-1].score

    def _move(self, parents: np.ndarray, words: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Make the `width` best continuations by a word the live prefixes; all arguments (slots, width)."""
        self._close(sums)
        kept = survivors(self.open.any(axis=1))
        rows = (kept[:, None] * self.sums.shape[1] + parents[kept]).ravel()
        self.image, self.open, self.sums = self.image[kept], self.open[kept], sums[kept]
        words = np.where(self.sums > -np.inf, words[kept], END).ravel()
        self.words = np.column_stack([self.words[rows], words.astype(np.int32)])
        self.rows = np.column_stack([self.rows[rows], rows])
        return rows

    def _close(self, sums: np.ndarray) -> None:
        """End the search of every image whose live prefixes can no longer change the result.

        A prefix of log-probability L <= 0 ends at best with L, and L / length ** alpha is largest at the
        greatest length: max_length words and END. A smaller bound would not be safe, since all the tokens to
        come may be certain.
        """
        most = sums[:, :1]  # (slots, 1)
        for slot in np.flatnonzero(self.open.any(axis=1) & np.isneginf(most[:, 0])):
            if not any(of_images[self.image[slot]] for of_images in self.found):
                raise ValueError(NOTHING_ALLOWED.format(position=self.words.shape[1]))
        bounds = most / [(self.max_length + 1) ** alpha for alpha in self.penalties]
        self.open &= (most > -np.inf) & (self.least[self.image] < bounds)

    def _found(self, slot: int, beam: int, log_probability: float, finished: bool, alpha: float) -> _Found:
        """Return a prefix as a caption, with or without an END after it."""
        row, total = slot * self.sums.shape[1] + beam, float(log_probability)
        score = total / (self.words.shape[1] + finished) ** alpha
        return _Found(total, score, finished, self.words[row], self.rows[row])

    def _caption(self, found: _Found) -> Caption:
        """Return a caption with its attention."""
        attention = trace(self.attention, found.rows)
        return Caption(found.words.tolist(), found.log_probability, found.score, found.finished, attention)
