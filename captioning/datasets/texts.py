"""Captions as text: what is not text is listed, and so is what is left out of a caption because nobody sees it."""

import html
import json
import re
from collections import defaultdict
from typing import Any

Findings = defaultdict[str, list[str]]  # reason -> what was found, each with its place

NOT_TEXT = "captions that are not text, left out"
EMPTY = "empty captions"
INVISIBLE = "captions with invisible characters, which were dropped"
MARKERS = "captions with markers of other programs at their ends, which were dropped"
ENTITIES = "captions with HTML entities, read as their characters"

_PLAIN = re.compile(r"(?:(?![&<\[])[\n -~])*")
_WAITING = re.compile(r"seq\b", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d+|#x[\da-f]+|[a-z]+\d*);", re.IGNORECASE)
_MARK = (
    r"(?:\b(?:startseq|endseq)\b|\[(?:cls|sep|pad|bos|eos|sos)\]"
    r"|<\|?/?(?:s|start|end|sos|bos|eos|pad|startseq|endseq|(?:start|begin|end)_?of_?text)\|?>)"
)
_MARKS = re.compile(rf"^\s*(?:{_MARK}\s*)+|(?:\s*{_MARK})+(?=\s*[.!?]?\s*$)", re.IGNORECASE)
# Controls, the soft hyphen, marks of direction, word joiners, byte order marks, variation selectors, tags, half of a
# surrogate pair. Line breaks and tabs are spaces.
UNSEEN = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
# Scripts in which an invisible joiner changes a word (Arabic to Mongolian, more of India), and emoji that are joined;
# scripts that write no spaces, where an invisible space is the end of a word.
_JOINED = "[\u0590-\u1cff\ua800-\uabff\U00010a00-\U00011fff\u2190-\u2bff\U0001f000-\U0001faff]"
_UNSPACED = "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u1aaf\ua980-\ua9ff]"
_NEEDLESS = re.compile(
    f"(?<!{_JOINED})[\u200c\u200d]+|[\u200c\u200d]+(?!{_JOINED})|(?<!{_UNSPACED})\u200b+|\u200b+(?!{_UNSPACED})"
)


def usable(value: Any, place: str, findings: Findings) -> str:
    """Return a caption as text, its spaces single, without what nobody sees; empty where there is none.

    References of val and test are cleaned as well: an invisible character only makes equal words different.
    The findings get what was wrong, with its place: file and line.
    """
    if not isinstance(value, str):
        findings[NOT_TEXT].append(f"{place}: {shown(value)}")
        return ""
    text = value
    if not _PLAIN.fullmatch(value) or _WAITING.search(value):
        text = _replaced(_ENTITY, text, lambda match: html.unescape(match[0]), ENTITIES, place, findings)
        text = " ".join(text.split())  # long gaps would take the next pattern minutes
        text = _replaced(_MARKS, text, "", MARKERS, place, findings)
        text = _dropped(text, place, findings)
    text = " ".join(text.split())
    if not text:
        findings[EMPTY].append(f"{place}: {shown(value)}")
    return text


def shown(value: Any, most: int = 60) -> str:
    """Return a value as JSON has it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    text = _NEEDLESS.sub(_name, UNSEEN.sub(_name, text))
    return text if len(text) <= most else text[:most] + " ..."


def _replaced(pattern: re.Pattern, text: str, by: Any, reason: str, place: str, findings: Findings) -> str:
    changed = pattern.sub(by, text)
    if changed != text:
        findings[reason].append(f"{place}: {shown(text)}")
    return changed


def _dropped(text: str, place: str, findings: Findings) -> str:
    """Drop what is invisible; joiners are looked at afterwards, since a variation selector may be beside them."""
    bare = _NEEDLESS.sub("", UNSEEN.sub("", text))
    if bare != text:
        unseen = dict.fromkeys([*UNSEEN.findall(text), *_NEEDLESS.findall(UNSEEN.sub("", text))])
        names = ", ".join(_code(character[0]) for character in unseen)
        findings[INVISIBLE].append(f"{place}: {names} in {shown(text)}")
    return bare


def _name(match: re.Match) -> str:
    return "".join(f"<{_code(character)}>" for character in match[0])


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
