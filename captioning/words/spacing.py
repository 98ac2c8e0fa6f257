"""Captions that do not fall into words: scripts without spaces, and letters that the lexer drops."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from captioning.words.letters import NOTHING, class_of

# Chinese and Japanese; Thai, Lao, Burmese, Khmer and their neighbors. A run this long is more than one word.
_DENSE = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LOOSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\ua9e0-\ua9ff\uaa60-\uaadf"
_RUN = re.compile(f"[{_DENSE}]+|[{_LOOSE}]+")
_LONG_RUN = re.compile(f"[{_DENSE}]{{7,}}|[{_LOOSE}]{{12,}}")
_ONE_WORD = 3  # a caption of so few characters may be one word

NO_SPACES = (
    "These captions are written without spaces between the words, so that a sentence counts as one word. Put spaces "
    "between the words first, for example with a word segmenter such as jieba, MeCab or PyThaiNLP."
)
_UNKNOWN_LETTERS = (
    "{share:.0%} of the letters of these captions, such as {letters}, are unknown to coco-caption's tokenizer: it "
    "drops them and splits the words there, and so do the vocabulary and the scores here."
)
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))  # marks of emoji, of no word


def lacks_spaces(captions: Sequence[str]) -> bool:
    """Return whether most of the captions are in a script without spaces, and not yet split into words."""
    return 2 * sum(map(_lacks_spaces, captions)) > len(captions)


def unknown_letters(captions: Sequence[str]) -> str | None:
    """Return a sentence about the letters that get lost; None when they are fewer than 1 in 100."""
    foreign = Counter("".join(caption for caption in captions if not caption.isascii()))
    letters = {letter for letter in foreign if unicodedata.category(letter)[0] in "LM"} - _VARIATION_SELECTORS
    lost = sorted((letter for letter in letters if class_of(letter) == NOTHING), key=foreign.__getitem__, reverse=True)
    share = sum(foreign[letter] for letter in lost) / max(1, sum(map(len, captions)))
    return _UNKNOWN_LETTERS.format(share=share, letters=", ".join(lost[:3])) if share >= 0.01 else None


def _lacks_spaces(caption: str) -> bool:
    if caption.isascii():
        return False
    characters = sum(map(len, _RUN.findall(caption)))
    chunks = caption.split()
    if 2 * characters <= sum(map(len, chunks)):
        return False
    in_long_runs = sum(map(len, _LONG_RUN.findall(caption)))
    return 2 * in_long_runs > characters or (len(chunks) == 1 and characters > _ONE_WORD)
