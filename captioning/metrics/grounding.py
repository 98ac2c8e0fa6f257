"""Does a caption name what is in the picture? For drawn scenes, whose content is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from captioning.metrics.references import ImageId, some_images, with_ids_of
from captioning.words import tokenize

# {"place": {name: its words}, "object": {...}, "colour": {...}}; a word may be a phrase or a plural.
Names = Mapping[str, Mapping[str, Iterable[str]]]
# {"place": "beach", "objects": [{"object": "boat", "colour": "red", "unseen": True}], "place_colours": ["green"]}
Truth = Mapping[str, Any]

KINDS = ("place", "object", "colour")
# What may not stand between a colour and its object: "red and small boat", "red on the boat".
_FUNCTION_WORDS = (
    "a an the this that these those some one two three and or but nor not as than with without of in on at by to "
    "for from near behind before beside under over above below into onto next between there here it its is are "
    "was were be has have which who while"
)
_BREAKS = frozenset(_FUNCTION_WORDS.split())
_ADJECTIVES_BETWEEN = 2


class Mention:
    """One place of a caption that names something: the words from `start` to `end`, and what they may mean."""

    def __init__(self, start: int, end: int, meanings: Iterable[tuple[str, str]]):
        self.start, self.end = start, end
        self.meanings = frozenset(meanings)  # (kind, name)

    def __getitem__(self, kind: str) -> set[str]:
        """Return the names of one kind that the words may stand for; empty when there are none."""
        return {name for its_kind, name in self.meanings if its_kind == kind}


class Lexicon:
    """The words of the names, for finding them in captions."""

    def __init__(self, names: Names):
        """Index the names; a name is always a word for itself.

        Raises:
            ValueError: a kind is missing, or a word is empty.
        """
        if missing := [kind for kind in KINDS if kind not in names]:
            raise ValueError(f"The names lack {missing}: they need {list(KINDS)}.")
        self.names = {kind: frozenset(names[kind]) for kind in KINDS}
        self._meanings: dict[tuple[str, ...], set[tuple[str, str]]] = {}
        for kind in KINDS:
            for name, synonyms in names[kind].items():
                for synonym in {name, *_listed(kind, name, synonyms)}:
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
                    mentions.append(Mention(start, end, meanings))
                    start = end
                    break
            else:
                start += 1
        return mentions


def grounding(truth: Mapping[ImageId, Truth], results: Mapping[ImageId, str], names: Names) -> dict:
    """Check captions against what is in the pictures.

    Args:
        truth: image id -> `place`, `objects` (each with `object` and `colour`, and `unseen` where place, object and
            colour occur together in no train picture), and optionally `place_colours`: colours that belong to the place
            by nature ("green meadow"), neither right nor wrong.
        results: image id -> raw caption; the images of the truth.
        names: the words for every name.

    Returns:
        `place`, `object`, `colour`: the share of the true ones that are named. `pair`: the share of the objects
        that are named with their own colour right before them ("red boat", "red small boat"). `false_named`:
        the share of the named objects and colours that are not in the picture. Names count once per picture; a
        share of nothing is None. `unseen`: the same of the unseen objects alone, `place` and `false_named` of the
            pictures that hold one; None without such.

    Raises:
        ValueError: an image is in only one of the two, or the truth holds a name that the names lack.
    """
    results = with_ids_of(truth, results)
    for these, those, problem in ((truth, results, "without a result"), (results, truth, "without truth")):
        if odd := [image for image in these if image not in those]:
            raise ValueError(f"Grounding {problem}: {some_images(odd)}.")
    lexicon = Lexicon(names)
    counts = {image: _count(image, truth[image], results[image], lexicon) for image in truth}
    unseen = []
    for image, content in truth.items():
        if things := [thing for thing in content["objects"] if thing.get("unseen")]:
            of_these = _count(image, {**content, "objects": things}, results[image], lexicon)
            unseen.append(of_these | {"false_named": counts[image]["false_named"]})
    return {**_shares(counts.values()), "unseen": _shares(unseen) if unseen else None}


def _shares(counts: Iterable[dict[str, tuple[int, int]]]) -> dict[str, float | None]:
    counts = list(counts)
    shares = {}
    for measure in (*KINDS, "pair", "false_named"):
        hits = sum(image[measure][0] for image in counts)
        total = sum(image[measure][1] for image in counts)
        shares[measure] = hits / total if total else None
    return shares


def _count(image: ImageId, truth: Truth, caption: str, lexicon: Lexicon) -> dict[str, tuple[int, int]]:
    """Return (hits, all) of each measure for one picture."""
    there = _things(image, truth, lexicon)
    text = tokenize(caption)
    mentions = _without_place_colours(lexicon.find(text), set(truth.get("place_colours", ())), there["colour"])
    named = {kind: set().union(*(mention[kind] for mention in mentions)) for kind in KINDS}
    own = {(thing["object"], thing["colour"]) for thing in truth["objects"]}
    counts = {kind: (len(there[kind] & named[kind]), len(there[kind])) for kind in KINDS}
    counts["pair"] = (len(own & _pairs(text, mentions)), len(own))
    # A word of several meanings ("orange") is right when one of them is.
    things = {mention.meanings for mention in mentions if mention["object"] or mention["colour"]}
    false = [meanings for meanings in things if not any(name in there[kind] for kind, name in meanings)]
    counts["false_named"] = (len(false), len(things))
    return counts


def _things(image: ImageId, truth: Truth, lexicon: Lexicon) -> dict[str, set[str]]:
    try:
        there = {
            "place": {truth["place"]},
            "object": {thing["object"] for thing in truth["objects"]},
            "colour": {thing["colour"] for thing in truth["objects"]},
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"The truth of image {image!r} is incomplete: {error!r} in {truth!r}") from error
    strange = [(kind, name) for kind in KINDS for name in there[kind] - lexicon.names[kind]]
    if strange:
        raise ValueError(f"The truth of image {image!r} holds names without words: {strange}")
    return there


def _without_place_colours(mentions: list[Mention], natural: set[str], colours: set[str]) -> list[Mention]:
    """Leave out the colours of the place itself: those of no object, and those right before the place's word."""
    kept = []
    for mention, following in zip(mentions, [*mentions[1:], None], strict=False):
        before_place = following is not None and following["place"] and following.start == mention.end
        natural_here = mention["colour"] & natural
        if not natural_here or mention["object"] or (natural_here & colours and not before_place):
            kept.append(mention)
    return kept


def _pairs(text: Sequence[str], mentions: Sequence[Mention]) -> set[tuple[str, str]]:
    """Return the (object, colour) pairs that a caption names in one phrase."""
    pairs = set()
    for colour, thing in pairwise(mentions):
        between = text[colour.end : thing.start]
        if len(between) <= _ADJECTIVES_BETWEEN and not _BREAKS.intersection(between):
            pairs |= {(name, shade) for name in thing["object"] for shade in colour["colour"]}
    return pairs


def _listed(kind: str, name: str, synonyms: Iterable[str]) -> list[str]:
    if isinstance(synonyms, str):
        raise ValueError(f"The words for the {kind} {name!r} are a text; give a list: [{synonyms!r}].")
    return list(synonyms)
