"""Is a caption true? For drawn scenes, whose content is known."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from captioning.metrics.controls import share_interval
from captioning.metrics.lexicon import KINDS, SCENES, Lexicon, Mention, phrases_of
from captioning.metrics.references import ImageId, some_images, with_ids_of
from captioning.words import tokenize

# {"place": "beach", "place_colours": ["green"],
#  "objects": [{"object": "boat", "colour": "red", "unseen": True, "box": [left, top, right, bottom]}]}
Truth = Mapping[str, Any]

MEASURES = (*KINDS, "pair", "false_named", "exact", "repeats", "relation")
OF_PICTURES = ("place", "false_named", "exact", "repeats", "relation")  # of a whole picture, not of one thing in it


# Words that say where the middle (across, down) of the thing before them is.
_POSITIONS: dict[str, Callable[..., bool]] = {
    "to the left of": lambda one, other: one[0] < other[0],
    "to the right of": lambda one, other: one[0] > other[0],
    "on the left of": lambda one, other: one[0] < other[0],
    "on the right of": lambda one, other: one[0] > other[0],
    "higher than": lambda one, other: one[1] < other[1],
    "on the left": lambda one: one[0] < 0.5,
    "on the right": lambda one: one[0] > 0.5,
    "in the middle": lambda one: 0.4 <= one[0] <= 0.6,
}
_OF_TWO = (" of", " than")
_POSITION_WORDS = Lexicon({"position": {words: () for words in _POSITIONS}})


def grounding(truth: Mapping[ImageId, Truth], results: Mapping[ImageId, str], lexicon: Lexicon = SCENES) -> dict:
    """Check captions against what is in the pictures.

    Args:
        truth: image id -> `place`, `objects` (each with `object` and `colour`; `unseen` where place, object and
            color occur together in no train picture; perhaps its `box`: left, top, right and bottom as shares of the
            picture), and optionally `place_colours`: colors that belong to the place by nature ("green meadow"),
            neither right nor wrong.
        results: image id -> raw caption; the images of the truth.
        lexicon: has the words for every name of the truth.

    Returns:
        `place`: the share of the pictures whose place is named, and no other. `object`, `colour`: the share of the true
        ones that are named. `pair`: the share of the objects that are named with their own color right before them
        ("red boat", "red small boat"). `false_named`: the share of the named objects and colors that are not in the
        picture. Names count once per picture.
        `exact`: the share of the captions that name all pairs of the picture, each once, and no other thing or color.
        `repeats`: the share of the captions that name a pair twice, or an object of which the picture holds one.
        `relation`: the share of the statements on left, right, middle and height that hold, of those on things that
        are there.
        A share of nothing is None. `n`: for each of them how many were counted. `intervals`: the 95 % interval, see
        `share_interval`; the things of one picture count as one, since they are not independent.
        `unseen`: the same of the unseen objects alone, and `OF_PICTURES` of the pictures that hold one; None without.

    Raises:
        ValueError: an image is in only one of the two, or the truth holds a name that the lexicon lacks.
    """
    results = with_ids_of(truth, results)
    for these, those, problem in ((truth, results, "without a result"), (results, truth, "without truth")):
        if odd := [image for image in these if image not in those]:
            raise ValueError(f"Grounding {problem}: {some_images(odd)}.")
    counts = {image: Reading(truth[image], results[image], lexicon, image).counts() for image in truth}
    unseen = []
    for image, content in truth.items():
        if things := [thing for thing in content["objects"] if thing.get("unseen")]:
            of_these = Reading({**content, "objects": things}, results[image], lexicon, image).counts()
            unseen.append(of_these | {measure: counts[image][measure] for measure in OF_PICTURES})
    return {**_shares(list(counts.values())), "unseen": _shares(unseen) if unseen else None}


def _shares(counts: list[dict[str, tuple[int, int]]]) -> dict:
    shares: dict[str, Any] = {}
    numbers: dict[str, int] = {}
    intervals: dict[str, list[float] | None] = {}
    for measure in MEASURES:
        hits, totals = zip(*(image[measure] for image in counts), strict=True)
        total = numbers[measure] = sum(totals)
        shares[measure] = intervals[measure] = None
        if total:
            shares[measure] = sum(hits) / total
            pictures = sum(number > 0 for number in totals)
            intervals[measure] = list(share_interval(shares[measure], pictures))
    return {**shares, "n": numbers, "intervals": intervals}


class Reading:
    """What a caption says, compared with what is in its picture."""

    def __init__(self, truth: Truth, caption: str, lexicon: Lexicon = SCENES, image: ImageId = ""):
        """Find the names in a caption; for the arguments see `grounding`."""
        self.there = _things(image, truth, lexicon)
        self.things = truth["objects"]
        self.own = {(thing["object"], thing["colour"]) for thing in self.things}
        self.text = tokenize(caption)
        mentions = lexicon.find(self.text)
        self.phrases = phrases_of(self.text, mentions)
        self.mentions = self._without_place_colours(mentions, set(truth.get("place_colours", ())))
        self.wrong_places = [mention for mention in mentions if mention["place"] and not self._holds(mention.meanings)]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return (hits, all) of each of `MEASURES`."""
        named = {kind: set().union(*(mention[kind] for mention in self.mentions)) for kind in KINDS}
        counts = {kind: (len(self.there[kind] & named[kind]), len(self.there[kind])) for kind in KINDS}
        counts["place"] = (int(self.there["place"] <= named["place"] and not self.wrong_places), 1)
        pairs = set().union(*(phrase.pairs for phrase in self.phrases))
        counts["pair"] = (len(self.own & pairs), len(self.own))
        things = {mention.meanings for mention in self.mentions if mention["object"] or mention["colour"]}
        counts["false_named"] = (sum(not self._holds(meanings) for meanings in things), len(things))
        counts["exact"] = (int(not any(self._wrong_content())), 1)
        counts["repeats"] = (len(self._repeated()[:1]), 1)
        relations = list(self._relations())
        counts["relation"] = (sum(holds for _, holds in relations), len(relations))
        return counts

    def problems(self) -> list[str]:
        """Return in a few words each what is wrong, the plainest first; nothing for a caption that is right."""
        wrong = [*self._wrong_content()]
        wrong += [f"no {' '.join(self.text[place.start : place.end])} here" for place in self.wrong_places]
        relations = (words.removesuffix(" of").removesuffix(" than") for words, holds in self._relations() if not holds)
        return list(dict.fromkeys([*wrong, *(f"not {words}" for words in relations)]))

    def _wrong_content(self) -> Iterator[str]:
        """Yield what keeps a caption from naming all pairs of its picture once each, and nothing else."""
        for phrase in self.phrases:
            if phrase.colour is None and phrase.noun["object"] & self.there["object"]:
                yield f"no color for the {phrase.words(self.text)}"
            elif not phrase.pairs & self.own:
                yield f"no {phrase.words(self.text)} here"
        yield from (f"{thing} named twice" for thing in self._repeated())
        in_phrases = {phrase.colour for phrase in self.phrases}
        for mention in self.mentions:
            if mention["colour"] and mention not in in_phrases and not self._holds(mention.meanings):
                yield f"nothing {self.text[mention.start]} here"
        named = set().union(*(phrase.pairs for phrase in self.phrases))
        bare = set().union(*(phrase.noun["object"] for phrase in self.phrases if phrase.colour is None))
        yield from (f"{colour} {name} missing" for name, colour in sorted(self.own - named) if name not in bare)

    def _repeated(self) -> list[str]:
        """Return the pairs that are named twice, and the objects of which there is one."""
        pairs = Counter(pair for phrase in self.phrases for pair in phrase.pairs)
        twice = [(name, f"{colour} {name}") for (name, colour), count in pairs.items() if count > 1]
        named = Counter(name for phrase in self.phrases for name in phrase.noun["object"])
        there = Counter(name for name, _ in self.own)
        single = [name for name, count in named.items() if count > 1 and there[name] == 1]
        return [words for _, words in twice] + [name for name in single if name not in dict(twice)]

    def _relations(self) -> Iterator[tuple[str, bool]]:
        """Yield the words of each statement on positions of things that are there, and whether it holds."""
        for place in _POSITION_WORDS.find(self.text):
            (words,) = place["position"]
            of_two = words.endswith(_OF_TWO)
            before = [phrase for phrase in self.phrases if phrase.noun.end <= place.start][-1:]
            after = [phrase for phrase in self.phrases if phrase.noun.start >= place.end][:of_two]
            known = [(phrase.thing(self.things) or {}).get("box") for phrase in (*before, *after)]
            if len(boxes := [box for box in known if box]) == len(known) == 1 + of_two:
                middles = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes]
                yield words, _POSITIONS[words](*middles)

    def _holds(self, meanings: Iterable[tuple[str, str]]) -> bool:
        """Tell whether a word of perhaps several meanings ("orange") is right: when one of them is."""
        return any(name in self.there[kind] for kind, name in meanings)

    def _without_place_colours(self, mentions: list[Mention], natural: set[str]) -> list[Mention]:
        """Leave out the colors of the place itself: those of no object, and those right before the place's word."""
        kept, of_objects = [], {phrase.colour for phrase in self.phrases}
        before_places = {mention.start for mention in mentions if mention["place"]}
        for mention in mentions:
            before_place = mention.end in before_places
            natural_here = mention["colour"] & natural
            elsewhere = natural_here & self.there["colour"] and not before_place
            if not natural_here or mention["object"] or mention in of_objects or elsewhere:
                kept.append(mention)
        return kept


def _things(image: ImageId, truth: Truth, lexicon: Lexicon) -> dict[str, set[str]]:
    try:
        there = {
            "place": {truth["place"]},
            "object": {thing["object"] for thing in truth["objects"]},
            "colour": {thing["colour"] for thing in truth["objects"]},
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"The truth of image {image!r} is incomplete: {error!r} in {truth!r}") from error
    if strange := [(kind, name) for kind in KINDS for name in there[kind] - lexicon.names.get(kind, frozenset())]:
        raise ValueError(f"The truth of image {image!r} holds names without words: {strange}")
    return there
