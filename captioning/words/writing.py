"""Tokens back to text, as people write."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, groupby, product

from captioning.words.ptb import BRACKETS
from captioning.words.units import MARK, Marked, tokenize, unspaced

# Tokens without a space before them, or after them, or before a number; and pairs that are one word.
_CLINGS = re.compile(r"'(?:[smd]|re|ve|ll)|n't|-r[rsc]b-|[%°]|[!?]{2,}")
_HOLDS = re.compile(r"-l[rsc]b-")
_HOLDS_NUMBERS = re.compile(r"[a-z]*\$|#")
_ONE_WORD = frozenset(["can not", "gon na", "wan na", "got ta", "lem me", "gim me", "'t was", "'t is", "y' all"])
# Ways to keep two tokens apart or together, the most readable first.
_GAPS = (" ", "  ", ", ", "")


def write(tokens: Iterable[str]) -> str:
    """Write tokens as a caption that `tokenize` splits into the same ones: a line, "AT&T" alone in capitals.

    Those of scripts without spaces have none beside them, but marks that nobody sees, see `units`. A few sequences
    have no such text, since the lexer always splits or joins them (a "'t" without "was" or "is" after it): those
    tokens are written with spaces.

    Args:
        tokens: as `tokenize` gives them, in any order, such as a model may choose.
    """
    tokens = list(tokens)
    if any(map(unspaced, tokens)):
        pieces = [[*piece] if alone else [write(piece)] for alone, piece in groupby(tokens, unspaced)]
        joined = MARK.join(chain.from_iterable(pieces))
        for text in (joined, joined + MARK):
            if tokenize(text) == tokens:
                return Marked(text)
    gaps = ["", *map(_gap, tokens, tokens[1:]), ""]
    while (place := _first_difference(tokens, text := _join(tokens, gaps))) is not None:
        if not _mend(tokens, gaps, place):
            done, rest = tokens[: place + 1], write(tokens[place + 1 :])
            return f"{_join(done, [*gaps[: place + 1], ''])} {rest}".rstrip(" ")
    return text


def rules(words: Iterable[str]) -> dict[str, list]:
    """Return what `write` does with the words of a vocabulary as data, for a program that has no lexer.

    Spellings are put side by side with a space between them; a caption that needs a comma, for example, to be split
    into the same words again is not told apart.

    Returns:
        "spellings", one per word; indices of words that have no space before them ("close") or after them ("open");
        and pairs of indices with which the opposite holds ("pairs").
    """
    words = list(words)
    close = [index for index, word in enumerate(words) if unspaced(word) or not _gap("a", word)]
    holds = [index for index, word in enumerate(words) if unspaced(word) or not _gap(word, "a")]
    index_of = {word: index for index, word in enumerate(words)}
    signs = [word for word in words if not word.isalpha() and not unspaced(word)]
    candidates = {*product(signs, signs), *(tuple(pair.split()) for pair in _ONE_WORD)}
    pairs = [
        [index_of[left], index_of[right]]
        for left, right in sorted(candidates)
        if left in index_of
        and right in index_of
        and (not _gap(left, right)) != (index_of[left] in holds or index_of[right] in close)
    ]
    return {"spellings": [_spelling(word) for word in words], "close": close, "open": holds, "pairs": pairs}


def _join(tokens: list[str], gaps: list[str]) -> str:
    """Put gaps[i] before token i, and the last gap at the end."""
    pieces = [gap + _spelling(token) for gap, token in zip(gaps, tokens, strict=False)]
    return "".join(pieces) + gaps[len(tokens)]


def _first_difference(tokens: list[str], text: str) -> int | None:
    """Return the index of the first token that the text does not give back, None when it gives all."""
    if (found := tokenize(text)) == tokens:
        return None
    same = (place for place, (ours, theirs) in enumerate(zip(tokens, found, strict=False)) if ours != theirs)
    return next(same, min(len(tokens) - 1, len(found)))


def _mend(tokens: list[str], gaps: list[str], place: int) -> bool:
    """Change one gap beside a token that does not come back, so that it does; False when no change helps."""
    for changed in (place + 1, place):
        before = gaps[changed]
        for gap in ("", ",") if changed == len(tokens) else _GAPS if changed else ():
            gaps[changed] = gap
            now = _first_difference(tokens, _join(tokens, gaps))
            if now is None or now > place:
                return True
        gaps[changed] = before
    return False


@lru_cache(maxsize=65536)
def _gap(left: str, right: str) -> str:
    """Return what people write between two tokens: a space, or nothing where they are still split then."""
    close = (
        _CLINGS.fullmatch(right)
        or _HOLDS.fullmatch(left)
        or unicodedata.category(right[0]).startswith("M")
        or (right[0].isdigit() and _HOLDS_NUMBERS.fullmatch(left))
        or f"{left} {right}" in _ONE_WORD
    )
    return "" if close and tokenize(f"{_spelling(left)}{_spelling(right)} b") == [left, right, "b"] else " "


@lru_cache(maxsize=65536)
def _spelling(token: str) -> str:
    """Return the first spelling of a token that comes back as this token."""
    if token.isascii() and token.isalpha():
        return token
    plain = token.replace("\u00a0", " ")
    for mark, name in BRACKETS.items():
        plain = plain.replace(name.lower(), mark)
    capital = unicodedata.normalize("NFC", plain.upper())
    curly = plain.replace("``", "“").replace("''", "”").replace("`", "‘").replace("'", "’")
    for end in (" b", ", b"):  # a period may need a comma after it
        for spelling in (plain, plain.capitalize(), capital[:1] + plain[1:], capital, curly, token):
            if tokenize(spelling + end) == [token, "b"]:
                return spelling
    return plain
