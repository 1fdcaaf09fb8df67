"""Labelled boxes, whatever file they came from: checked, and in fractions of their image."""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from edgekit.data.base import Boxes
from edgekit.errors import DataError, quoted

SLACK = 0.02
"""Boxes may stick out by this fraction of the image, as hand-drawn ones do; what sticks out is cut off."""

_LONGEST_PATH = 4096  # characters, as on Linux


def boxes_in_pixels(
    corners: Sequence[Sequence[float]],
    classes: Sequence[int],
    image_hw: tuple[int, int],
    *,
    crowd: Sequence[bool] | None = None,
    name: str,
) -> Boxes:
    """`Boxes` from ``corners`` (count, 4) left, top, right, bottom in pixels; ``name`` begins error messages.

    A box without area is no object and is left out; COCO's train2017 has two. So is one of which nothing is inside.
    `DataError` for a box turned inside out, beyond the image, or with a coordinate that is no finite number.
    """
    height, width = image_hw
    if height < 1 or width < 1:
        raise DataError(f"{name} has an image of {height} x {width} pixels; expected 1 or more.")
    values = np.asarray(corners, np.float64).reshape(-1, 4) / np.array([width, height] * 2)
    for row, own in zip(values, corners, strict=True):
        inside = np.all(np.isfinite(row)) and row.min() >= -SLACK and row.max() <= 1 + SLACK
        if not (inside and row[2] >= row[0] and row[3] >= row[1]):
            told = ", ".join(f"{v:g}" for v in own)
            raise DataError(
                f"{name} has a box from left, top to right, bottom of {told} in an image of {width} x {height} pixels; "
                "expected one inside it, without a side below 0."
            )
    cut = np.clip(values, 0, 1).astype(np.float32)
    marked = np.zeros(len(cut), bool) if crowd is None else np.asarray(crowd, bool)
    there = np.prod(cut[:, 2:] - cut[:, :2], axis=1) > 0
    return Boxes(
        image_hw=image_hw,
        corners=cut[there],
        classes=np.asarray(classes, np.int64)[there],
        crowd=marked[there],
    )


def require_inside(name: str, where: str) -> str:
    """``name``, a path relative to its folder; `DataError` for one that leads elsewhere."""
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise DataError(f"{where} lists {quoted(name)}; expected paths inside that folder.")
    if len(name) > _LONGEST_PATH:
        raise DataError(f"{where} lists {quoted(name)} of {len(name):,} characters; expected a path of a file.")
    return name
