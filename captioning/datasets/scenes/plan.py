"""What is where in each drawn scene, and in which split: integers and names, no pixels."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SIZE = 256  # width and height of a picture in pixels
COLOURS = ("red", "yellow", "green", "blue", "purple")


@dataclass(frozen=True)
class Place:
    """Where things rest in a place: ranges of the y coordinate of their lower edge, in pixels."""

    ground: tuple[int, int]
    water: tuple[int, int] | None = None  # boats float here
    road: tuple[int, int] | None = None  # cars drive here
    lights: tuple[str, ...] = ("sunny", "cloudy", "sunset")


@dataclass(frozen=True)
class Kind:
    """How large a kind of object is drawn: range of the width in pixels, height in percent of the width."""

    width: tuple[int, int]
    height: int
    flies: bool = False


PLACES = {
    "beach": Place(ground=(208, 246), water=(160, 172)),
    "meadow": Place(ground=(200, 242)),
    "street": Place(ground=(184, 200), road=(216, 244)),
    "mountain": Place(ground=(204, 244)),
    "desert": Place(ground=(204, 244)),
    "lake": Place(ground=(214, 246), water=(172, 190), lights=("night",)),
}
OBJECTS = {
    "house": Kind((80, 116), 96),
    "tree": Kind((76, 104), 120),
    "car": Kind((98, 128), 52),
    "boat": Kind((82, 116), 104),
    "balloon": Kind((70, 94), 132, flies=True),
    "kite": Kind((66, 88), 150, flies=True),
    "ball": Kind((64, 92), 100),
    "umbrella": Kind((84, 116), 98),
}
PAIRS = tuple((name, colour) for name in OBJECTS for colour in COLOURS)

_EDGE = 8  # nothing comes nearer to the border, in pixels
_GAP = 14  # between two objects, in pixels


@dataclass(frozen=True)
class Item:
    """One object of a scene; the box (left, top, right, bottom) in pixels holds all of it but its shadow."""

    object: str
    colour: str
    box: tuple[int, int, int, int]
    footing: str  # "ground", "water", "road" or "sky"

    @property
    def size(self) -> str:
        """Return "small" or "large" for the lowest and highest 30 % of its kind's widths, else ""."""
        low, high = OBJECTS[self.object].width
        tenths = 10 * (self.box[2] - self.box[0] - low)
        return "small" if tenths < 3 * (high - low) else "large" if tenths > 7 * (high - low) else ""


@dataclass(frozen=True)
class Scene:
    """The whole content of one picture; `items` from left to right."""

    image_id: int
    split: str
    place: str
    light: str
    items: tuple[Item, ...]
    seed: int

    def is_unseen(self, item: Item) -> bool:
        """Tell whether this object in this colour occurs at this place in the test split only."""
        return (self.place, item.object, item.colour) in UNSEEN

    def random(self, purpose: str) -> random.Random:
        """Return a generator of its own for one purpose, so that captions do not depend on the drawing."""
        return random.Random(f"{purpose}/{self.seed}/{self.image_id}")


def _unseen_triples() -> tuple[tuple[str, str, str], ...]:
    """Choose a tenth of the triples; each pair of object and colour is held out of one place at the most."""
    pairs = list(PAIRS)
    random.Random("unseen triples").shuffle(pairs)
    places = list(PLACES)
    count = round(len(places) * len(pairs) / 10)
    return tuple((places[i % len(places)], *pair) for i, pair in enumerate(pairs[:count]))


UNSEEN = _unseen_triples()


def plan(train: int, val: int, test: int, seed: int) -> list[Scene]:
    """Compose every scene of a drawing, ordered by image id (from 1).

    A quarter of the test pictures holds a triple of `UNSEEN`, no other picture does.

    Args:
        train, val, test: number of pictures; of train at least one for every pair of object and color.
        seed: another seed gives other scenes; `UNSEEN` stays the same.

    Raises:
        ValueError: a number is too small.
    """
    if train < len(PAIRS) or val < 0 or test < 0:
        raise ValueError(
            f"Scenes need train >= {len(PAIRS)} (each object in each color once), val >= 0 and test >= 0, "
            f"not train={train}, val={val}, test={test}."
        )
    rng = random.Random(f"plan/{seed}")
    ids = list(range(1, train + val + test + 1))
    rng.shuffle(ids)
    seen = [*_contents(rng, train), *_contents(rng, val), *_contents(rng, test - test // 4)]
    contents = [*seen, *_unseen_contents(rng, test // 4)]
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    scenes = [compose(*of_one[:2], *of_one[2], seed) for of_one in zip(ids, splits, contents, strict=True)]
    return sorted(scenes, key=lambda scene: scene.image_id)


def compose(image_id: int, split: str, place: str, pairs: list[tuple[str, str]], seed: int) -> Scene:
    """Choose light, sizes and positions for one or two (object, colour) pairs, from left to right.

    The boxes lie inside the picture and share no column of pixels.
    """
    rng = random.Random(f"layout/{seed}/{image_id}")
    light = rng.choice(PLACES[place].lights)
    items = []
    for (name, colour), (left, right) in zip(pairs, _columns(rng, [name for name, _ in pairs]), strict=True):
        footing = _footing(place, name)
        height = (right - left) * OBJECTS[name].height // 100
        heights = (_EDGE + height, 26 + height) if footing == "sky" else getattr(PLACES[place], footing)
        bottom = rng.randint(*heights)
        items.append(Item(name, colour, (left, bottom - height, right, bottom), footing))
    return Scene(image_id, split, place, light, tuple(items), seed)


def _columns(rng: random.Random, names: list[str]) -> list[tuple[int, int]]:
    """Return the left and right edge of each object."""
    widths = [rng.randint(*OBJECTS[name].width) for name in names]
    room = SIZE - 2 * _EDGE - _GAP * (len(names) - 1)
    widest = widths.index(max(widths))
    widths[widest] -= max(0, sum(widths) - room)
    slack = room - sum(widths)
    left = _EDGE + rng.randint(0, slack)
    columns = [(left, left + widths[0])]
    for width in widths[1:]:
        left = columns[-1][1] + _GAP + rng.randint(0, slack - (left - _EDGE))
        columns.append((left, left + width))
    return columns


def _footing(place: str, name: str) -> str:
    """Return what an object rests on in a place."""
    if OBJECTS[name].flies:
        return "sky"
    if name == "boat" and PLACES[place].water:
        return "water"
    return "road" if name == "car" and PLACES[place].road else "ground"


def _deck(rng: random.Random, cards: Sequence) -> Iterator:
    """Deal all cards in a random order, then all of them again, without end."""
    while True:
        order = list(cards)
        rng.shuffle(order)
        yield from order


def _contents(rng: random.Random, count: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the place and the pairs of pictures without any triple of `UNSEEN`."""
    places, pairs = _deck(rng, tuple(PLACES)), _deck(rng, PAIRS)
    for _ in range(count):
        place, first = next(places), next(pairs)
        while (place, *first) in UNSEEN:
            place = rng.choice(tuple(PLACES))
        allowed = [pair for pair in PAIRS if (place, *pair) not in UNSEEN]
        yield place, _with_companion(rng, first, allowed)


def _unseen_contents(rng: random.Random, count: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the place and the pairs of pictures that hold a triple of `UNSEEN`."""
    triples = _deck(rng, UNSEEN)
    for _ in range(count):
        place, *first = next(triples)
        yield place, _with_companion(rng, tuple(first), PAIRS)


def _with_companion(rng: random.Random, first: tuple[str, str], allowed: Sequence) -> list[tuple[str, str]]:
    """Add a different pair to every second picture, on either side."""
    pairs = [first]
    if rng.randrange(2):
        pairs.append(rng.choice([pair for pair in allowed if pair != first]))
        rng.shuffle(pairs)
    return pairs
