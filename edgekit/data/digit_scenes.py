"""Scenes of handwritten digits with exact boxes, drawn from the digits of another data set.

Every scene is a function of the data set's part and its index, so that it is the same everywhere and takes no room.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Boxes, Dataset, Part
from edgekit.errors import need

Array = npt.NDArray[np.float32]
Random = np.random.Generator

SIDE = 160
"""Scenes are square, of so many pixels."""
TRAIN_COUNT, EVALUATION_COUNT = 5000, 500
MOST_DIGITS = 8
SMALLEST, LARGEST = 0.18, 0.55
"""Heights of digits in fractions of the side, drawn evenly on a logarithmic scale."""

_GLYPH_SIDE = 64
_INK = 0.5
"""A pixel belongs to the digit where so much of the digit's ink covers it, which is where its box ends."""
_CONTRAST = 70.0
"""Least difference of gray levels between the ink and the mean of what is behind it."""
_CROWDED = 0.9
"""Several digits are at most so high together: their number's root times the height of each."""
_TRIES = 50
"""Places that are tried for a digit before it is left out: digits do not touch each other."""


def scenes_of(digits: Dataset, part: Part, *, name: str) -> Dataset:
    """Scenes (160, 160, 3) uint8 RGB of one to eight of ``digits``, whose ``part`` it is; classes are the digits'.

    Backgrounds are paper, boards, gradients and crops of scikit-learn's two photos, of which training scenes see the
    left half and the others the right one.
    """
    assert digits.labels is not None  # noqa: S101 - sets of digits have labels
    drawn = _Drawn(digits=digits, held_out=part is Part.EVALUATION)
    return Dataset(name=name, items=_Pictures(drawn), boxes=_BoxesOf(drawn), class_names=digits.class_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    digits: Dataset
    held_out: bool
    known: dict[int, Boxes] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return EVALUATION_COUNT if self.held_out else TRAIN_COUNT

    def scene(self, index: int) -> tuple[npt.NDArray[np.uint8], Boxes]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        pixels, boxes = _scene(np.random.default_rng([self.held_out, index]), self.digits, held_out=self.held_out)
        self.known[index] = boxes
        return pixels, boxes


@dataclass(frozen=True, slots=True)
class _Pictures:
    drawn: _Drawn

    def __len__(self) -> int:
        return self.drawn.count

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        return self.drawn.scene(index)[0]


@dataclass(frozen=True, slots=True)
class _BoxesOf(Sequence[Boxes]):
    drawn: _Drawn

    def __len__(self) -> int:
        return self.drawn.count

    def __getitem__(self, index: int, /) -> Boxes:  # type: ignore[override]  # no slices
        return self.drawn.known.get(index) or self.drawn.scene(index)[1]


def _scene(random: Random, digits: Dataset, *, held_out: bool) -> tuple[npt.NDArray[np.uint8], Boxes]:
    from PIL import Image, ImageFilter

    canvas = _background(random, held_out=held_out)
    taken: list[tuple[int, int, int, int]] = []
    classes: list[int] = []
    tilt = random.normal(0, 0.08, 2)  # all digits of a scene lie on one sheet
    count = random.integers(1, MOST_DIGITS + 1)
    highest = min(LARGEST, _CROWDED / math.sqrt(count))
    heights = SIDE * SMALLEST * (highest / SMALLEST) ** random.random(count)
    for height in sorted(heights, reverse=True):  # the small ones fit between the large ones
        chosen = int(random.integers(len(digits)))
        ink = _drawn_glyph(_glyph(digits, chosen), height, tilt, random)
        place = _free_place(ink, taken, random)
        if place is None:
            continue
        _write(canvas, ink, place, random)
        rows, columns = np.nonzero(ink >= _INK)
        top, left = place
        taken.append(
            (
                left + int(columns.min()),
                top + int(rows.min()),
                left + int(columns.max()) + 1,
                top + int(rows.max()) + 1,
            )
        )
        assert digits.labels is not None  # noqa: S101
        classes.append(int(digits.labels[chosen]))
    picture = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.0))), np.float32)
    noisy = blurred + random.normal(0, random.uniform(0, 8), blurred.shape)
    boxes = Boxes(
        image_hw=(SIDE, SIDE),
        corners=(np.array(taken) / SIDE).astype(np.float32),
        classes=np.asarray(classes, np.int64),
        crowd=np.zeros(len(classes), bool),
    )
    return np.clip(noisy, 0, 255).astype(np.uint8), boxes


def _background(random: Random, *, held_out: bool) -> Array:
    """(side, side, 3) float32 in 0..255: paper, a board, a gradient or a crop of a photo."""
    kind = random.integers(4)
    if kind == 3:
        return _photo_crop(random, held_out=held_out)
    low, high = ((170, 255), (0, 90), (0, 255))[kind]  # paper, board, anything
    first, second = random.uniform(low, high, (2, 3))
    if kind < 2:  # of one colour, under uneven light
        second = first * random.uniform(0.75, 1)
    angle = random.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) - 0.5
    along = (x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2) + 0.5
    return np.asarray(first + along[..., None] * (second - first), np.float32)


def _photo_crop(random: Random, *, held_out: bool) -> Array:
    from PIL import Image

    photo = _photos()[random.integers(2)]
    middle = photo.shape[1] // 2
    half = photo[:, middle:] if held_out else photo[:, :middle]
    side = int(random.integers(64, min(half.shape[:2]) + 1))
    top, left = (int(random.integers(n - side + 1)) for n in half.shape[:2])
    crop = Image.fromarray(half[top : top + side, left : left + side])
    return np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)


@functools.cache
def _photos() -> tuple[npt.NDArray[np.uint8], ...]:
    need("sklearn", extra="train")
    from sklearn.datasets import load_sample_image

    return tuple(np.asarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg"))


def _glyph(digits: Dataset, index: int) -> Array:
    """The ink of a digit, (height, width) float32 in 0..1 with smooth edges, cut to what is written."""
    from PIL import Image

    item = digits.items[index]
    assert isinstance(item, np.ndarray)  # noqa: S101 - digits are images
    picture = np.pad(item[..., 0] if item.ndim == 3 else item, 1)
    large = Image.fromarray(picture).resize((_GLYPH_SIDE, _GLYPH_SIDE), Image.Resampling.BICUBIC)
    ink: Array = np.clip((np.asarray(large, np.float32) / 255 - 0.35) * 4, 0, 1).astype(np.float32)
    rows, columns = np.nonzero(ink > 0)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _drawn_glyph(glyph: Array, height: float, tilt: npt.NDArray[np.float64], random: Random) -> Array:
    """``glyph`` of ``height`` pixels, turned a little, seen at the angle ``tilt``: (height, width) float32 in 0..1."""
    from PIL import Image

    width = height * glyph.shape[1] / glyph.shape[0] * random.uniform(0.8, 1.25)
    angle = random.normal(0, 0.12)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([width, height]) / 2
    turned = corners @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    seen = turned / (1 + (turned / height) @ tilt)[:, None]
    seen -= seen.min(axis=0)
    out_w, out_h = (math.ceil(v) + 1 for v in seen.max(axis=0))
    source = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array([glyph.shape[1], glyph.shape[0]])
    shrink = max(1, round(glyph.shape[0] / height))  # each pixel is a mean of what falls on it
    coefficients = _homography(seen * shrink, source)
    drawn = Image.fromarray(glyph).transform(
        (out_w * shrink, out_h * shrink), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    return np.asarray(drawn.reduce(shrink), np.float32)


def _homography(source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """The eight numbers by which Pillow finds, for a place in the picture that is made, the place in the one it has."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(wanted)).tolist())


def _free_place(ink: Array, taken: Sequence[tuple[int, int, int, int]], random: Random) -> tuple[int, int] | None:
    """Top and left of a place for ``ink`` inside the scene and away from the boxes ``taken``."""
    height, width = ink.shape
    if max(height, width) > SIDE or not (ink >= _INK).any():
        return None
    for _ in range(_TRIES):
        top, left = int(random.integers(SIDE - height + 1)), int(random.integers(SIDE - width + 1))
        if all(
            left >= right or top >= bottom or left + width <= x or top + height <= y for x, y, right, bottom in taken
        ):
            return top, left
    return None


def _write(canvas: Array, ink: Array, place: tuple[int, int], random: Random) -> None:
    """Write ``ink`` on ``canvas`` in a colour that can be told from what is there: dark on light or light on dark."""
    top, left = place
    behind = canvas[top : top + ink.shape[0], left : left + ink.shape[1]]
    gray = float(behind.mean())
    room = (gray - _CONTRAST, 255 - gray - _CONTRAST)  # darker, lighter
    darker = random.random() < 0.5 if min(room) >= 0 else room[0] > room[1]
    level = random.uniform(0, max(room[0], 0)) if darker else random.uniform(min(gray + _CONTRAST, 255), 255)
    colour = np.clip(level + random.normal(0, 20, 3), 0, 255)
    behind += ink[..., None] * (colour - behind).astype(np.float32)
