"""Digits somewhere on a black ground, and for the test turned, slanted and stretched as well: a set of poses.

The paper on capsules trains on digits that are only moved, and tests on affNIST, whose digits went through random
affine maps (Sabour et al. 2017, section 5.2). That set is drawn here anew, in its ranges.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Dataset, Item, Part

SIDE = 40
"""Of the pictures, in pixels."""
TURN_DEGREES, SLANT = 20.0, 0.2
STRETCH = (0.8, 1.2)
"""Ranges of affNIST: degrees each way, share of the height by which a row is moved, factor of each side."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Posed:
    """The digits of ``data``, each moved as its number and ``seed`` say, and with ``affine`` turned and stretched."""

    data: Dataset
    seed: int
    affine: bool

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int, /) -> Item:
        random = np.random.default_rng([self.seed, index])
        item = self.data.items[index]
        assert isinstance(item, np.ndarray)  # noqa: S101 - sets of digits have images
        digit = item[..., 0]
        return posed(digit, random) if self.affine else moved(digit, random)


def affine_digits(data: Dataset, part: Part, name: str) -> Dataset:
    """The digits ``data`` as the set ``name`` shows them: those of the test in other poses than any before."""
    test = part is Part.EVALUATION
    return replace(data, name=name, items=Posed(data, int(test), test))


def moved(digit: Pixels, random: np.random.Generator) -> Pixels:
    """``digit`` (height, width) uint8 anywhere on (`SIDE`, `SIDE`, 1)."""
    height, width = digit.shape
    top, left = (int(random.integers(0, SIDE - side + 1)) for side in (height, width))
    out = np.zeros((SIDE, SIDE, 1), np.uint8)
    out[top : top + height, left : left + width, 0] = digit
    return out


def posed(digit: Pixels, random: np.random.Generator) -> Pixels:
    """``digit`` (height, width) uint8 through a random affine map, anywhere on (`SIDE`, `SIDE`, 1), bilinear."""
    turn = np.deg2rad(random.uniform(-TURN_DEGREES, TURN_DEGREES))
    slant, stretch = random.uniform(-SLANT, SLANT), random.uniform(*STRETCH, 2)
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1, 0], [slant, 1]]) @ np.diag(stretch)
    ink = np.argwhere(digit > 0) if digit.any() else np.zeros((1, 2))
    middle = (np.array(digit.shape) - 1) / 2
    reach = (ink - middle) @ matrix.T  # where ink comes to be, from the middle
    low, high = 1 - reach.min(axis=0), SIDE - 2 - reach.max(axis=0)
    centre = np.where(high > low, low + random.random(2) * (high - low), (low + high) / 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    places = (np.stack([rows, columns], axis=-1) - centre) @ np.linalg.inv(matrix).T + middle
    return np.rint(_sampled(np.pad(digit.astype(np.float64), 1), places + 1)).astype(np.uint8)[..., None]


def _sampled(values: npt.NDArray[np.float64], places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``values`` (height, width) between pixels at ``places`` (..., 2), rows first; its border goes on outside."""
    most = np.array(values.shape) - 1
    places = np.clip(places, 0, most)
    low = np.minimum(places.astype(int), most - 1)
    down, right = np.moveaxis(places - low, -1, 0)
    (y, x) = np.moveaxis(low, -1, 0)
    above = values[y, x] * (1 - right) + values[y, x + 1] * right
    below = values[y + 1, x] * (1 - right) + values[y + 1, x + 1] * right
    return np.asarray(above * (1 - down) + below * down)
