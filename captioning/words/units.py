"""Scripts without spaces between words: their characters as units, which a mark that nobody sees sets apart.

The mark is U+200B, Unicode's sign for the end of a word where no space is written. A marked text is split at its marks,
without the Penn Treebank rules, wherever it is: in training, in scores, in what is counted. So references that are
marked are enough to score by characters, and nothing has to be told about them.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from captioning.words import ptb
from captioning.words.letters import NOTHING, class_of

MARK = "\u200b"
# Written beside each vocabulary of marked captions, and beside scores by them.
CHARACTERS = "characters of scripts without spaces, not PTB tokens"
# Chinese and Japanese; Thai, Lao, Burmese, Khmer and their neighbors. A run this long is more than one word.
_DENSE = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LOOSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\ua9e0-\ua9ff\uaa60-\uaadf"
_RUN = re.compile(f"[{_DENSE}]+|[{_LOOSE}]+")
_LONG_RUN = re.compile(f"[{_DENSE}]{{7,}}|[{_LOOSE}]{{12,}}")
_LETTER = re.compile(rf"(?=[^\W\d])[{_DENSE}{_LOOSE}]")
_ONE_WORD = 3  # a caption of so few characters may be one word
# Marks of East Asian text; the lexer takes some of them for words.
_PUNCTUATION = re.compile(
    "[·\u2025\u3001-\u3003\u3008-\u3011\u3014-\u301f\u3030\u30a0\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40"
    "\uff5b-\uff65\u0e4f\u0e5a\u0e5b\u104a-\u104f\u17d4-\u17d6\u17d8-\u17da]"
)
_UNKNOWN_LETTERS = (
    "{share:.0%} of the letters of these captions, such as {letters}, are unknown to coco-caption's tokenizer: it "
    "drops them and splits the words there, and so do the vocabulary and the scores here."
)
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))  # marks of emoji, of no word


class Marked(str):
    """A text with marks; a notebook shows it without."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(plain(self))


def unspaced(token: str) -> bool:
    """Return whether a token, or a part of a text, is in a script without spaces: it is written with none beside it."""
    return not token.isascii() and bool(_LETTER.search(token))


def lacks_spaces(captions: Sequence[str]) -> bool:
    """Return whether most of the captions are in a script without spaces, and not yet split into words."""
    return 2 * sum(map(_lacks_spaces, captions)) > len(captions)


def mark(caption: str) -> str:
    """Return a caption with its characters set apart: each with its vowel signs, accents and letters below it.

    Words of other scripts and numbers stay whole. A caption that has marks stays as it is.
    """
    if caption.isascii() or MARK in caption or not _LETTER.search(caption):
        return caption
    text = _patterns()[0].sub(rf"{MARK}\g<0>{MARK}", ptb.composed(caption))
    return Marked(re.sub(f"(?:{MARK})+", MARK, text).removeprefix(MARK))


def are_marked(captions: Iterable[str]) -> bool:
    """Return whether there are captions in scripts without spaces, and all of them are marked."""
    foreign = [MARK in caption for caption in captions if unspaced(caption)]
    return bool(foreign) and all(foreign)


def marked(captions: Mapping[int | str, Sequence[str]]) -> Mapping[int | str, Sequence[str]]:
    """Return the references of pictures, marked if most of them lack spaces."""
    if not lacks_spaces([text for texts in captions.values() for text in texts if isinstance(text, str)]):
        return captions
    return {image: [mark(text) for text in texts] for image, texts in captions.items()}


def plain(caption: str) -> str:
    """Return a caption without marks, for people."""
    return caption.replace(MARK, "")


def tokenize(caption: str) -> list[str]:
    """Split a caption into lower-case tokens: those that coco-caption scores (`ptb.tokenize`), or those of its marks.

    What has marks has no punctuation either; its words of other scripts are split as anywhere.
    """
    if MARK not in caption:
        return ptb.tokenize(caption)
    tokens = []
    for piece in ptb.composed(caption).split(MARK):
        if _LETTER.search(piece):
            tokens += _patterns()[1].findall(piece.lower())
        else:
            tokens += ptb.tokenize(_PUNCTUATION.sub(" ", piece))
    return tokens


def unknown_letters(captions: Sequence[str]) -> str | None:
    """Return a sentence about the letters that get lost; None when they are fewer than 1 in 100."""
    foreign = Counter("".join(caption for caption in captions if not caption.isascii() and MARK not in caption))
    letters = {letter for letter in foreign if unicodedata.category(letter)[0] in "LM"} - _VARIATION_SELECTORS
    lost = sorted((letter for letter in letters if class_of(letter) == NOTHING), key=foreign.__getitem__, reverse=True)
    share = sum(foreign[letter] for letter in lost) / max(1, sum(map(len, captions)))
    return _UNKNOWN_LETTERS.format(share=share, letters=", ".join(lost[:3])) if share >= 0.01 else None


@cache
def _patterns() -> tuple[re.Pattern, re.Pattern]:
    """Return the patterns of a character and of a run: vowel signs and accents are no letters for Python."""
    signs = "".join(letter for letter in map(chr, range(0x10000)) if unicodedata.category(letter)[0] == "M")
    joined = f"[{signs}\u200c\u200d]"
    letter = _LETTER.pattern
    # Khmer and Burmese stack a letter below another after these two signs.
    return re.compile(f"{letter}(?:[\u17d2\u1039]{letter}|{joined})*"), re.compile(rf"(?:\w|{joined})+")


def _lacks_spaces(caption: str) -> bool:
    if caption.isascii():
        return False
    characters = sum(map(len, _RUN.findall(caption)))
    chunks = caption.replace(MARK, " ").split()
    if 2 * characters <= sum(map(len, chunks)):
        return False
    in_long_runs = sum(map(len, _LONG_RUN.findall(caption)))
    return 2 * in_long_runs > characters or (len(chunks) == 1 and characters > _ONE_WORD)
