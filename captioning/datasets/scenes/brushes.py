"""Antialiased shapes, gradients, glows and shadows on a Pillow picture, in picture pixels."""

import math
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from captioning.datasets.scenes.plan import SIZE

Colour = tuple[float, float, float]
Point = tuple[float, float]

_FINE = 2  # everything is drawn this much larger, then reduced
_COARSE = 2  # soft things are drawn this much smaller, then enlarged


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from the first to the second."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def lighter(colour: Colour, share: float) -> Colour:
    """Mix a colour with white."""
    return mix(colour, (255, 255, 255), share)


def darker(colour: Colour, share: float) -> Colour:
    """Mix a colour with black."""
    return mix(colour, (0, 0, 0), share)


@cache
def _radial() -> Image.Image:
    """Return a mask that falls smoothly from 255 in the middle to 0 at the rim."""
    squared = np.linspace(-1, 1, 128) ** 2
    distance = np.sqrt(squared[:, None] + squared)
    return Image.fromarray((255 * np.clip(1 - distance, 0, 1) ** 2).astype(np.uint8))


class Painter:
    """A picture under way; coordinates are picture pixels from the top left corner, fractions allowed."""

    def __init__(self, rng: random.Random):
        """Start with a black picture; `rng` decides textures and details."""
        self.rng = rng
        self.tone: Colour = (1, 1, 1)  # every color is multiplied by it, channel by channel: the color of the light
        self._image = Image.new("RGB", (SIZE * _FINE, SIZE * _FINE))
        self._draw = ImageDraw.Draw(self._image)

    def _ink(self, colour: Colour | None) -> Any:
        return colour and tuple(max(0, min(255, round(c * t))) for c, t in zip(colour, self.tone, strict=True))

    def polygon(self, points: Sequence[Point], fill: Colour, outline: Colour | None = None) -> None:
        """Fill a polygon; an outline is one pixel wide."""
        fine = [(x * _FINE, y * _FINE) for x, y in points]
        self._draw.polygon(fine, self._ink(fill), self._ink(outline), _FINE)

    def line(self, points: Sequence[Point], fill: Colour, width: float = 1) -> None:
        """Draw a line through points."""
        fine = [(x * _FINE, y * _FINE) for x, y in points]
        self._draw.line(fine, self._ink(fill), max(1, round(width * _FINE)), "curve")

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """Fill a rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def ellipse(
        self, x: float, y: float, across: float, along: float, fill: Colour, outline: Colour | None = None
    ) -> None:
        """Fill an ellipse around (x, y) with two radii: horizontal and vertical."""
        box = [v * _FINE for v in (x - across, y - along, x + across, y + along)]
        self._draw.ellipse(box, self._ink(fill), self._ink(outline), _FINE)

    def band(self, top: float, bottom: float, first: Colour, last: Colour) -> None:
        """Fill the whole width between two heights with a vertical gradient."""
        self.gradient([(0, top), (SIZE, top), (SIZE, bottom), (0, bottom)], first, last)

    def gradient(self, points: Sequence[Point], first: Colour, last: Colour) -> None:
        """Fill a polygon with a gradient from its highest to its lowest point."""
        left, top, width, height = _bounds(points)
        mask = Image.new("L", (width, height))
        inner = [(x * _FINE - left, y * _FINE - top) for x, y in points]
        ImageDraw.Draw(mask).polygon(inner, 255)
        steps = np.linspace(self._ink(first), self._ink(last), height)
        column = Image.fromarray(np.round(steps).astype(np.uint8)[:, None])
        self._image.paste(column.resize((width, height), Image.Resampling.NEAREST), (left, top), mask)

    def ball(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a sphere lit from the upper left."""
        side = round(2 * radius * _FINE)
        across = np.linspace(-1, 1, side)
        lit = np.sqrt((across[:, None] + 0.35) ** 2 + (across + 0.3) ** 2)
        shades = np.array([lighter(colour, 0.45), colour, colour, darker(colour, 0.4)])
        channels = [np.interp(lit, [0, 0.35, 0.75, 1.6], shades[:, i] * self.tone[i]) for i in range(3)]
        sphere = Image.fromarray(np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8))
        mask = Image.new("L", (side, side))
        ImageDraw.Draw(mask).ellipse([0, 0, side - 1, side - 1], 255)
        self._image.paste(sphere, (round((x - radius) * _FINE), round((y - radius) * _FINE)), mask)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float = 1.0) -> None:
        """Lay a round light without an edge over the picture."""
        side = round(2 * radius * _FINE)
        mask = _radial().resize((side, side), Image.Resampling.BILINEAR).point(lambda v: v * strength)
        self._paste(colour, (round((x - radius) * _FINE), round((y - radius) * _FINE)), mask)

    def soft(self, ellipses: Sequence[tuple], colour: Colour, strength: float, blur: float = 3) -> None:
        """Lay blurred ellipses over the picture: shadows, clouds, spots of colour.

        Args:
            ellipses: (x, y, horizontal radius, vertical radius) of each, in pixels.
            colour: of all of them.
            strength: opacity in the middle, 0 to 1.
            blur: in pixels.
        """
        side = SIZE // _COARSE
        mask = Image.new("L", (side, side))
        draw = ImageDraw.Draw(mask)
        for x, y, across, along in ellipses:
            box = [v / _COARSE for v in (x - across, y - along, x + across, y + along)]
            draw.ellipse(box, round(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(blur / _COARSE))
        self._paste(colour, (0, 0), mask.resize(self._image.size, Image.Resampling.BILINEAR))

    def _paste(self, colour: Colour, corner: tuple[int, int], mask: Image.Image) -> None:
        right, bottom = corner[0] + mask.width, corner[1] + mask.height
        self._image.paste(self._ink(colour), (*corner, right, bottom), mask)

    def finish(self, grain: float) -> Image.Image:
        """Reduce the picture to its final size and add noise of the standard deviation `grain`, in steps of 255."""
        pixels = np.asarray(self._image.reduce(_FINE), np.float32)
        noise = np.random.Generator(np.random.PCG64(self.rng.getrandbits(32)))
        pixels = pixels + grain * noise.standard_normal((SIZE, SIZE, 1), np.float32)
        return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def _bounds(points: Sequence[Point]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a polygon in fine pixels, cut to the picture."""
    xs, ys = [x * _FINE for x, _ in points], [y * _FINE for _, y in points]
    left, top = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    right, bottom = min(SIZE * _FINE, math.ceil(max(xs))), min(SIZE * _FINE, math.ceil(max(ys)))
    return left, top, max(1, right - left), max(1, bottom - top)
