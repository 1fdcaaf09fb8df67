"""From a first stage's outputs to regions, and from regions to what the second stage takes, in numpy."""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.detection import Detection
from edgekit.regions import Proposals
from edgekit.tasks.anchors import anchor_boxes, decode
from edgekit.tasks.boxes import corners, iou

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

LEAST_SIDE = 0.01
"""Proposals of a shorter side, in fractions of the input, are no objects (16 of 1,000 pixels in the paper's code)."""

SAMPLES = 2
"""Places in a bin, along each side, of which it is the mean (He et al. 2017, Mask R-CNN, section 3)."""
_AT_ONCE = 64  # regions: more would need hundreds of megabytes for the widest networks


def propose(objectness: Array, offsets: Array, spec: Detection) -> Floats:
    """The regions (count, 4) of one image, corners in fractions of the input, best first.

    ``objectness`` (anchors, 2) are logits of nothing and something, ``offsets`` (anchors, 4) those of the anchors of
    ``spec``, whose ``proposals`` say how many are kept.
    """
    how = spec.proposals
    assert how is not None  # noqa: S101 - the head has proposals
    boxes = np.clip(corners(decode(offsets, _anchors(spec.anchors), spec.variances)), 0, 1)
    large = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= LEAST_SIDE)
    scores = objectness[large, 1].astype(np.float32) - objectness[large, 0]
    boxes = boxes[large[np.argsort(-scores, kind="stable")[: how.candidates]]]
    return np.asarray(boxes[_best(boxes, how)], np.float32)


def pool(features: Array, regions: Array, bins: int) -> Floats:
    """``features`` (rows, columns, channels) inside each of ``regions`` (count, 4), as (count, bins, bins, channels).

    Each bin is the mean of 2 x 2 places, which lie between cells and are interpolated: nothing is rounded to cells, as
    He et al. 2017 (Mask R-CNN, section 3) found better than the maximum over whole cells of Girshick 2015.
    """
    rows, columns, channels = features.shape
    down = places(regions[:, 1], regions[:, 3], bins, rows)
    along = places(regions[:, 0], regions[:, 2], bins, columns)
    flat = features.astype(np.float32).reshape(rows, columns * channels)
    parts = [np.zeros((0, bins, bins, channels), np.float32)]
    for start in range(0, len(regions), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        lines = (down[part].reshape(-1, rows) @ flat).reshape(-1, bins, columns, channels)
        parts.append(np.matmul(along[part][:, None], lines))
    return np.concatenate(parts)


def places(low: Array, high: Array, bins: int, cells: int) -> Floats:
    """How much each of ``cells`` counts in each bin between ``low`` and ``high`` (count,), as (count, bins, cells).

    Both are fractions of the map, whose cells have their values in their middle; rows sum to 1.

    >>> places(np.array([0.0]), np.array([1.0]), 2, 4).round(2).tolist()
    [[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]]
    """
    at = (low[:, None] + (high - low)[:, None] * samples(bins)) * cells - 0.5  # (count, samples), in cells
    at = np.clip(at, 0, cells - 1)[..., None]
    share = np.maximum(0, 1 - np.abs(at - np.arange(cells, dtype=np.float32)))
    return np.asarray(share.reshape(len(low), bins, SAMPLES, cells).mean(axis=2), np.float32)


def samples(bins: int) -> Floats:
    """Where in a side of a region, 0 to 1, the `SAMPLES` places of each of ``bins`` are, (bins * samples,)."""
    return np.asarray((np.arange(bins * SAMPLES) + 0.5) / (bins * SAMPLES), np.float32)


def _best(boxes: Floats, how: Proposals) -> npt.NDArray[np.int64]:
    """Indexes of those that no better one overlaps too much; ``boxes`` are in the order of their scores."""
    kept: list[int] = []
    alive = np.ones(len(boxes), bool)
    for place in range(len(boxes)):
        if alive[place]:
            kept.append(place)
            if len(kept) == how.count:
                break
            alive &= iou(boxes[place : place + 1], boxes)[0] <= how.iou_threshold
    return np.array(kept, np.int64)


_anchors = functools.cache(anchor_boxes)


def warp(
    image: npt.NDArray[np.uint8], regions: Array, size_hw: tuple[int, int], context: float
) -> npt.NDArray[np.uint8]:
    """What ``image`` (height, width, channels) shows in each of ``regions`` (count, 4), as (count, *size_hw, channels).

    Each is stretched, with ``context`` of the result's side around it on every side; what is outside the image is of
    its mean colour (Girshick et al. 2014, R-CNN, appendix A).
    """
    from PIL import Image

    height, width, channels = image.shape
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    out = np.empty((len(regions), *size_hw, channels), np.uint8)
    out[:] = image.reshape(-1, channels).mean(axis=0).round()
    boxes = np.asarray(regions, np.float64) * np.array([width, height] * 2)
    around = (boxes[:, 2:] - boxes[:, :2]) * context / (1 - 2 * context)
    wide = np.concatenate([boxes[:, :2] - around, boxes[:, 2:] + around], axis=1)
    inside = np.clip(wide, 0, np.array([width, height] * 2))
    scale = np.array([size_hw[1], size_hw[0]]) / (wide[:, 2:] - wide[:, :2])
    low = np.round((inside[:, :2] - wide[:, :2]) * scale).astype(int)
    high = np.round((inside[:, 2:] - wide[:, :2]) * scale).astype(int)
    for index, (left, top), (right, bottom) in zip(range(len(regions)), low, high, strict=True):
        if right > left and bottom > top:
            piece = picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=tuple(inside[index]))
            out[index, top:bottom, left:right] = np.asarray(piece).reshape(bottom - top, right - left, channels)
    return out
