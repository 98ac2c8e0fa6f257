"""The six places that scenes are set in, drawn with Pillow."""

import math
from random import Random

from captioning.datasets.scenes.brushes import Colour, Painter, Point, darker, lighter, mix
from captioning.datasets.scenes.plan import SIZE
from captioning.datasets.scenes.sky import LIGHTS, paint_sky


def paint_place(painter: Painter, place: str, light: str) -> None:
    """Fill the whole picture with a place, one of `plan.PLACES`, in a light, one of `LIGHTS`."""
    sun = paint_sky(painter, light)
    painter.tone = LIGHTS[light].place
    {
        "beach": _beach,
        "meadow": _meadow,
        "street": _street,
        "mountain": _mountain,
        "desert": _desert,
        "lake": _lake,
    }[place](painter, light, sun)


def _ridge(rng: Random, base: float, height: float, waves: float) -> list[Point]:
    """Return the upper edge of hills, from the left to the right border: a sum of three sines."""
    phases = [rng.uniform(0, 2 * math.pi) for _ in range(3)]

    def y(x: float) -> float:
        turn = 2 * math.pi * waves * x / SIZE
        return base - height * (
            0.6 * math.sin(turn + phases[0])
            + 0.28 * math.sin(2.1 * turn + phases[1])
            + 0.12 * math.sin(4.7 * turn + phases[2])
        )

    return [(x, y(x)) for x in range(0, SIZE + 8, 8)]


def _ground(edge: list[Point]) -> list[Point]:
    """Close an upper edge to a polygon that reaches the lower border."""
    return [*edge, (SIZE, SIZE), (0, SIZE)]


def _beach(painter: Painter, light: str, sun: float) -> None:
    """Paint the sea with waves, foam and a sandy shore."""
    rng = painter.rng
    horizon = rng.uniform(104, 116)
    painter.band(horizon, 190, (36, 118, 158), (122, 212, 212))
    painter.line([(0, horizon), (SIZE, horizon)], (206, 228, 232), 0.8)
    for _ in range(34):
        y = rng.uniform(horizon + 5, 174)
        length = (y - horizon) * rng.uniform(0.3, 0.7) + 4
        x = rng.uniform(-10, SIZE)
        crest = [(x, y), (x + length / 2, y - 1.2), (x + length, y)]
        painter.line(crest, rng.choice([(190, 232, 236), (66, 152, 180)]), 0.9)
    shore = _ridge(rng, rng.uniform(180, 186), 6, 1)
    painter.polygon(_ground([(x, y - 4) for x, y in shore]), (170, 226, 220))
    painter.polygon(_ground([(x, y - 2) for x, y in shore]), (250, 253, 252))
    painter.polygon(_ground([(x, y + 2) for x, y in shore]), (205, 176, 128))
    painter.gradient(_ground([(x, y + 7) for x, y in shore]), (243, 224, 178), (222, 190, 136))
    for _ in range(60):
        x, y = rng.uniform(0, SIZE), rng.uniform(202, SIZE)
        painter.ellipse(x, y, 0.9, 0.6, rng.choice([(196, 164, 112), (250, 240, 214)]))
    for _ in range(rng.randint(2, 4)):
        _starfish(painter, rng.uniform(8, 248), rng.uniform(206, 252))
    for _ in range(rng.randint(0, 4)):
        x, y = rng.uniform(10, 240), rng.uniform(20, 90)
        painter.line([(x, y), (x + 4, y - 3), (x + 7, y), (x + 10, y - 3), (x + 14, y)], (90, 100, 112), 1)


def _starfish(painter: Painter, x: float, y: float) -> None:
    turn = painter.rng.uniform(0, 6)
    points = []
    for tip in range(10):
        angle, reach = turn + tip * math.pi / 5, 4.2 if tip % 2 else 1.7
        points.append((x + reach * math.cos(angle), y + 0.7 * reach * math.sin(angle)))
    painter.polygon(points, painter.rng.choice([(232, 150, 110), (246, 238, 226), (214, 170, 150)]))


def _meadow(painter: Painter, light: str, sun: float) -> None:
    """Paint rolling hills, grass and flowers."""
    rng = painter.rng
    base = rng.uniform(112, 126)
    painter.gradient(_ground(_ridge(rng, base, 16, 1.3)), (148, 186, 176), (150, 190, 150))
    painter.gradient(_ground(_ridge(rng, base + 16, 11, 1)), (142, 186, 108), (160, 200, 110))
    grass = _ground(_ridge(rng, base + 40, 7, 0.8))
    painter.gradient(grass, (182, 214, 108), (130, 176, 66))
    for _ in range(5):
        x, y = rng.uniform(0, SIZE), rng.uniform(base + 14, base + 22)
        painter.soft([(x, y, rng.uniform(7, 16), 4)], (84, 130, 84), 0.8, blur=2)
    for _ in range(130):
        x, y = rng.uniform(0, SIZE), rng.uniform(base + 52, SIZE)
        height = (y - base) * 0.05 + 1
        blade = rng.choice([(150, 192, 80), (110, 158, 58), (196, 224, 120)])
        painter.line([(x, y), (x + rng.uniform(-2, 2), y - height)], blade, 0.9)
    for _ in range(rng.randint(20, 60)):
        x, y = rng.uniform(0, SIZE), rng.uniform(base + 52, SIZE)
        radius = 0.7 + (y - base) * 0.010
        petal = rng.choice([(255, 255, 255), (255, 236, 240), (255, 214, 226)])
        painter.ellipse(x, y, radius, radius * 0.9, petal)
        painter.ellipse(x, y, radius * 0.4, radius * 0.4, (236, 196, 90))


def _street(painter: Painter, light: str, sun: float) -> None:
    """Paint a row of houses with windows, a pavement and a road."""
    rng = painter.rng
    walls = [(196, 184, 172), (178, 168, 164), (206, 198, 186), (164, 170, 178), (188, 172, 158)]
    left = rng.uniform(-24, 0)
    while left < SIZE:
        width, top = rng.uniform(42, 68), rng.uniform(36, 92)
        _facade(painter, left, top, width, rng.choice(walls), light)
        left += width
    painter.band(168, 204, (196, 197, 200), (214, 214, 215))
    for x in range(-60, 320, 26):
        painter.line([(x + (128 - x) * 0.12, 168), (x, 204)], (184, 185, 188), 0.8)
    painter.rectangle(0, 204, SIZE, 208, (158, 159, 162))
    painter.band(208, SIZE, (84, 86, 92), (98, 100, 106))
    shift = rng.uniform(0, 40)
    for number in range(-60, 300, 44):
        dash = number + shift
        painter.polygon([(dash, 231), (dash + 22, 231), (dash + 21, 235), (dash - 2, 235)], (226, 226, 220))
    for lamp in (rng.uniform(6, 110), rng.uniform(146, 250)):
        painter.line([(lamp, 172), (lamp, 98), (lamp + 9, 93)], (70, 74, 82), 2)
        painter.ellipse(lamp + 11, 94, 5, 2.4, (250, 240, 200))


def _facade(painter: Painter, left: float, top: float, width: float, wall: Colour, light: str) -> None:
    """Paint one house of the row, down to the pavement at y = 168."""
    rng = painter.rng
    right = left + width
    painter.gradient([(left, top), (right, top), (right, 168), (left, 168)], lighter(wall, 0.12), darker(wall, 0.1))
    painter.rectangle(left - 1, top - 4, right + 1, top + 1, darker(wall, 0.35))
    columns = max(2, round(width / 17))
    step = width / columns
    for row in range(int((150 - top) / 21)):
        for column in range(columns):
            x, y = left + (column + 0.25) * step, top + 9 + row * 21
            lit = light == "sunset" and rng.random() < 0.5
            glass = (255, 224, 150) if lit else rng.choice([(120, 146, 166), (142, 168, 186), (104, 126, 146)])
            painter.rectangle(x - 1, y - 1, x + step / 2 + 1, y + 12, lighter(wall, 0.5))
            painter.rectangle(x, y, x + step / 2, y + 11, glass)
    door = left + step * (rng.randrange(columns) + 0.2)
    painter.rectangle(door, 148, door + 11, 168, (92, 78, 70))
    painter.line([(right, top), (right, 168)], darker(wall, 0.3), 1)


def _mountain(painter: Painter, light: str, sun: float) -> None:
    """Paint snowy peaks, small dark firs and a field of snow."""
    rng = painter.rng
    for count, base, heights, rock in ((4, 150, (62, 92), (150, 166, 190)), (3, 164, (84, 124), (104, 116, 138))):
        for i in range(count):
            x = (i + rng.uniform(0.2, 0.8)) * SIZE / count
            _peak(painter, x, base, rng.uniform(*heights), rock)
    edge = _ridge(rng, 164, 6, 1)
    for x, y in edge:
        for _ in range(2):
            height = rng.uniform(7, 15)
            foot = x + rng.uniform(-4, 4)
            fir = [(foot - height * 0.27, y + 3), (foot, y - height), (foot + height * 0.27, y + 3)]
            painter.polygon(fir, rng.choice([(52, 78, 84), (64, 92, 96), (44, 68, 76)]))
    painter.gradient(_ground(edge), (250, 252, 255), (214, 226, 242))
    for _ in range(5):
        drift = (rng.uniform(0, SIZE), rng.uniform(184, 250), rng.uniform(30, 70), rng.uniform(3, 6))
        painter.soft([drift], (190, 208, 232), 0.7, blur=5)
    if light == "cloudy":
        for _ in range(90):
            radius = rng.uniform(0.6, 1.5)
            painter.ellipse(rng.uniform(0, SIZE), rng.uniform(0, SIZE), radius, radius, (255, 255, 255))


def _peak(painter: Painter, x: float, base: float, height: float, rock: Colour) -> None:
    """Paint one mountain with a shadow side and a cap of snow."""
    rng = painter.rng
    half, top = height * rng.uniform(0.75, 1.0), base - height
    foot = x + rng.uniform(-0.1, 0.2) * half
    painter.gradient([(x - half, base), (x, top), (x + half, base)], rock, lighter(rock, 0.35))
    painter.gradient([(foot, base), (x, top), (x + half, base)], darker(rock, 0.22), lighter(rock, 0.12))
    snow = rng.uniform(0.36, 0.5)

    def at(across: float, down: float) -> Point:
        return (x + across * half * down, top + down * height)

    lit = [at(0, 0), at(-1, snow), at(-0.66, snow * 0.86), at(-0.4, snow * 1.1), at(-0.1, snow * 0.8)]
    shaded = [at(0, 0), at(-0.1, snow * 0.8), at(0.3, snow * 1.08), at(0.62, snow * 0.84), at(1, snow)]
    painter.polygon(lit, (252, 253, 255))
    painter.polygon(shaded, (212, 224, 242))


def _desert(painter: Painter, light: str, sun: float) -> None:
    """Paint table mountains, dunes with a dark side, ripples, stones and small cacti."""
    rng = painter.rng
    painter.glow(128, 140, 150, (255, 226, 170), 0.6)
    for _ in range(rng.randint(1, 3)):
        x, width, top = rng.uniform(0, 230), rng.uniform(30, 60), rng.uniform(100, 118)
        mesa = [(x, 150), (x + 6, top + 3), (x + 10, top), (x + width - 9, top), (x + width, 150)]
        painter.gradient(mesa, (186, 118, 88), (214, 154, 112))
    for base, height, bright, shadow in (
        (146, 8, (240, 196, 132), (226, 176, 112)),
        (166, 10, (236, 182, 112), (220, 160, 94)),
        (188, 7, (242, 190, 118), (206, 144, 80)),
    ):
        edge = _ridge(rng, base, height, rng.uniform(0.8, 1.3))
        painter.gradient(_ground(edge), bright, shadow)
        painter.line(edge, lighter(bright, 0.3), 0.8)
        peak = min(edge[4:-4], key=lambda point: point[1])
        slope = [peak, (peak[0] + 58, peak[1] + 16), (peak[0] + 16, peak[1] + 18)]
        painter.polygon(slope, mix(bright, darker(shadow, 0.15), 0.6))
    for _ in range(26):
        x, y, length = rng.uniform(-10, SIZE), rng.uniform(200, 254), rng.uniform(14, 40)
        ripple = [(x, y), (x + length * 0.3, y - 1.5), (x + length * 0.7, y + 1), (x + length, y)]
        painter.line(ripple, rng.choice([(206, 146, 84), (250, 210, 144)]), 0.8)
    for _ in range(rng.randint(2, 4)):
        _cactus(painter, rng.uniform(8, 248), rng.uniform(160, 178), rng.uniform(8, 14))
    for _ in range(rng.randint(3, 7)):
        x, y, radius = rng.uniform(0, SIZE), rng.uniform(196, 252), rng.uniform(1.5, 3.5)
        painter.ellipse(x, y, radius * 1.3, radius * 0.8, (156, 116, 86))
        painter.ellipse(x - 0.5, y - 0.6, radius, radius * 0.45, (184, 142, 108))


def _cactus(painter: Painter, x: float, y: float, height: float) -> None:
    colour = (98, 116, 78)
    painter.line([(x, y), (x, y - height)], colour, 2.4)
    arm = y - height * 0.45
    painter.line([(x, arm), (x - 4, arm), (x - 4, arm - height * 0.3)], colour, 1.7)
    painter.line([(x, arm - 1), (x + 4, arm - 1), (x + 4, arm - 1 - height * 0.35)], colour, 1.7)


def _lake(painter: Painter, light: str, sun: float) -> None:
    """Paint dark hills and firs, the moon in the water and a shore with reeds."""
    rng = painter.rng
    painter.polygon(_ground(_ridge(rng, 116, 20, 1.2)), (44, 52, 98))
    painter.polygon(_ground(_ridge(rng, 128, 9, 1)), (30, 38, 76))
    for place in range(-4, SIZE + 8, 6):
        foot, height = place + rng.uniform(-3, 3), rng.uniform(6, 20)
        fir = [(foot - height * 0.26, 142), (foot, 140 - height), (foot + height * 0.26, 142)]
        painter.polygon(fir, rng.choice([(18, 26, 54), (24, 32, 62)]))
    painter.band(140, 214, (58, 70, 126), (26, 34, 78))
    for _ in range(46):
        y = rng.uniform(142, 204)
        x, length = rng.uniform(-10, SIZE), (y - 132) * rng.uniform(0.15, 0.5)
        painter.line([(x, y), (x + length, y)], rng.choice([(84, 98, 158), (36, 46, 96)]), 0.8)
    for _ in range(34):
        y = rng.uniform(141, 202)
        x, length = sun + rng.uniform(-1, 1) * (y - 130) * 0.2, rng.uniform(4, 12)
        painter.line([(x - length, y), (x + length, y)], (206, 210, 220), 1)
    shore = _ridge(rng, 206, 5, 1)
    painter.gradient(_ground(shore), (44, 64, 74), (22, 36, 48))
    for _ in range(110):
        x, y = rng.uniform(0, SIZE), rng.uniform(210, SIZE)
        blade = rng.choice([(60, 86, 88), (30, 50, 58), (76, 104, 102)])
        painter.line([(x, y), (x + rng.uniform(-2, 2), y - rng.uniform(3, 7))], blade, 0.9)
    for _ in range(rng.randint(4, 9)):
        x, height = rng.choice((rng.uniform(0, 50), rng.uniform(206, 256))), rng.uniform(16, 32)
        painter.line([(x, 216), (x + rng.uniform(-3, 3), 216 - height)], (20, 32, 42), 1.1)
