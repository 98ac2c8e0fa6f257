"""The things, colors and places that a caption names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from captioning.datasets.scenes.words import NAMES
from captioning.words import tokenize

# {"place": {name: its words}, "object": {...}, "colour": {...}}, or other kinds; a word may be a phrase or a plural.
Names = Mapping[str, Mapping[str, Iterable[str]]]

KINDS = ("place", "object", "colour")
# What may not be between a color and its object: "red and small boat", "red on the boat".
_FUNCTION_WORDS = (
    "a an the this that these those some one two three and or but nor not as than with without of in on at by to "
    "for from near behind before beside under over above below into onto next between there here it its is are "
    "was were be has have which who while"
)
_BREAKS = frozenset(_FUNCTION_WORDS.split())
_ADJECTIVES_BETWEEN = 2


@dataclass(frozen=True)
class Mention:
    """One place of a caption that names something: the words from `start` to `end`, and what they may mean."""

    start: int
    end: int
    meanings: frozenset[tuple[str, str]]  # (kind, name)

    def __getitem__(self, kind: str) -> set[str]:
        """Return the names of one kind that the words may stand for; empty when there are none."""
        return {name for its_kind, name in self.meanings if its_kind == kind}


class Phrase(NamedTuple):
    """A thing that a caption names, with the color right before it: "red small boat"."""

    noun: Mention
    colour: Mention | None

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Return the (object, colour) pairs that the phrase may stand for."""
        shades = self.colour["colour"] if self.colour else ()
        return {(name, shade) for name in self.noun["object"] for shade in shades}

    def words(self, text: Sequence[str]) -> str:
        """Return the phrase as it is in the caption's words."""
        return " ".join(text[(self.colour or self.noun).start : self.noun.end])

    def thing(self, things: Iterable[Mapping]) -> Mapping | None:
        """Return the one thing of a picture that is meant, None where there is none, or where it may be one of two."""
        meant = [thing for thing in things if thing["object"] in self.noun["object"]]
        if self.colour:
            meant = [thing for thing in meant if thing["colour"] in self.colour["colour"]]
        return meant[0] if len(meant) == 1 else None


class Lexicon:
    """The words of the names, for finding them in captions."""

    def __init__(self, names: Names):
        """Index the names; a name is always a word for itself.

        Raises:
            ValueError: a word is empty.
        """
        self.names = {kind: frozenset(words_of) for kind, words_of in names.items()}
        self._meanings: dict[tuple[str, ...], set[tuple[str, str]]] = {}
        for kind, words_of in names.items():
            for name, synonyms in words_of.items():
                if isinstance(synonyms, str):
                    raise ValueError(f"The words for the {kind} {name!r} are a text; give a list: [{synonyms!r}].")
                for synonym in (name, *synonyms):
                    self._meanings.setdefault(tuple(tokenize(synonym)), set()).add((kind, name))
        if () in self._meanings:
            raise ValueError(f"An empty word is given for {sorted(self._meanings[()])}.")
        self._longest = max(map(len, self._meanings), default=0)

    def find(self, text: Sequence[str]) -> list[Mention]:
        """Return the mentions in a caption's words from left to right; of overlapping ones the longest."""
        mentions, start = [], 0
        while start < len(text):
            for end in range(min(start + self._longest, len(text)), start, -1):
                if meanings := self._meanings.get(tuple(text[start:end])):
                    mentions.append(Mention(start, end, frozenset(meanings)))
                    start = end
                    break
            else:
                start += 1
        return mentions


SCENES = Lexicon(NAMES)  # the words for what is drawn


def phrases_of(text: Sequence[str], mentions: Sequence[Mention]) -> list[Phrase]:
    """Return every thing that a caption names, from left to right."""
    colours = {}  # noun -> the mention of its color
    for before, noun in pairwise(mentions):
        between = text[before.end : noun.start]
        close = len(between) <= _ADJECTIVES_BETWEEN and not _BREAKS.intersection(between)
        if close and before["colour"] and noun["object"]:
            colours[noun] = before
    used = set(colours.values())
    return [Phrase(noun, colours.get(noun)) for noun in mentions if noun["object"] and noun not in used]
