"""The light of a scene and the sky that it comes from, drawn with Pillow."""

from dataclasses import dataclass

from captioning.datasets.scenes.brushes import Colour, Painter
from captioning.datasets.scenes.plan import SIZE


@dataclass(frozen=True)
class Light:
    """The colours of the sky at its top and at the horizon, and of the light on the place and on objects."""

    high: Colour
    low: Colour
    place: Colour
    objects: Colour


LIGHTS = {
    "sunny": Light((92, 168, 232), (212, 236, 246), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "cloudy": Light((150, 168, 188), (218, 225, 231), (0.88, 0.91, 0.94), (0.95, 0.96, 0.98)),
    "sunset": Light((96, 84, 150), (255, 186, 120), (1.0, 0.84, 0.76), (1.0, 0.94, 0.9)),
    "night": Light((10, 14, 44), (62, 72, 128), (1.0, 1.0, 1.0), (1.0, 1.0, 1.04)),
}


def paint_sky(painter: Painter, light: str) -> float:
    """Fill the picture with sky, clouds or stars, sun or moon; return the column of these in pixels."""
    rng, sky = painter.rng, LIGHTS[light]
    painter.band(0, 136, sky.high, sky.low)
    painter.band(136, SIZE, sky.low, sky.low)
    if light == "night":
        return _stars_and_moon(painter)
    x = rng.uniform(20, 236)
    if light == "sunny":
        y = rng.uniform(18, 60)
        painter.glow(x, y, 70, (255, 250, 215), 0.8)
        painter.ellipse(x, y, 12, 12, (255, 250, 222))
    elif light == "sunset":
        y = rng.uniform(84, 100)
        painter.glow(x, y, 120, (255, 214, 130), 0.9)
        painter.ellipse(x, y, 15, 15, (255, 240, 190))
    _clouds(painter, light)
    return x


def _clouds(painter: Painter, light: str) -> None:
    rng = painter.rng
    colour = {"sunny": (255, 255, 255), "cloudy": (240, 243, 246), "sunset": (255, 176, 150)}[light]
    puffs = []
    for _ in range(rng.randint(5, 8) if light == "cloudy" else rng.randint(1, 4)):
        x, y, size = rng.uniform(0, SIZE), rng.uniform(10, 78), rng.uniform(7, 14)
        for _ in range(rng.randint(4, 6)):
            puffs.append((x, y + rng.uniform(-0.4, 0.3) * size, size * rng.uniform(1, 1.7), size * 0.6))
            x += size * rng.uniform(0.7, 1.1)
    painter.soft(puffs, colour, 0.85, blur=4)


def _stars_and_moon(painter: Painter) -> float:
    rng = painter.rng
    for _ in range(70):
        radius = rng.choice((0.5, 0.5, 0.8, 1.1))
        painter.ellipse(rng.uniform(0, SIZE), rng.uniform(0, 120), radius, radius, (214, 222, 255))
    x, y = rng.uniform(24, 232), rng.uniform(20, 56)
    painter.glow(x, y, 62, (170, 184, 240), 0.7)
    painter.ellipse(x, y, 14, 14, (240, 240, 224))
    for dx, dy, radius in ((-4, -3, 3), (5, 2, 2.4), (-1, 6, 2)):
        painter.ellipse(x + dx, y + dy, radius, radius, (220, 221, 208))
    return x
