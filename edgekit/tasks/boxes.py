"""Boxes, (count, 4) float32 as left, top, right, bottom: overlap, suppression, and the way back to the image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.preprocessing import Preprocessing, placement

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

CANDIDATES = 1000
"""The boxes of the highest scores that suppression looks at, of all classes together."""


def corners(centres: Array) -> Floats:
    """Corners of boxes that are given as centre x, centre y, width, height (count, 4).

    >>> corners(np.array([[4, 4, 2, 6]])).tolist()
    [[3.0, 1.0, 5.0, 7.0]]
    """
    centre, half = centres[:, :2], centres[:, 2:4] / 2
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def centred(boxes: Array) -> Floats:
    """Boxes that are given by their corners (count, 4) as centre x, centre y, width, height; sides are above 0.

    >>> centred(np.array([[3.0, 1.0, 5.0, 7.0]])).tolist()
    [[4.0, 4.0, 2.0, 6.0]]
    """
    sides = np.maximum(boxes[:, 2:4] - boxes[:, :2], 1e-4)
    return np.concatenate([boxes[:, :2] + sides / 2, sides], axis=1).astype(np.float32)


def areas(boxes: Array) -> Array:
    """(count,): width times height, 0 for boxes turned inside out."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])


def iou(boxes: Array, others: Array) -> Array:
    """Intersection over union of every one of ``boxes`` with every one of ``others``, (boxes, others); 0 for none.

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    first, second = boxes[:, None], others[None]  # side by side is much faster than corner by corner
    width = np.minimum(first[..., 2], second[..., 2]) - np.maximum(first[..., 0], second[..., 0])
    height = np.minimum(first[..., 3], second[..., 3]) - np.maximum(first[..., 1], second[..., 1])
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    union = areas(boxes)[:, None] + areas(others)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def suppress(boxes: Array, scores: Array, classes: Array, *, most_overlap: float, limit: int) -> Indices:
    """Non-maximum suppression within each class: indexes of the ``limit`` best boxes that are kept, best first.

    A box falls where a better one of its class overlaps it by more than ``most_overlap`` (intersection over union).
    The `CANDIDATES` best ones are looked at.
    """
    order = np.argsort(-scores, kind="stable")[:CANDIDATES]
    candidates, own = boxes[order].astype(np.float32), classes[order]
    clear = (iou(candidates, candidates) <= most_overlap) | (own[:, None] != own[None])
    alive = np.ones(len(order), bool)
    kept: list[int] = []
    for place in range(len(order)):
        if alive[place]:
            kept.append(place)
            if len(kept) == limit:
                break
            alive &= clear[place]
    return np.asarray(order[kept], np.int64)


def to_image(boxes: Array, image_hw: tuple[int, int], spec: Preprocessing) -> Floats:
    """``boxes`` in fractions of the model's input as fractions of the image of ``image_hw`` pixels, cut at its edges.

    Boxes that lie in what pads the input become empty.
    """
    place = placement(image_hw, spec)
    height, width = spec.size_hw
    offset = np.array([place.left, place.top] * 2, np.float32)
    inside = np.array([place.width, place.height] * 2, np.float32)
    pixels = boxes * np.array([width, height] * 2, np.float32)
    return np.asarray(np.clip((pixels - offset) / inside, 0, 1), np.float32)
