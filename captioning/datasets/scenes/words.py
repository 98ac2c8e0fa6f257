"""The words of the captions of drawn scenes, and which of them name what."""

from dataclasses import dataclass

# Every phrase by which a thing may be named, the usual one first. No phrase names two things, and a
# colour always comes directly before its object.
NAMES = {
    "place": {
        "beach": ["beach", "seaside"],
        "meadow": ["meadow", "field"],
        "street": ["street", "city"],
        "mountain": ["mountains", "mountain"],
        "desert": ["desert", "dunes"],
        "lake": ["lake"],
    },
    "object": {
        "house": ["house", "cottage"],
        "tree": ["tree"],
        "car": ["car"],
        "boat": ["boat", "sailboat"],
        "balloon": ["balloon", "hot air balloon"],
        "kite": ["kite"],
        "ball": ["ball"],
        "umbrella": ["umbrella", "parasol"],
    },
    "colour": {
        "red": ["red"],
        "yellow": ["yellow"],
        "green": ["green"],
        "blue": ["blue"],
        "purple": ["purple", "violet"],
    },
}

# The colours that the grammar gives to a place itself: "a green meadow".
PLACE_COLOURS = {"meadow": ["green"]}


@dataclass(frozen=True)
class Wording:
    """How the grammar speaks of one place; every phrase holds exactly one name of `NAMES["place"]`."""

    title: tuple[str, ...]  # "... with a red ball"
    around: tuple[str, ...]  # true of anything there, flying and floating things too
    inside: tuple[str, ...]  # "a red ball lies ..."
    over: tuple[str, ...]  # "a red kite flies ..."
    water: tuple[str, ...] = ()  # "a red boat floats ..."


WORDINGS = {
    "beach": Wording(
        title=("a beach", "a sandy beach"),
        around=("at the beach", "at the seaside"),
        inside=("on the beach", "on a sandy beach", "at the seaside"),
        over=("over the beach", "above a sandy beach"),
        water=("near the beach", "on the sea near a beach"),
    ),
    "meadow": Wording(
        title=("a meadow", "a green meadow", "a grassy field"),
        around=("in a meadow", "in a grassy field"),
        inside=("in a meadow", "in a green meadow", "in a grassy field"),
        over=("over a meadow", "over a green meadow", "above a field"),
    ),
    "street": Wording(
        title=("a street", "a city street"),
        around=("in the city", "on a city street"),
        inside=("on a street", "on a city street", "in the city"),
        over=("over a city street", "above the city"),
    ),
    "mountain": Wording(
        title=("a snowy mountain", "a mountain"),
        around=("in the mountains", "in front of snowy mountains"),
        inside=("in the mountains", "in the snowy mountains", "in front of a mountain"),
        over=("over the mountains", "above snowy mountains"),
    ),
    "desert": Wording(
        title=("a desert", "a sandy desert"),
        around=("in the desert", "in a sandy desert"),
        inside=("in the desert", "in a sandy desert", "among the dunes"),
        over=("over the desert", "above the dunes"),
    ),
    "lake": Wording(
        title=("a lake", "a quiet lake"),
        around=("at a lake", "by a quiet lake"),
        inside=("by a lake", "by a quiet lake"),
        over=("over a lake", "above a quiet lake"),
        water=("on a lake", "on a quiet lake"),
    ),
}
LIGHT_PHRASES = {
    "sunny": ("on a sunny day", "under a clear sky", "in the sunshine"),
    "cloudy": ("on a cloudy day", "under a cloudy sky"),
    "sunset": ("at sunset", "in the evening"),
    "night": ("at night", "in the moonlight", "under the stars"),
}
VERBS = {
    "house": [("stands", "standing")],
    "tree": [("stands", "standing"), ("grows", "growing")],
    "car": [("is parked", "parked")],
    "boat": [("rests", "resting")],
    "balloon": [("floats", "floating"), ("drifts", "drifting")],
    "kite": [("flies", "flying")],
    "ball": [("lies", "lying")],
    "umbrella": [("stands", "standing")],
}
AFLOAT = [("floats", "floating")]
