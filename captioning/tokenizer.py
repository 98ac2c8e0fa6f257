"""Text <-> token ids, kept as JSON on disk; no TensorFlow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from captioning.files import DamagedError, read_json, write_json
from captioning.provenance import StaleError, digest
from captioning.words import SPLITTING, tokenize, units, write

PAD, UNK, START, END = 0, 1, 2, 3
SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")

_INK = re.compile(r"[^\s\u00ad\u034f\u115f\u1160\u2800\u3164\uffa0]")  # what can be seen, of all that tokens hold
_AFTER = ((), ("was",), ("all",), ("'s",))  # some tokens exist before certain others only: "'twas", "y'all", "gonna's"
_AGAIN = "Run notebooks/02_explore.ipynb again."
_NO_SPACES = (
    "These captions are written without spaces between the words, so that a sentence counts as one word. "
    "`captioning.words.units.mark` makes their characters words; or put spaces between the words, for example with a "
    "word segmenter such as jieba, MeCab or PyThaiNLP."
)


def _is_word(token: str) -> bool:
    """Return whether a token can be in a vocabulary: it can be seen and written, and is no marker in the text."""
    if token in SPECIAL or not _INK.search(token):
        return False
    return any(tokenize(write(text := [token, *after])) == text for after in _AFTER)


class Tokenizer:
    """A vocabulary fitted on training captions, with four ids that no text can produce."""

    def __init__(
        self,
        vocabulary: Iterable[str],
        fitted_on: str = "",
        minimum_count: int | None = None,
        maximum_size: int | None = None,
        splitting: str = SPLITTING,
    ):
        """Take the words in the order of their ids.

        Args:
            vocabulary: the words without the special tokens; word i gets id i + 4.
            fitted_on: digest of the captions that they were taken from; empty for words of one's own.
            minimum_count, maximum_size: as given to `fit`.
            splitting: what the words are: PTB tokens, or characters (see `captioning.words.units`).

        Raises:
            ValueError: a word is there twice, or could not come out of `captioning.words.tokenize`.
        """
        self.vocabulary = tuple(vocabulary)
        self.fitted_on, self.minimum_count, self.maximum_size = fitted_on, minimum_count, maximum_size
        self.splitting = splitting
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError("The vocabulary holds the same word twice.")
        if strange := [word for word in self.vocabulary if not _is_word(word)]:
            raise ValueError(f"Not words as `captioning.words.tokenize` splits them: {strange[:5]}")
        self._ids = {word: index for index, word in enumerate(self.vocabulary, start=len(SPECIAL))}

    @classmethod
    def fit(cls, captions: Iterable[str], minimum_count: int = 1, maximum_size: int | None = None) -> Tokenizer:
        """Build the vocabulary from the captions of the train split.

        Args:
            captions: raw captions; in a script without spaces, those that `units.mark` has marked.
            minimum_count: rarer words become UNK.
            maximum_size: keep at most this many words, the most frequent ones (ties: alphabetical).

        Raises:
            ValueError: no word is left, or the maximum size is below 1, or the captions have no spaces.
        """
        captions = list(captions)
        counts = Counter(word for caption in captions for word in tokenize(caption))
        if maximum_size is not None and maximum_size < 1:
            raise ValueError(f"maximum_size={maximum_size}: give 1 or more, or None for all words.")
        if units.lacks_spaces(captions):
            raise ValueError(_NO_SPACES)
        if lost := units.unknown_letters(captions):
            print(lost)
        frequent = sorted((-count, word) for word, count in counts.items() if count >= minimum_count and _is_word(word))
        if not frequent:
            raise ValueError(f"No word occurs {minimum_count} times or more: lower minimum_count.")
        vocabulary = (word for _, word in frequent[:maximum_size])
        splitting = units.CHARACTERS if units.are_marked(captions) else SPLITTING
        return cls(vocabulary, digest(captions), minimum_count, maximum_size, splitting)

    def __len__(self) -> int:
        """Return the number of ids, the special ones included."""
        return len(SPECIAL) + len(self.vocabulary)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.vocabulary == other.vocabulary

    def encode(self, caption: str) -> list[int]:
        """Return START, the ids of the words (UNK for unknown ones), END."""
        return [START, *(self._ids.get(word, UNK) for word in tokenize(caption)), END]

    def encode_batch(self, captions: Iterable[str]) -> np.ndarray:
        """Return the ids of many captions, padded with PAD: int32 (captions, longest)."""
        rows = [self.encode(caption) for caption in captions]
        tokens = np.full((len(rows), max(map(len, rows), default=0)), PAD, np.int32)
        for target, row in zip(tokens, rows, strict=True):
            target[: len(row)] = row
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of the ids up to the first END, as people write; PAD and START are left out.

        `encode` gives the same ids for it again, as far as any text does (see `captioning.words.write`).

        Raises:
            ValueError: an id lies outside the vocabulary.
        """
        text = []
        for token in map(int, tokens):
            if token == END:
                break
            if token not in (PAD, START):
                text.append(self.word(token))
        return write(text)

    def word(self, token: int) -> str:
        """Return the word of one id, for example "<end>" for END."""
        if not 0 <= token < len(self):
            raise ValueError(f"Token id {token} is outside the vocabulary of {len(self)} ids.")
        return SPECIAL[token] if token < len(SPECIAL) else self.vocabulary[token - len(SPECIAL)]

    def save(self, path: Path | str) -> None:
        """Write the vocabulary and what it was fitted on as JSON."""
        write_json(path, {"special": SPECIAL} | {name: getattr(self, name) for name in _FIELDS})

    @classmethod
    def load(cls, path: Path | str, captions: Iterable[str] | None = None, way_out: str = _AGAIN) -> Tokenizer:
        """Read a vocabulary that `save` wrote.

        Args:
            captions: those of the train split in force, which it must have been fitted on; None for a copy that
                belongs to a trained model.
            way_out: the end of the errors' messages.

        Raises:
            DamagedError: the file is not such a vocabulary.
            StaleError: it was fitted on other captions, or these were split in another way than now.
        """
        content = read_json(path, way_out)
        try:
            if tuple(content["special"]) != SPECIAL:
                raise ValueError(f"it has other special tokens: {content['special']}, not {list(SPECIAL)}")
            tokenizer = cls(**{name: content[name] for name in _FIELDS if name in content})
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"{path} is not a tokenizer file: {error!r}. {way_out}") from error
        if content.get("splitting") not in (SPLITTING, units.CHARACTERS):
            raise StaleError(f"{path} is out of date: its captions were split into words in another way. {way_out}")
        if captions is not None and tokenizer.fitted_on != digest(list(captions)):
            raise StaleError(
                f"{path} is out of date: it was fitted on other captions than those of train now. {way_out}"
            )
        return tokenizer


_FIELDS = ("splitting", "fitted_on", "minimum_count", "maximum_size", "vocabulary")
