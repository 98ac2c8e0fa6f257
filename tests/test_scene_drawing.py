"""Drawn scenes: where objects stand, and what the pixels show."""

import hashlib
import itertools
import json

import numpy as np
import pytest

from captioning.datasets.scenes.brushes import Painter
from captioning.datasets.scenes.objects import render
from captioning.datasets.scenes.plan import COLOURS, OBJECTS, PLACES, SIZE, Scene, compose, plan

HUES = {"red": (340, 18), "yellow": (38, 62), "green": (115, 165), "blue": (210, 245), "purple": (265, 300)}


# Place -> digest of what is drawn.
EXPECTED = {
    "beach": "783446659035",
    "meadow": "cfe5755f0eb8",
    "street": "e9124d8431d4",
    "mountain": "72ef3c4c28cd",
    "desert": "e0f793a90578",
    "lake": "b1a07fda6ab3",
}


@pytest.fixture(scope="module")
def full():
    """The composition of a drawing of the usual size; no pixels."""
    return plan(train=1500, val=200, test=200, seed=0)


def test_objects_are_large_wholly_visible_and_apart(full):
    for scene in full:
        for item in scene.items:
            left, top, right, bottom = item.box
            assert min(left, top) >= 4 and right <= SIZE - 4 and bottom <= SIZE - 4
            assert 0.25 <= (right - left) / SIZE <= 0.5
        if len(scene.items) == 2:
            assert scene.items[0].box[2] + 10 <= scene.items[1].box[0]
        if scene.light == "night":
            assert scene.place == "lake"


def pixels(scene):
    return np.asarray(render(scene), np.int16)


@pytest.mark.parametrize("place", PLACES)
def test_the_object_is_in_its_box_in_its_colour(place):
    for number, name in enumerate(OBJECTS):
        colour = COLOURS[(number + list(PLACES).index(place)) % len(COLOURS)]
        scene = compose(number, "test", place, [(name, colour)], seed=3)
        empty = Scene(number, "test", place, scene.light, (), seed=3)
        changed = np.abs(pixels(scene) - pixels(empty)).max(-1) > 30
        left, top, right, bottom = scene.items[0].box
        picture = render(scene).crop(scene.items[0].box)
        inside = changed[top:bottom, left:right].copy()
        changed[top - 1 : bottom + 1, left - 1 : right + 1] = False  # antialiased edges
        changed[bottom - 10 : bottom + 12, left - 4 : right + 14] = False  # shadow or ripples
        assert not changed.any(), (place, name)
        assert inside.mean() > 0.25, (place, name)
        rows, columns = np.flatnonzero(inside.sum(1) >= 1), np.flatnonzero(inside.sum(0) >= 2)
        assert rows[0] <= 6 and rows[-1] >= bottom - top - 7, (place, name)
        assert columns[0] <= 5 and columns[-1] >= right - left - 6, (place, name)
        found = {hue: (inside & _has_hue(picture, hue)).sum() / inside.sum() for hue in HUES}
        assert max(found, key=found.get) == colour and found[colour] > 0.3, (place, name, found)


def _has_hue(picture, colour):
    """Tell which pixels are saturated and have the hue of a colour."""
    hue, saturation, value = np.moveaxis(np.asarray(picture.convert("HSV")), -1, 0)
    low, high = HUES[colour]
    degrees = hue * (360 / 256)
    within = (degrees >= low) & (degrees <= high) if low < high else (degrees >= low) | (degrees <= high)
    return within & (saturation > 110) & (value > 60)


def test_places_and_lights_look_different():
    looks = {}
    for place, light in ((name, light) for name in PLACES for light in PLACES[name].lights):
        thumbs = [render(Scene(i, "test", place, light, (), 0)).reduce(32) for i in range(3)]
        looks[place, light] = np.mean([np.asarray(thumb, np.float64) for thumb in thumbs], 0)
    for one, other in itertools.combinations(looks, 2):
        assert np.abs(looks[one] - looks[other]).mean() > 8, (one, other)


def test_places_have_their_own_colours():
    ground, water = {}, {}
    for place in PLACES:
        picture = np.asarray(render(Scene(1, "test", place, PLACES[place].lights[0], (), 0)), np.float64)
        ground[place], water[place] = picture[224:].mean((0, 1)), picture[130:160].mean((0, 1))
    assert water["beach"][2] > water["beach"][0] + 60 and ground["beach"][0] > ground["beach"][2] + 40
    assert ground["meadow"][1] > ground["meadow"][[0, 2]].max() + 20
    assert np.ptp(ground["street"]) < 15 and ground["street"].max() < 140
    assert ground["mountain"].min() > 200
    assert ground["desert"][0] > ground["desert"][2] + 90 and water["desert"][0] > water["desert"][2]
    assert ground["lake"].max() < 80 and water["lake"].max() < 140 and water["lake"][2] == water["lake"].max()


def test_a_picture_depends_on_its_id_only_through_its_own_generator():
    scene, other = plan(40, 0, 0, seed=0)[:2]
    first = render(scene)
    render(other)
    assert render(scene).tobytes() == first.tobytes()
    assert render(Scene(99, "test", scene.place, scene.light, scene.items, 0)).tobytes() != first.tobytes()


def strokes(scene, monkeypatch):
    """Return all that is drawn of a scene, numbers with two digits: they are the same on every machine."""

    def told(value):
        return [told(each) for each in value] if isinstance(value, tuple | list) else round(float(value or 0), 2)

    seen = []
    with monkeypatch.context() as patch:
        for name in ("polygon", "line", "ellipse", "gradient", "ball", "glow", "soft"):
            patch.setattr(Painter, name, lambda painter, *given, name=name, **_: seen.append((name, told(given))))
        render(scene)
    return seen


@pytest.mark.parametrize(("place", "expected"), EXPECTED.items())
def test_nothing_is_drawn_otherwise_than_before(place, expected, monkeypatch):
    """Features and models are of these pictures: an edit of the drawing code must not move a lamp."""
    scenes = [scene for scene in plan(60, 0, 0, seed=0) if scene.place == place]
    drawn = [strokes(scene, monkeypatch) for scene in scenes]
    assert hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:12] == expected
