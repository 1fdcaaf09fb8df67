"""Which anchor must find which object: what a single-shot detector is to give for an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.data import Boxes
from edgekit.detection import Detection
from edgekit.tasks.anchors import anchor_boxes, encode
from edgekit.tasks.boxes import corners, iou

Floats = npt.NDArray[np.float32]

LEAST_OVERLAP = 0.5
"""An anchor that overlaps an object by so much (intersection over union) must find it (Liu et al. 2016, 2.2)."""
BACKGROUND = 0
"""The class of anchors without an object; those of objects are numbered from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """The anchors (count, 4) of ``detection``: as ``centred`` boxes, and as ``corners``."""

    detection: Detection
    centred: Floats
    corners: Floats

    @classmethod
    def of(cls, detection: Detection) -> "Matcher":
        """The matcher for the anchors of ``detection``."""
        centred = anchor_boxes(detection.anchors)
        return cls(detection=detection, centred=centred, corners=corners(centred))

    def targets(self, boxes: Boxes) -> tuple[Floats, npt.NDArray[np.int32]]:
        """For each anchor the offsets (anchors, 4) float32 and the class (anchors,) int32 that it must give.

        Each object gets the anchor that overlaps it most, and all that overlap it by `LEAST_OVERLAP`; offsets of
        anchors without an object are 0.
        """
        offsets = np.zeros((len(self.centred), 4), np.float32)
        classes = np.full(len(self.centred), BACKGROUND, np.int32)
        if not len(boxes):
            return offsets, classes
        overlap = iou(self.corners, boxes.corners)
        chosen = np.where(overlap.max(axis=1) >= LEAST_OVERLAP, overlap.argmax(axis=1), -1)
        for best, anchor in _one_each(overlap):
            chosen[anchor] = best
        matched = np.flatnonzero(chosen >= 0)
        own = boxes.corners[chosen[matched]]
        sides = np.maximum(own[:, 2:] - own[:, :2], 1e-4)
        centred = np.concatenate([(own[:, :2] + own[:, 2:]) / 2, sides], axis=1)
        offsets[matched] = encode(centred, self.centred[matched], self.detection.variances)
        classes[matched] = boxes.classes[chosen[matched]] + 1
        return offsets, classes

    def batch(self, boxes: Sequence[Boxes]) -> tuple[Floats, npt.NDArray[np.int32]]:
        """`targets` of several images, (images, anchors, 4) and (images, anchors)."""
        each = [self.targets(own) for own in boxes]
        return np.stack([offsets for offsets, _ in each]), np.stack([classes for _, classes in each])


def _one_each(overlap: npt.NDArray[np.float32]) -> list[tuple[int, int]]:
    """(object, anchor) pairs in which no anchor comes twice: the largest of ``overlap`` (anchors, objects) first."""
    left, pairs = overlap.astype(np.float64), []
    for _ in range(min(overlap.shape)):
        anchor, best = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append((int(best), int(anchor)))
        left[anchor], left[:, best] = -1, -1
    return pairs
