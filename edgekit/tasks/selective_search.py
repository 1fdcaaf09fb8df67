"""Selective search: regions that may be objects, from segments that are joined with what is most like them.

Uijlings, van de Sande, Gevers and Smeulders 2013, "Selective Search for Object Recognition", in two colour spaces and
with all four of its similarities. The first segments are scikit-image's.
"""

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import need
from edgekit.regions import Search

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

_SIGMA, _LEAST_PIXELS = 0.8, 20
_COLOURS, _TEXTURES, _DIRECTIONS = 25, 10, 8
"""Bins of the histograms of each channel, and of each of its directions of change (section 3.2)."""


def search(image: npt.NDArray[np.uint8], how: Search) -> Floats:
    """The regions (count, 4) of ``image`` (height, width, 3) RGB, corners in fractions of it; no two are the same.

    Those that were joined last tend to come first: their places in the order are drawn, as in the paper (section 4.2),
    and always alike. An image of one colour has one region, itself.
    """
    ranked: dict[tuple[int, int, int, int], float] = {}
    random = np.random.default_rng(0)
    height, width = image.shape[:2]
    least = how.least_side * np.array([width, height])
    for channels in _colour_spaces(image):
        for scale in how.scales:
            boxes = _grown(_segments(channels, scale), channels)
            ranks = np.arange(len(boxes), 0, -1) * random.random(len(boxes))
            for box, rank in zip(boxes, ranks.tolist(), strict=True):
                if box[2] - box[0] >= least[0] and box[3] - box[1] >= least[1]:
                    ranked[box] = min(rank, ranked[box]) if box in ranked else rank
    order = sorted(ranked, key=lambda box: ranked[box])[: how.count]
    return np.asarray(np.array(order).reshape(-1, 4) / np.array([width, height] * 2), np.float32)


def _colour_spaces(image: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    """The image in Lab and in HSV, each channel in 0..1."""
    color = need("skimage.color", extra="regions")
    lab = (color.rgb2lab(image) + np.array([0, 128, 128])) / np.array([100, 255, 255])
    return np.clip(lab, 0, 1), color.rgb2hsv(image)


def _segments(channels: Array, scale: float) -> npt.NDArray[np.int64]:
    """Numbers of the segments, (height, width) (Felzenszwalb and Huttenlocher 2004)."""
    segmentation = need("skimage.segmentation", extra="regions")
    found = segmentation.felzenszwalb(channels, scale=scale, sigma=_SIGMA, min_size=_LEAST_PIXELS, channel_axis=-1)
    return np.asarray(found, np.int64)


@dataclass(frozen=True, slots=True)
class _Region:
    """A region of ``pixels``: its box, and the histograms of its colours and textures, which sum to 1 each."""

    pixels: int
    box: tuple[int, int, int, int]
    colours: Array
    textures: Array

    def joined(self, other: "_Region") -> "_Region":
        pixels = self.pixels + other.pixels
        share = self.pixels / pixels
        return _Region(
            pixels,
            _around(self.box, other.box),
            self.colours * share + other.colours * (1 - share),
            self.textures * share + other.textures * (1 - share),
        )

    def likeness(self, other: "_Region", pixels: int) -> float:
        """Equations 2, 4, 5 and 6 for an image of ``pixels``, summed: the sizes of the last two cancel out."""
        left, top, right, bottom = _around(self.box, other.box)
        alike = np.minimum(self.colours, other.colours).sum() + np.minimum(self.textures, other.textures).sum()
        return float(alike) + 2 - ((right - left) * (bottom - top)) / pixels


def _around(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    (a, b, c, d), (left, top, right, bottom) = first, second
    return min(a, left), min(b, top), max(c, right), max(d, bottom)


def _grown(labels: npt.NDArray[np.int64], channels: Array) -> list[tuple[int, int, int, int]]:
    """The boxes of all segments, and of all that arises when the two neighbours that are most alike join (section 3.1).

    In the order in which they arise; the last is the whole image.
    """
    regions = dict(enumerate(_first_regions(labels, channels)))
    boxes = [region.box for region in regions.values()]
    around = _neighbours(labels, len(regions))
    pairs = [(-regions[a].likeness(regions[b], labels.size), a, b) for a in around for b in around[a] if a < b]
    heapq.heapify(pairs)
    while pairs:
        _, first, second = heapq.heappop(pairs)
        if first not in regions or second not in regions:
            continue
        new = len(boxes)
        regions[new] = regions.pop(first).joined(regions.pop(second))
        boxes.append(regions[new].box)
        around[new] = (around.pop(first) | around.pop(second)) - {first, second}
        for other in around[new]:
            around[other] = (around[other] - {first, second}) | {new}
            heapq.heappush(pairs, (-regions[new].likeness(regions[other], labels.size), other, new))
    return boxes


def _neighbours(labels: npt.NDArray[np.int64], count: int) -> dict[int, set[int]]:
    """For each segment those beside, above and below it."""
    sides = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    pairs = np.concatenate([np.stack([a[a != b], b[a != b]], axis=1) for a, b in sides])
    around: dict[int, set[int]] = {index: set() for index in range(count)}
    for first, second in np.unique(pairs, axis=0).tolist():
        around[first].add(second)
        around[second].add(first)
    return around


def _first_regions(labels: npt.NDArray[np.int64], channels: Array) -> list[_Region]:
    count, flat = int(labels.max()) + 1, labels.reshape(-1)
    pixels = np.bincount(flat, minlength=count)
    rows, columns = (index.reshape(-1) for index in np.indices(labels.shape))
    low, high = np.full((count, 2), labels.size), np.zeros((count, 2), np.int64)
    np.minimum.at(low, flat, np.stack([columns, rows], axis=1))
    np.maximum.at(high, flat, np.stack([columns, rows], axis=1) + 1)
    colours = _histograms(flat, count, channels.reshape(len(flat), -1), _COLOURS)
    textures = _histograms(flat, count, _changes(channels).reshape(len(flat), -1), _TEXTURES)
    boxes = np.concatenate([low, high], axis=1).tolist()
    return [_Region(int(pixels[i]), tuple(boxes[i]), colours[i], textures[i]) for i in range(count)]


def _histograms(labels: Array, count: int, values: Array, bins: int) -> Array:
    """Of each of ``count`` labels the values (pixels, kinds) in 0..1, (count, kinds * bins), summing to 1."""
    kinds = values.shape[1]
    places = np.minimum((values * bins).astype(np.int64), bins - 1) + np.arange(kinds) * bins
    found = np.bincount((places + labels[:, None] * (kinds * bins)).reshape(-1), minlength=count * kinds * bins)
    found = found.reshape(count, kinds * bins).astype(np.float64)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _changes(channels: Array) -> Array:
    """(height, width, channels, directions): how much brighter it becomes in each direction, in 0..1."""
    down, along = np.gradient(channels, axis=(0, 1))
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    changes = along[..., None] * np.cos(angles) + down[..., None] * np.sin(angles)
    return np.asarray(np.clip(changes * 2, 0, 1))  # half of the range from a pixel to the next is a sharp edge
