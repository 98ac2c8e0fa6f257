"""Text <-> token ids, kept as JSON on disk; no TensorFlow."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

PAD, UNK, START, END = 0, 1, 2, 3
SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")

# A word is a run of letters, their marks and digits; an apostrophe inside it ("man's") goes with the punctuation.
_APOSTROPHE = re.compile(r"['’`]")
_NOT_A_WORD = re.compile(r"[\W_]+")


def words(caption: str) -> list[str]:
    """Split a caption into lower-case words without punctuation.

    Args:
        caption: raw text; line breaks, typographic quotes and accents are allowed.

    Returns:
        The words; empty when the caption holds none.
    """
    text = unicodedata.normalize("NFC", _APOSTROPHE.sub("", caption).lower())
    return _NOT_A_WORD.sub(" " if text.isascii() else _marks, text).split()


def _marks(gap: re.Match) -> str:
    """Keep the vowel signs and accents that `\\w` does not know: without them Hindi falls into single letters."""
    return "".join(letter if unicodedata.category(letter).startswith("M") else " " for letter in gap[0])


class Tokenizer:
    """A vocabulary fitted on training captions, with four ids that no text can produce."""

    def __init__(self, vocabulary: Iterable[str]):
        """Take the words in the order of their ids.

        Args:
            vocabulary: the words without the special tokens; word i gets id i + 4.

        Raises:
            ValueError: a word stands twice, or could not come out of `words`.
        """
        self.vocabulary = tuple(vocabulary)
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError("The vocabulary holds the same word twice.")
        strange = [word for word in self.vocabulary if words(word) != [word]]
        if strange:
            raise ValueError(f"Not words as `captioning.tokenizer.words` splits them: {strange[:5]}")
        self._ids = {word: index for index, word in enumerate(self.vocabulary, start=len(SPECIAL))}

    @classmethod
    def fit(cls, captions: Iterable[str], minimum_count: int = 1, maximum_size: int | None = None) -> Tokenizer:
        """Build the vocabulary from the captions of the train split.

        Args:
            captions: raw captions.
            minimum_count: rarer words become UNK.
            maximum_size: keep at most this many words, the most frequent ones (ties: alphabetical).

        Raises:
            ValueError: no word is left, or the maximum size is below 1.
        """
        counts = Counter(word for caption in captions for word in words(caption))
        if maximum_size is not None and maximum_size < 1:
            raise ValueError(f"maximum_size={maximum_size}: give 1 or more, or None for all words.")
        frequent = sorted((-count, word) for word, count in counts.items() if count >= minimum_count)
        if not frequent:
            raise ValueError(f"No word occurs {minimum_count} times or more: lower minimum_count.")
        return cls(word for _, word in frequent[:maximum_size])

    def __len__(self) -> int:
        """Return the number of ids, the special ones included."""
        return len(SPECIAL) + len(self.vocabulary)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.vocabulary == other.vocabulary

    __hash__ = None

    def encode(self, caption: str) -> list[int]:
        """Return START, the ids of the words (UNK for unknown ones), END."""
        return [START, *(self._ids.get(word, UNK) for word in words(caption)), END]

    def encode_batch(self, captions: Iterable[str]) -> np.ndarray:
        """Return the ids of many captions, padded with PAD: int32 (captions, longest)."""
        rows = [self.encode(caption) for caption in captions]
        tokens = np.full((len(rows), max(map(len, rows), default=0)), PAD, np.int32)
        for target, row in zip(tokens, rows, strict=True):
            target[: len(row)] = row
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of the ids up to the first END; PAD and START are left out.

        Raises:
            ValueError: an id lies outside the vocabulary.
        """
        text = []
        for token in map(int, tokens):
            if token == END:
                break
            if token not in (PAD, START):
                text.append(self.word(token))
        return " ".join(text)

    def word(self, token: int) -> str:
        """Return the word of one id, for example "<end>" for END."""
        if not 0 <= token < len(self):
            raise ValueError(f"Token id {token} is outside the vocabulary of {len(self)} ids.")
        return SPECIAL[token] if token < len(SPECIAL) else self.vocabulary[token - len(SPECIAL)]

    def save(self, path: Path | str) -> None:
        """Write the vocabulary as JSON."""
        text = json.dumps({"special": SPECIAL, "vocabulary": self.vocabulary}, ensure_ascii=False, indent=1)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Tokenizer:
        """Read a vocabulary that `save` wrote.

        Raises:
            ValueError: the file is not such a vocabulary.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            special, vocabulary = tuple(content["special"]), tuple(content["vocabulary"])
            if not all(isinstance(word, str) for word in vocabulary):
                raise TypeError("a word is no text")
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a tokenizer file: {error!r}. Run 02_explore again.") from error
        if special != SPECIAL:
            raise ValueError(f"{path} was made with other special tokens: {list(special)}, not {list(SPECIAL)}.")
        return cls(vocabulary)
