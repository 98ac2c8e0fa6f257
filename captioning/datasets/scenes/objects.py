"""The eight objects of the scenes, each drawn with Pillow inside its box."""

import math
from collections.abc import Callable, Sequence

from PIL import Image

from captioning.datasets.scenes.brushes import Colour, Painter, Point, darker, lighter
from captioning.datasets.scenes.places import paint_place
from captioning.datasets.scenes.plan import Item, Scene
from captioning.datasets.scenes.sky import LIGHTS

Box = tuple[int, int, int, int]  # left, top, right, bottom
PAINT = {
    "red": (222, 34, 38),
    "yellow": (255, 212, 18),
    "green": (16, 142, 62),
    "blue": (28, 76, 222),
    "purple": (144, 44, 186),
}
_WHITE = (250, 250, 246)
_WOOD = (112, 76, 50)


def render(scene: Scene) -> Image.Image:
    """Draw a scene: an RGB picture of `plan.SIZE` pixels in width and height."""
    rng = scene.random("drawing")
    painter = Painter(rng)
    paint_place(painter, scene.place, scene.light)
    light = LIGHTS[scene.light].objects
    brightness = rng.uniform(0.92, 1.06)
    painter.tone = (1, 1, 1)
    _shadows(painter, scene)
    for item in scene.items:
        red, green, blue = (channel * brightness for channel in light)
        painter.tone = red, green, blue
        _OBJECTS[item.object](painter, item.box, PAINT[item.colour], scene)
        if item.footing == "water":
            _waterline(painter, item, scene)
    return painter.finish(grain=rng.uniform(1.0, 2.5))


def _shadows(painter: Painter, scene: Scene) -> None:
    """Darken the ground below everything that rests on it."""
    spots = []
    for item in [item for item in scene.items if item.footing != "sky"]:
        (left, _, right, bottom), width = item.box, item.box[2] - item.box[0]
        share = {"tree": 0.36, "umbrella": 0.4, "ball": 0.36}.get(item.object, 0.52)
        spots.append(((left + right) / 2 + width * 0.05, bottom - 1, width * share, width * 0.055))
    if spots:
        painter.soft(spots, (20, 24, 40), 0.62, blur=3)


def _waterline(painter: Painter, item: Item, scene: Scene) -> None:
    """Draw ripples where a boat meets the water."""
    left, _, right, bottom = item.box
    ripple = (150, 164, 214) if scene.light == "night" else (232, 248, 248)
    for dy, inset in ((-1, 0.16), (1.5, 0.06), (4.5, 0.2)):
        cut = (right - left) * inset
        painter.line([(left + cut, bottom + dy), (right - cut, bottom + dy)], ripple, 1)


def _at(box: tuple[int, int, int, int], *points: Point) -> list[Point]:
    """Turn shares of the box's width and height into pixels."""
    left, top, right, bottom = box
    return [(left + x * (right - left), top + y * (bottom - top)) for x, y in points]


def _turned(painter: Painter, box: tuple[int, int, int, int]) -> Callable[..., list[Point]]:
    """Return `_at` for one object, of which every second one is mirrored."""
    flip = painter.rng.randrange(2)
    return lambda *points: _at(box, *((1 - x if flip else x, y) for x, y in points))


def _outlined(painter: Painter, points: list[Point], first: Colour, last: Colour, edge: Colour) -> None:
    painter.gradient(points, first, last)
    painter.line([*points, points[0]], edge, 1)


def _shaded(paint: Colour, share: float) -> Colour:
    return lighter(paint, share) if share > 0 else darker(paint, -share)


def _house(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    rng, place = painter.rng, _turned(painter, box)

    def shape(points: Sequence[Point], fill: Colour, outline: Colour | None = None) -> None:
        painter.polygon(place(*points), fill, outline)

    edge, roof = darker(paint, 0.45), rng.choice([(92, 70, 66), (84, 84, 94), (112, 84, 70)])
    glass = (255, 226, 140) if scene.light in ("night", "sunset") else (198, 224, 238)
    shape([(0.7, 0.02), (0.82, 0.02), (0.82, 0.3), (0.7, 0.3)], (150, 110, 96), (90, 64, 56))
    walls = [(0.07, 0.44), (0.93, 0.44), (0.93, 1), (0.07, 1)]
    painter.gradient(_at(box, *walls), lighter(paint, 0.12), darker(paint, 0.14))
    shape([(0.14, 0.45), (0.5, 0.12), (0.86, 0.45)], paint)
    shape([(0, 0.46), (0.5, 0), (1, 0.46), (0.93, 0.53), (0.5, 0.12), (0.07, 0.53)], roof, darker(roof, 0.4))
    shape([(0.6, 0.58), (0.78, 0.58), (0.78, 1), (0.6, 1)], _WOOD, darker(_WOOD, 0.4))
    for x in (0.15, 0.38):
        shape([(x, 0.6), (x + 0.16, 0.6), (x + 0.16, 0.78), (x, 0.78)], glass, _WHITE)
        shape([(x + 0.07, 0.6), (x + 0.09, 0.6), (x + 0.09, 0.78), (x + 0.07, 0.78)], _WHITE)
    (middle,) = _at(box, (0.5, 0.34))
    radius = (box[2] - box[0]) * 0.055
    painter.ellipse(*middle, radius, radius, glass, _WHITE)
    painter.line(_at(box, (0.07, 0.5), (0.07, 0.995), (0.93, 0.995), (0.93, 0.5)), edge, 1)


def _tree(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    rng = painter.rng
    width = box[2] - box[0]
    trunk = [(0.42, 1), (0.46, 0.55), (0.54, 0.55), (0.58, 1)]
    painter.polygon(_at(box, *trunk), _WOOD, darker(_WOOD, 0.35))
    painter.line(_at(box, (0.5, 0.72), (0.66, 0.56)), _WOOD, 3)
    puffs = [(0.22, 0.5), (0.5, 0.56), (0.78, 0.5), (0.25, 0.32), (0.75, 0.32), (0.5, 0.2), (0.5, 0.4)]
    puffs = [(x + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.02, 0.01)) for x, y in puffs]
    for x, y in _at(box, *puffs):
        painter.ellipse(x, y, width * 0.2, width * 0.19, darker(paint, 0.45))
    for x, y in _at(box, *puffs):
        painter.ellipse(x, y, width * 0.19, width * 0.18, darker(paint, 0.12))
    for x, y in _at(box, *puffs):
        painter.ellipse(x - width * 0.03, y - width * 0.04, width * 0.13, width * 0.12, paint)
    for _ in range(26):
        x, y = rng.choice(_at(box, *puffs))
        x, y = x + rng.uniform(-0.13, 0.1) * width, y + rng.uniform(-0.14, 0.08) * width
        leaf = rng.choice([lighter(paint, 0.3), lighter(paint, 0.16), darker(paint, 0.2)])
        painter.ellipse(x, y, 2, 1.4, leaf)


def _car(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    place = _turned(painter, box)
    edge, glass = darker(paint, 0.5), (186, 214, 230)
    cabin = [(0.2, 0.42), (0.31, 0.08), (0.36, 0.02), (0.64, 0.02), (0.69, 0.06), (0.82, 0.42)]
    painter.polygon(place(*cabin), paint, edge)
    painter.polygon(place((0.26, 0.4), (0.34, 0.12), (0.49, 0.12), (0.49, 0.4)), glass, edge)
    painter.polygon(place((0.53, 0.4), (0.53, 0.12), (0.64, 0.12), (0.75, 0.4)), glass, edge)
    body = [(0.02, 0.5), (0.06, 0.42), (0.82, 0.4), (0.95, 0.46), (0.99, 0.56), (0.99, 0.8), (0.02, 0.8)]
    _outlined(painter, place(*body), lighter(paint, 0.12), darker(paint, 0.2), edge)
    painter.line(place((0.51, 0.42), (0.51, 0.76)), edge, 1)
    painter.line(place((0.04, 0.6), (0.97, 0.6)), lighter(paint, 0.4), 1)
    painter.polygon(place((0.94, 0.5), (0.985, 0.54), (0.985, 0.64), (0.94, 0.62)), (255, 250, 210), edge)
    painter.polygon(place((0.02, 0.52), (0.06, 0.52), (0.06, 0.64), (0.02, 0.64)), (150, 30, 30), edge)
    radius = (box[3] - box[1]) * 0.22
    for x, y in place((0.23, 0.78), (0.77, 0.78)):
        painter.ellipse(x, y, radius, radius, (34, 34, 38))
        painter.ellipse(x, y, radius * 0.52, radius * 0.52, (190, 194, 200))
        painter.ellipse(x, y, radius * 0.2, radius * 0.2, (90, 94, 100))


def _boat(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    place = _turned(painter, box)
    edge = darker(paint, 0.45)
    painter.line(place((0.48, 0.02), (0.48, 0.8)), _WOOD, 2)
    sail = [(0.52, 0.03), (0.62, 0.24), (0.75, 0.45), (0.9, 0.66), (0.52, 0.68)]
    _outlined(painter, place(*sail), lighter(paint, 0.16), paint, edge)
    painter.polygon(place((0.52, 0.34), (0.68, 0.34), (0.745, 0.44), (0.52, 0.44)), _WHITE)
    painter.polygon(place((0.44, 0.1), (0.44, 0.68), (0.12, 0.66), (0.3, 0.42)), _WHITE, (150, 150, 156))
    hull = [(0.0, 0.73), (1.0, 0.71), (0.93, 0.86), (0.84, 0.99), (0.16, 0.99), (0.06, 0.87)]
    _outlined(painter, place(*hull), paint, darker(paint, 0.25), edge)
    painter.line(place((0.02, 0.77), (0.97, 0.755)), _WHITE, 2)


def _balloon(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    left, top, right, bottom = box
    x, across, tall = (left + right) / 2, (right - left) / 2, (bottom - top) * 0.76

    def meridian(turn: float) -> list[Point]:
        steps = [i / 14 for i in range(15)]
        return [(x + turn * across * _bulge(s), top + tall * s) for s in steps]

    basket = across * 0.24
    for turn in (-0.24, 0.24):
        painter.line([(x + turn * across, top + tall * 0.96), (x + turn * across, bottom - 8)], (90, 70, 50), 1)
    painter.gradient(
        [(x - basket, bottom - 12), (x + basket, bottom - 12), (x + basket * 0.8, bottom), (x - basket * 0.8, bottom)],
        (176, 122, 70),
        (120, 80, 46),
    )
    turns = [math.sin(math.pi * (i / 7 - 0.5)) for i in range(8)]
    shades = [0.24, 0.05, 0.42, 0, 0.3, -0.1, -0.22]
    for first, last, share in zip(turns, turns[1:], shades, strict=False):
        painter.polygon([*meridian(first), *reversed(meridian(last))], _shaded(paint, share))
    painter.line([*meridian(-1), *reversed(meridian(1))], darker(paint, 0.4), 1)


def _bulge(down: float) -> float:
    """Return the half width of a hot air balloon: a sphere above, a cone below, in shares of the radius."""
    if down < 0.45:
        return math.sqrt(1 - (1 - down / 0.45) ** 2)
    fall = (down - 0.45) / 0.55
    return 1 - 0.76 * fall**1.7


def _kite(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    place = _turned(painter, box)
    top, right, bottom, left = (0.56, 0.0), (1.0, 0.26), (0.44, 0.66), (0.0, 0.2)
    cross = (0.53, 0.23)
    for corner, following, fill in (
        (top, right, lighter(paint, 0.22)),
        (right, bottom, darker(paint, 0.16)),
        (bottom, left, paint),
        (left, top, lighter(paint, 0.4)),
    ):
        painter.polygon(place(cross, corner, following), fill, darker(paint, 0.35))
    painter.line(place(top, right, bottom, left, top), darker(paint, 0.45), 1.4)
    tail = [(0.44 + 0.1 * math.sin(s * 2.4), 0.66 + 0.34 * s / 6) for s in [i / 4 for i in range(25)]]
    painter.line(place(*tail), (120, 110, 104), 1)
    for knot in (7, 13, 19, 23):
        x, y = tail[knot]
        for side in (-0.09, 0.09):
            bow = place((x, y), (x + side, y - 0.025), (x + side, y + 0.025))
            painter.polygon(bow, paint, darker(paint, 0.4))


def _ball(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    left, top, right, bottom = box
    x, y, radius = (left + right) / 2, (top + bottom) / 2, (right - left) / 2
    painter.ellipse(x, y, radius, radius, darker(paint, 0.5))
    painter.ball(x, y, radius - 1, paint)
    turn = painter.rng.uniform(0, 2 * math.pi)
    for k in range(5):
        angle = turn + 2 * math.pi * k / 5
        _star(painter, x + 0.58 * radius * math.cos(angle), y + 0.58 * radius * math.sin(angle), radius * 0.17)
    _star(painter, x, y, radius * 0.22)


def _star(painter: Painter, x: float, y: float, radius: float) -> None:
    spokes = [(radius if i % 2 else radius * 0.42, math.pi * (i / 5 + 0.3)) for i in range(10)]
    painter.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in spokes], _WHITE)


def _umbrella(painter: Painter, box: Box, paint: Colour, scene: Scene) -> None:
    left, top, right, bottom = box
    x, across = (left + right) / 2, (right - left) / 2
    tall = (bottom - top) * 0.5
    painter.line([(x, top + 4), (x, bottom)], (104, 84, 66), 2.6)

    def rib(turn: float) -> list[Point]:
        steps = [math.pi / 2 * i / 10 for i in range(11)]
        return [(x + turn * across * math.sin(s), top + 4 + tall * (1 - math.cos(s))) for s in steps]

    def hem(first: float, last: float) -> list[Point]:
        steps = [i / 6 for i in range(7)]
        return [(x + across * (first + (last - first) * s), top + 4 + tall - 6 * math.sin(math.pi * s)) for s in steps]

    turns = [math.sin(math.pi * (i / 6 - 0.5)) for i in range(7)]
    shades = [0.16, 0, 0.42, 0.06, 0.3, -0.2]
    for first, last, share in zip(turns, turns[1:], shades, strict=False):
        panel = [*rib(first), *hem(first, last), *reversed(rib(last))]
        painter.polygon(panel, _shaded(paint, share), darker(paint, 0.35))
    painter.ellipse(x, top + 3, 2, 3, (104, 84, 66))


_OBJECTS = {
    "house": _house,
    "tree": _tree,
    "car": _car,
    "boat": _boat,
    "balloon": _balloon,
    "kite": _kite,
    "ball": _ball,
    "umbrella": _umbrella,
}
