"""Penn Treebank tokens as coco-caption makes them: PTBTokenizer in lower case, punctuation removed."""

import re
import unicodedata
from functools import lru_cache

from captioning.words import letters, ptb_rules

# coco-caption's list. Its "-LRB-" never strikes, since tokens are in lower case by then: brackets stay, as "-lrb-".
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
# Written beside each vocabulary: one that was split in another way does not fit the scores.
SPLITTING = "coco-caption's PTB tokens of text in NFC"
# The Java lexer reads all captions as one file, so a caption's last token is seen with the start of the next
# caption. Here a caption's tokens depend on nothing else: the next one is taken to start with "A", as most do.
_NEXT_CAPTION = "\nA "

_RULES = tuple(
    (kind, re.compile(f"({token})(?:{follow})" if follow else f"({token})", re.IGNORECASE))
    for kind, token, follow in ptb_rules.PATTERNS
)
BRACKETS = {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}
_ROUND = {mark: BRACKETS[mark] for mark in "()"}
_CHARACTERS = {
    "word": {"\u00ad": ""},
    "spaces": {" ": "\u00a0", **_ROUND},
    "brackets": _ROUND,
    "entity": {},
    "same": {},
    "quotes": dict.fromkeys("\u0092’›", "'")
    | dict.fromkeys("\u0091‘‛‹", "`")
    | dict.fromkeys("\u0093“«", "``")
    | dict.fromkeys('\u0094”»"', "''"),
    "symbol": {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "¢": "cents", "£": "#"}
    | dict.fromkeys("¤€₠\u0080", "$"),
}
_TABLES = {kind: str.maketrans(table) for kind, table in _CHARACTERS.items()}
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&apos;": "'", "&quot;": '"'}
_ENTITY = re.compile("|".join(_ENTITIES), re.IGNORECASE)

_COMPOSABLE = re.compile(r"[^\uf900-\ufaff]+")
_CHUNK = re.compile(r"\S+")
_NOTHING = re.compile(rf"(?:[\0-\x20\x7f{letters.NOTHING}]|{ptb_rules.SPACE}|&nbsp;)+", re.IGNORECASE)
_CLASSES = letters.Classes()
# The quick way: nine captions of ten hold only letters, commas and one period.
_PLAIN_CAPTION = re.compile(r"[A-Za-z ,]*[. ]*")
_NEEDS_CONTEXT = re.compile(r"[\d<]|\.$")
_SPLIT = frozenset(["cannot", "gonna", "wanna", "gotta", "lemme", "gimme"])
_ABBREVIATIONS = frozenset(
    " ".join(
        [ptb_rules.SENTENCE_ABBREVIATIONS, ptb_rules.TITLES, ptb_rules.CAPITALISED.lower(), ptb_rules.NUMBERED]
    ).split()
)


def composed(text: str) -> str:
    """Return a text in the Unicode form NFC, but with the variants of Han characters that it would replace."""
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text
    return _COMPOSABLE.sub(lambda run: unicodedata.normalize("NFC", run[0]), text)


def tokenize(caption: str) -> list[str]:
    """Split a caption into the tokens that coco-caption scores.

    Args:
        caption: raw text; line breaks count as spaces. It is put into the form NFC first, which coco-caption does
            not: an accented letter is the same whether typed as one character or as two.

    Returns:
        Lower-case tokens without punctuation; empty when there are none. A number with its fraction ("1 1/2") is
        one token with a no-break space inside.
    """
    text = composed(caption).replace("\n", " ")
    if _PLAIN_CAPTION.fullmatch(text):
        words = text.lower().replace(",", " ").replace(".", " ").split()
        if _SPLIT.isdisjoint(words) and not (words and "." in text and _keeps_period(words[-1])):
            return words
    return [token for token in _lex(text) if token not in PUNCTUATION]


def _keeps_period(word: str) -> bool:
    return len(word) == 1 or word in _ABBREVIATIONS


def _lex(text: str) -> list[str]:
    """Return all tokens of a text, punctuation included."""
    tokens, position = [], 0
    while chunk := _CHUNK.search(text, position):
        if _NEEDS_CONTEXT.search(chunk[0]):
            found, position = _lex_chunk(text + _NEXT_CAPTION, chunk.start(), chunk.end())
            tokens.extend(found)
        else:
            tokens.extend(_lex_alone(chunk[0]))
            position = chunk.end()
    return tokens


@lru_cache(maxsize=65536)
def _lex_alone(chunk: str) -> tuple[str, ...]:
    """Lex text between two spaces that no neighbor can change."""
    return tuple(_lex_chunk(chunk + _NEXT_CAPTION, 0, len(chunk))[0])


def _lex_chunk(text: str, position: int, end: int) -> tuple[list[str], int]:
    """Lex text[position:end]; a token may reach further. Return the tokens and where the last one ends."""
    classes, tokens = text.translate(_CLASSES), []
    while position < end:
        if skipped := _NOTHING.match(classes, position):
            position = skipped.end()
            continue
        kind, token_end = _longest(classes, position)
        if token_end > position:
            tokens.append(_normalize(kind, text[position:token_end]).lower())
        position = max(token_end, position + 1)  # a character that the lexer does not know is dropped
    return [token for token in tokens if token], position


def _longest(classes: str, position: int) -> tuple[str, int]:
    """Return the kind of the token that begins here, and where it ends."""
    best_kind, token_end, best_end = "", position, position
    for kind, rule in _RULES:
        match = rule.match(classes, position)
        if match and match.end() > best_end:
            best_kind, token_end, best_end = kind, match.end(1), match.end()
    return best_kind, token_end


def _normalize(kind: str, text: str) -> str:
    """Return the token in the spelling of the Penn Treebank."""
    if kind == "dash":
        return "--"
    if kind == "dots":
        return "..."
    if kind == "hyphens":
        return "--" if len(text) in (3, 4) else text
    if kind == "brackets" and text in BRACKETS:
        return BRACKETS[text]
    if kind in ("quotes", "entity"):
        text = _ENTITY.sub(lambda entity: _ENTITIES[entity[0].lower()], text)
    return text.translate(_TABLES[kind])
