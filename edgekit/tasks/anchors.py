"""Anchors (default boxes), and boxes as offsets from them: (count, 4) float32, centre x, y, width, height."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.detection import AnchorLevel

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Variances = tuple[float, float, float, float]

LARGEST = 10.0
"""Sides grow at most by exp of this; more is an output gone wrong, and would overflow."""


def anchor_boxes(levels: Sequence[AnchorLevel]) -> Floats:
    """All anchors in fractions of the input, level after level, in the order that `AnchorLevel` states."""
    parts = []
    for level in levels:
        y, x = np.meshgrid(np.arange(level.rows) + 0.5, np.arange(level.columns) + 0.5, indexing="ij")
        centres = np.stack([x / level.columns, y / level.rows], axis=-1)[:, :, None]
        shapes = np.broadcast_to(np.array(level.shapes), (level.rows, level.columns, len(level.shapes), 2))
        centres = np.broadcast_to(centres, shapes.shape)
        parts.append(np.concatenate([centres, shapes], axis=-1).reshape(-1, 4))
    return np.concatenate(parts).astype(np.float32)


def encode(boxes: Array, anchors: Array, variances: Variances) -> Floats:
    """What a network must give at ``anchors`` for ``boxes``, both (count, 4) with sides above 0."""
    centres = (boxes[:, :2] - anchors[:, :2]) / anchors[:, 2:]
    sides = np.log(boxes[:, 2:] / anchors[:, 2:])
    return np.asarray(np.concatenate([centres, sides], axis=1) / np.array(variances), np.float32)


def decode(offsets: Array, anchors: Array, variances: Variances) -> Floats:
    """The boxes that ``offsets`` at ``anchors`` mean, both (count, 4); undoes `encode`."""
    scaled = offsets * np.array(variances, np.float32)
    centres = anchors[:, :2] + scaled[:, :2] * anchors[:, 2:]
    sides = anchors[:, 2:] * np.exp(np.minimum(scaled[:, 2:], LARGEST))
    return np.concatenate([centres, sides], axis=1).astype(np.float32)
