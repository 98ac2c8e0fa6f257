"""Five true English sentences about a drawn scene, from a small grammar."""

import random
from functools import partial

from captioning.datasets.scenes.plan import SIZE, Item, Scene
from captioning.datasets.scenes.words import AFLOAT, LIGHT_PHRASES, NAMES, VERBS, WORDINGS


def describe(scene: Scene) -> list[str]:
    """Write five different sentences, each naming the place and every object with its colour."""
    rng = scene.random("captions")
    sentences = _one(rng, scene) if len(scene.items) == 1 else _two(rng, scene)
    chosen = rng.sample(list(dict.fromkeys(sentences)), 5)
    return [sentence[0].upper() + sentence[1:] + "." for sentence in chosen]


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase; no word of the grammar is an exception to the rule of the vowels."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _one(rng: random.Random, scene: Scene) -> list[str]:
    """Return a sentence of each shape for a picture with one object."""
    (item,) = scene.items
    words, (finite, participle) = WORDINGS[scene.place], _verb(rng, item)
    spots = words.over if item.footing == "sky" else words.water if item.footing == "water" else words.inside
    spot, thing = partial(rng.choice, spots), partial(_thing, rng, item)
    shapes = [
        f"{thing()} {finite} {spot()}{_light(rng, scene)}",
        f"{thing()} {participle} {spot()}{_light(rng, scene)}",
        f"there is {thing()} {spot()}{_light(rng, scene)}",
        f"{_picture(rng)} of {thing()} {spot()}{_light(rng, scene)}",
        f"{rng.choice(words.title)} with {thing()}{_side(item)}",
        f"{spot()}, {thing()} {finite} alone",
        f"we see {thing()} {spot()}",
    ]
    if finite != "is parked":
        shapes.append(f"{spot()} {finite} {thing()}")
    return shapes


def _two(rng: random.Random, scene: Scene) -> list[str]:
    """Return a sentence of each shape for a picture with two objects."""
    left, right = scene.items
    words = WORDINGS[scene.place]
    spot = partial(rng.choice, words.around)

    def both() -> str:
        return " and ".join(_thing(rng, item) for item in rng.sample(scene.items, 2))

    relations = [
        f"{_thing(rng, left)} to the left of {_thing(rng, right)}",
        f"{_thing(rng, right)} to the right of {_thing(rng, left)}",
    ]
    shapes = [
        f"{both()} {spot()}{_light(rng, scene)}",
        f"{both()} are {spot()}{_light(rng, scene)}",
        f"{both()} can be seen {spot()}",
        f"{_picture(rng)} of {both()} {spot()}{_light(rng, scene)}",
        f"{rng.choice(words.title)} with {both()}{_light(rng, scene)}",
        f"{spot()}, we see {both()}",
        f"{relations[0]} {spot()}",
        f"{relations[1]} {spot()}",
        f"there is {rng.choice(relations)} {spot()}",
        *_close_together(rng, scene),
        *_one_above(rng, scene),
    ]
    if _side(left) == " on the left" and _side(right) == " on the right":
        title = rng.choice(words.title)
        shapes.append(f"{title} with {_thing(rng, left)} on the left and {_thing(rng, right)} on the right")
    return shapes


def _close_together(rng: random.Random, scene: Scene) -> list[str]:
    """Return sentences that hold when both rest on the same ground with less than 48 pixels between them."""
    left, right = scene.items
    if left.footing != right.footing or left.footing == "sky" or right.box[0] - left.box[2] >= 48:
        return []
    first, second = rng.sample(scene.items, 2)
    finite, participle = _verb(rng, first)
    spot = rng.choice(WORDINGS[scene.place].water if left.footing == "water" else WORDINGS[scene.place].inside)
    thing, other = _thing(rng, first), _thing(rng, second)
    return [
        f"{thing} {finite} next to {other} {spot}",
        f"{thing} {participle} beside {other} {spot}{_light(rng, scene)}",
        f"{spot}, {thing} {finite} next to {other}",
    ]


def _one_above(rng: random.Random, scene: Scene) -> list[str]:
    """Return sentences that hold when one flies and the other does not."""
    flying = [item for item in scene.items if item.footing == "sky"]
    resting = [item for item in scene.items if item.footing != "sky"]
    if not flying or not resting:
        return []
    finite, participle = _verb(rng, flying[0])
    words, thing, other = WORDINGS[scene.place], _thing(rng, flying[0]), _thing(rng, resting[0])
    shapes = [f"{thing} {finite} over {rng.choice(words.title)} with {other}"]
    if flying[0].box[3] <= resting[0].box[1]:
        shapes.append(f"{thing} {participle} higher than {other} {rng.choice(words.around)}")
    return shapes


def _thing(rng: random.Random, item: Item) -> str:
    """Return an object with article, colour and perhaps its size."""
    noun = _name(rng, "object", item.object)
    adjectives = [_name(rng, "colour", item.colour)]
    if item.size and rng.randrange(2):
        adjectives.insert(0, item.size)
    elif item.object == "umbrella" and not rng.randrange(3):
        adjectives.insert(0, "open")
    return with_article(" ".join([*adjectives, noun]))


def _name(rng: random.Random, group: str, name: str) -> str:
    """Return the usual name three times of four, else one of the others."""
    usual, *others = NAMES[group][name]
    return usual if not others or rng.randrange(4) else rng.choice(others)


def _verb(rng: random.Random, item: Item) -> tuple[str, str]:
    """Return what an object does, as "stands" and as "standing"."""
    return rng.choice(AFLOAT if item.footing == "water" else VERBS[item.object])


def _picture(rng: random.Random) -> str:
    return with_article(rng.choice(("photo", "picture", "image", "view")))


def _light(rng: random.Random, scene: Scene) -> str:
    """Return the time of day or the weather, in two of five cases."""
    return f" {rng.choice(LIGHT_PHRASES[scene.light])}" if rng.randrange(5) < 2 else ""


def _side(item: Item) -> str:
    """Return on which side of the picture an object stands, where that is clear."""
    centre = (item.box[0] + item.box[2]) / 2 / SIZE
    if 0.45 <= centre <= 0.55:
        return " in the middle"
    return " on the left" if centre < 0.4 else " on the right" if centre > 0.6 else ""
