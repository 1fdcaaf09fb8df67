"""A frame to draw on: boxes with labels, bars, and a line at the bottom.

All of it is slices of an array, and letters that Pillow draws once each: that takes a fraction of a millisecond, looks
the same on every machine, knows more than ASCII, and needs no OpenCV.
"""

import colorsys
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.demos.frames import Pixels

Colour = tuple[int, int, int]

LEAST_SIDE = 240
"""Smaller frames are enlarged by a whole factor, so that labels can be read."""
MOST_SIDE = 1920
"""No frame is made larger than this."""
LEAST_LETTERS = 11
"""Height of the smallest font in pixels."""

_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)
_GROUND: Colour = (24, 24, 24)
_BAR: Colour = (29, 99, 200)
_DARK = 100
"""Colours of less brightness (0..255) take white letters."""
_GOLDEN = 0.618033988749895
"""Hues of successive classes lie this fraction of the circle apart, so that neighbours differ most."""
_PADDING = 3


class Canvas:
    """A copy of a frame in ``pixels`` (height, width, 3) uint8 RGB, enlarged where it is small."""

    def __init__(self, frame: Pixels) -> None:
        self.pixels = enlarged(frame)
        height, width = self.pixels.shape[:2]
        self._height, self._width = height, width
        self._letters = max(LEAST_LETTERS, min(height, width) // 32)

    def box(self, box: Sequence[float], text: str, colour: Colour) -> None:
        """A frame around ``box`` (left, top, right, bottom in fractions), ``text`` on a filled label above or in it."""
        sides = (self._width, self._height, self._width, self._height)
        left, top, right, bottom = (round(value * side) for value, side in zip(box, sides, strict=True))
        thick = max(2, self._letters // 6)
        for edge in (
            (left, top, right, top + thick),
            (left, bottom - thick, right, bottom),
            (left, top, left + thick, bottom),
            (right - thick, top, right, bottom),
        ):
            self._fill(*edge, colour)
        label = tile(text, self._letters, _ink(colour), colour)
        high, wide = label.shape[:2]
        self._paste(label, max(0, min(left, self._width - wide)), top - high if top >= high else top)

    def bars(self, rows: Sequence[tuple[float, str]]) -> None:
        """From the upper left corner down a bar for each (fraction, text), long by the fraction of half the width."""
        letters = max(self._letters, min(self._height, self._width) // 24)
        wide = self._width // 2
        y = 0
        for fraction, text in rows:
            opacity = mask(text, letters)
            ground = np.empty((len(opacity), wide, 3), np.uint8)
            ground[:, : round(wide * fraction)] = _BAR
            ground[:, round(wide * fraction) :] = _GROUND
            long = min(wide, opacity.shape[1])
            ground[:, :long] = _inked(opacity[:, :long], _WHITE, ground[:, :long])
            self._paste(ground, 0, y)
            y += len(ground)

    def note(self, *parts: str) -> None:
        """``parts`` in a line in the lower left corner, or in as many lines as they need."""
        lines = [parts[0]]
        for part in parts[1:]:
            longer = f"{lines[-1]} | {part}"
            fits = mask(longer, self._letters).shape[1] <= self._width
            lines[-1:] = [longer] if fits else [lines[-1], part]
        bottom = self._height
        for line in reversed(lines):
            label = tile(line, self._letters, _WHITE, _GROUND)
            bottom -= len(label)
            self._paste(label, 0, bottom)

    def _fill(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        self.pixels[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = colour

    def _paste(self, image: Pixels, left: int, top: int) -> None:
        left, top = max(0, left), max(0, top)
        place = self.pixels[top : top + image.shape[0], left : left + image.shape[1]]
        place[:] = image[: place.shape[0], : place.shape[1]]


def enlarged(frame: Pixels) -> Pixels:
    """A copy of ``frame`` (height, width, 1 or 3) in RGB, by a whole factor larger where a side is small.

    >>> enlarged(np.zeros((30, 40, 1), np.uint8)).shape
    (240, 320, 3)
    >>> enlarged(np.zeros((8, 2000, 3), np.uint8)).shape
    (8, 2000, 3)
    """
    factor = max(1, min(-(-LEAST_SIDE // min(frame.shape[:2])), MOST_SIDE // max(frame.shape[:2])))
    if factor > 1:
        frame = frame.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else np.array(frame)


def class_colour(class_id: int) -> Colour:
    """A bright colour, always the same for a class and far from those of its neighbours."""
    red, green, blue = colorsys.hsv_to_rgb(class_id * _GOLDEN % 1.0, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


@functools.lru_cache(maxsize=256)
def tile(text: str, letters: int, ink: Colour, ground: Colour) -> Pixels:
    """``text`` in ``ink`` on ``ground``, (height, width, 3)."""
    opacity = mask(text, letters)
    return _inked(opacity, ink, np.broadcast_to(np.array(ground, np.uint8), (*opacity.shape, 3)))


def mask(text: str, letters: int) -> Pixels:
    """How much of each pixel letters of this height cover, (height, width) in 0..255, with some room around them."""
    text = " ".join(text.split())  # in one line, whatever a file's labels hold
    side = np.zeros((len(_letter(" ", letters)), _PADDING), np.uint8)
    return np.concatenate([side, *(_letter(letter, letters) for letter in text), side], axis=1)


@functools.lru_cache(maxsize=1024)
def _letter(letter: str, letters: int) -> Pixels:
    """One letter as `mask` has it: scores change with every frame, and their digits come again."""
    from PIL import Image, ImageDraw

    font = _font(letters)
    ascent, descent = font.getmetrics()
    image = Image.new("L", (max(1, math.ceil(font.getlength(letter))), ascent + descent + 2))
    ImageDraw.Draw(image).text((0, 1), letter, font=font, fill=255)
    return np.asarray(image)


@functools.lru_cache(maxsize=16)
def _font(letters: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(letters)


def _inked(opacity: Pixels, ink: Colour, ground: Pixels) -> Pixels:
    part = opacity[..., None].astype(np.uint16)
    return ((np.array(ink, np.uint16) * part + ground * (255 - part)) // 255).astype(np.uint8)


def _ink(ground: Colour) -> Colour:
    """The letters that can be read on ``ground``; brightness as Rec. 601 weighs the colours."""
    red, green, blue = ground
    return _WHITE if 0.299 * red + 0.587 * green + 0.114 * blue < _DARK else _BLACK
