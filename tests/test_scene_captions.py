"""Captions of drawn scenes, read back by a parser that does not know the grammar."""

import itertools
import re
from collections import Counter

import pytest

from captioning.datasets.scenes.captions import describe
from captioning.datasets.scenes.plan import COLOURS, OBJECTS, PLACES, SIZE, plan
from captioning.datasets.scenes.words import NAMES, PLACE_COLOURS

COLOUR_OF = {phrase: name for name, phrases in NAMES["colour"].items() for phrase in phrases}
OBJECT_OF = {phrase: name for name, phrases in NAMES["object"].items() for phrase in phrases}
PLACE_OF = {phrase: name for name, phrases in NAMES["place"].items() for phrase in phrases}
NOUN = "|".join(sorted(OBJECT_OF, key=len, reverse=True))
THING = re.compile(rf"\b(a|an) (?:(small|large|open) )?({'|'.join(COLOUR_OF)}) ({NOUN})\b")


@pytest.fixture(scope="module")
def captions():
    """Each scene of a drawing of the usual size with each of its captions, in lower case."""
    full = plan(train=1500, val=200, test=200, seed=0)
    return [(scene, caption.lower()) for scene in full for caption in describe(scene)]


def things(caption):
    return [(size, COLOUR_OF[colour], OBJECT_OF[noun]) for _, size, colour, noun in THING.findall(caption)]


def the_item(scene, thing):
    (item,) = [item for item in scene.items if (item.colour, item.object) == thing[1:]]
    return item


def test_names_cover_everything_and_are_unambiguous():
    assert {group: tuple(names) for group, names in NAMES.items()} == {
        "place": tuple(PLACES),
        "object": tuple(OBJECTS),
        "colour": COLOURS,
    }
    phrases = [(phrase, name) for names in NAMES.values() for name, all_of in names.items() for phrase in all_of]
    assert len({phrase for phrase, _ in phrases}) == len(phrases)
    for (one, name), (other, other_name) in itertools.permutations(phrases, 2):
        assert name == other_name or not re.search(rf"\b{one}\b", other)


def test_every_caption_names_the_place_and_every_object_with_its_colour_and_nothing_else(captions):
    for scene, caption in captions:
        places = {PLACE_OF[phrase] for phrase in PLACE_OF if re.search(rf"\b{phrase}\b", caption)}
        assert places == {scene.place}, caption
        named = Counter((colour, noun) for _, colour, noun in things(caption))
        assert named == Counter((item.colour, item.object) for item in scene.items), caption
        rest = THING.sub("", caption)
        assert not re.search(rf"\b({NOUN})\b", rest), caption
        place_colours = set(re.findall(rf"\b({'|'.join(COLOUR_OF)})\b", rest))
        assert place_colours <= set(PLACE_COLOURS.get(scene.place, [])), caption


def test_five_different_sentences():
    for scene in plan(300, 0, 0, seed=1):
        texts = describe(scene)
        assert len(set(texts)) == len(texts) == 5
        assert all(re.fullmatch(r"[A-Z][a-z, ]+[a-z]\.", text) for text in texts)
        assert not any("  " in text or " ," in text for text in texts)


def test_articles_and_verbs(captions):
    for scene, caption in captions:
        for article, following in re.findall(r"\b(a|an) (\w)", caption):
            assert (article == "an") == (following in "aeiou"), caption
        if " are " in caption:
            assert " and " in caption[: caption.index(" are ")] and len(scene.items) == 2, caption
        if re.search(r" (stands|grows|rests|floats|drifts|flies|lies|is) ", caption):
            assert " and " not in caption, caption


def test_every_name_is_used(captions):
    text = "\n".join(caption for _, caption in captions)
    for phrase in [*PLACE_OF, *OBJECT_OF, *COLOUR_OF]:
        assert len(re.findall(rf"\b{phrase}\b", text)) >= 20, phrase


def test_vocabulary_and_variety(captions):
    texts = [caption for _, caption in captions]
    counts = Counter(word for text in texts for word in re.findall("[a-z]+", text))
    assert len([word for word, count in counts.items() if count >= 20]) >= 60
    assert len(set(texts)) > len(texts) / 2
    shapes = Counter(" ".join(text.split()[:2]) for text in texts)
    assert {"there is", "a photo", "an image", "in the", "we see"} <= set(shapes)


def test_sizes_are_true(captions):
    seen = Counter()
    for scene, caption in captions:
        for thing in things(caption):
            low, high = OBJECTS[thing[2]].width
            left, _, right, _ = the_item(scene, thing).box
            share = (right - left - low) / (high - low)
            seen[thing[0]] += 1
            assert thing[0] != "small" or share < 0.3, caption
            assert thing[0] != "large" or share > 0.7, caption
            assert thing[0] != "open" or thing[2] == "umbrella"
    assert seen["small"] > 500 and seen["large"] > 500


def _are_neighbours(one, other):
    gap = max(one.box[0], other.box[0]) - min(one.box[2], other.box[2])
    return one.footing == other.footing != "sky" and gap < SIZE / 5


def test_positions_are_true(captions):
    seen = Counter()
    for scene, caption in captions:
        items = [the_item(scene, thing) for thing in things(caption)]
        centres = [(item.box[0] + item.box[2]) / 2 / SIZE for item in items]
        for relation, holds in {
            "to the left of": lambda items=items: items[0].box[2] < items[1].box[0],
            "to the right of": lambda items=items: items[0].box[0] > items[1].box[2],
            "(next to|beside)": lambda items=items: _are_neighbours(*items),
            "higher than": lambda items=items: items[0].box[3] <= items[1].box[1],
        }.items():
            if re.search(rf"{relation} an? (\w+ )?({'|'.join(COLOUR_OF)})", caption):
                seen[relation] += 1
                assert holds(), caption
        for side in re.finditer(r"(on the left|on the right|in the middle)\b(?! of)", caption):
            owner = len(THING.findall(caption[: side.start()])) - 1
            low, high = {"on the left": (0, 0.4), "on the right": (0.6, 1), "in the middle": (0.45, 0.55)}[side[1]]
            seen[side[1]] += 1
            assert low <= centres[owner] <= high, caption
    assert len(seen) == 7 and min(seen.values()) > 20


def test_light_and_footing_are_true(captions):
    lights = {
        "sunny": "sunny|clear|sunshine",
        "cloudy": "cloudy",
        "sunset": "sunset|evening",
        "night": "night|moonlight|stars",
    }
    for scene, caption in captions:
        for light, pattern in lights.items():
            assert scene.light == light or not re.search(rf"\b({pattern})\b", caption), caption
        for verb in re.findall(r"\b(?:floats|floating|drifts|drifting|flies|flying|rests|resting)\b", caption):
            on = {"rest": {"ground"}, "floa": {"sky", "water"}}.get(verb[:4], {"sky"})
            assert footings_of(scene) & on, caption
        if footings_of(scene) == {"water"} and scene.place == "beach":
            assert not re.search(r"\bon (a|the) (sandy )?beach", caption), caption
        if footings_of(scene) == {"sky"} and len(scene.items) == 1:
            assert re.search(r"\b(over|above|with)\b", caption), caption


def footings_of(scene):
    return {item.footing for item in scene.items}
