"""The heads of detectors: from their outputs for one item to boxes in the model's input, before suppression."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.detection import Detection, Head, Scores
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.anchors import anchor_boxes, decode
from edgekit.tasks.boxes import areas, centred, corners, suppress, to_image

Array = npt.NDArray[Any]
Parts = Sequence[Array]

_IN_FRACTIONS = 4.0
"""Boxes whose largest coordinate is below it are fractions: in pixels no whole output of a detector stays so small."""
_CLASSES = 1 << 20
"""More than any detector tells apart; another number in a float is none of a class."""


class UnlikeHeadError(Exception):
    """The output ``got`` is not what the head gives, which is ``expected``."""

    def __init__(self, got: Array, expected: str) -> None:
        super().__init__(expected)
        self.got, self.expected = got, expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """What was found in one image, best first.

    ``boxes`` (count, 4) float32 are left, top, right, bottom in fractions of the image; ``scores`` (count,) float32 in
    0..1; ``classes`` (count,) int64 are the model's.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, chosen: Array | slice) -> "Detections":
        """Those at the indexes ``chosen``, or where a mask says."""
        return Detections(boxes=self.boxes[chosen], scores=self.scores[chosen], classes=self.classes[chosen])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What boxes are wanted: as ``spec`` says, from ``least_score`` on, in an input of ``size_hw`` pixels."""

    spec: Detection
    least_score: float
    size_hw: tuple[int, int]


def settled(found: Detections, spec: Detection, image_hw: tuple[int, int], preprocessing: Preprocessing) -> Detections:
    """What remains of ``found``, as one of `READERS` gave it, after suppression, in fractions of the image."""
    if spec.head is Head.SSD_POSTPROCESS:
        found = found.at(slice(spec.max_detections))
    else:
        found = found.at(
            suppress(
                found.boxes,
                found.scores,
                found.classes,
                most_overlap=spec.iou_threshold,
                limit=spec.max_detections,
            )
        )
    return replace(found, boxes=to_image(found.boxes, image_hw, preprocessing))


def _ssd_postprocess(parts: Parts, asked: Asked) -> Detections:
    boxes, classes, scores = parts[0].reshape(-1, 4), parts[1].reshape(-1), parts[2].reshape(-1)
    count = int(parts[3].reshape(-1)[0])
    if not len(boxes) == len(classes) == len(scores) >= count >= 0:
        raise UnlikeHeadError(parts[0], "as many boxes as classes and scores")
    chosen = np.flatnonzero(scores[:count] >= asked.least_score)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    labels = np.rint(classes[chosen])
    if not ((labels >= 0) & (labels < _CLASSES)).all():
        raise UnlikeHeadError(parts[0], f"boxes of classes 0 to {_CLASSES - 1}")
    return Detections(
        boxes=boxes[chosen][:, [1, 0, 3, 2]].astype(np.float32),
        scores=np.minimum(scores[chosen], 1).astype(np.float32),
        classes=labels.astype(np.int64),
    )


def _yolov5(parts: Parts, asked: Asked) -> Detections:
    (rows,) = parts
    if rows.ndim != 2 or rows.shape[1] < 6 or rows.shape[0] < rows.shape[1]:
        raise UnlikeHeadError(rows, "boxes x (5 + classes)")
    likely = np.flatnonzero(rows[:, 4] >= asked.least_score)
    found = _thresholded(rows[likely, :4], rows[likely, 5:] * rows[likely, 4:5], asked.least_score)
    return replace(found, boxes=_in_fractions(found.boxes, rows[:, :4], asked.size_hw))


def _yolov8(parts: Parts, asked: Asked) -> Detections:
    (columns,) = parts
    if columns.ndim != 2 or columns.shape[0] < 5 or columns.shape[1] < columns.shape[0]:
        raise UnlikeHeadError(columns, "(4 + classes) x boxes")
    found = _thresholded(columns[:4].T, columns[4:].T, asked.least_score)
    return replace(found, boxes=_in_fractions(found.boxes, columns[:4], asked.size_hw))


def _ssd(parts: Parts, asked: Asked) -> Detections:
    offsets, scores = parts
    anchors = _anchors(asked.spec.anchors)
    if offsets.shape != (len(anchors), 4) or scores.ndim != 2 or len(scores) != len(anchors) or scores.shape[1] < 2:
        raise UnlikeHeadError(offsets, f"{len(anchors)} x 4 offsets and {len(anchors)} x (1 + classes) scores")
    rows, classes, found = _likely(scores, asked.spec.scores, asked.least_score)
    return Detections(
        boxes=corners(decode(offsets[rows], anchors[rows], asked.spec.variances)),
        scores=found.astype(np.float32),
        classes=classes.astype(np.int64),
    )


def _regions(parts: Parts, asked: Asked) -> Detections:
    regions, scores, offsets = parts[:3]
    classes = scores.shape[-1] - 1
    if classes < 1 or offsets.shape != (len(scores), 4 * classes) or regions.shape != (len(scores), 4):
        raise UnlikeHeadError(regions, "regions x 4, regions x (1 + classes) scores and regions x 4 classes offsets")
    there = np.flatnonzero(areas(regions) > 0)
    rows, chosen, found = _likely(scores[there], asked.spec.scores, asked.least_score)
    own = there[rows]
    moves = offsets.reshape(len(scores), classes, 4)[own, chosen]
    boxes = corners(decode(moves, centred(regions[own]), asked.spec.variances))
    return Detections(boxes=np.clip(boxes, 0, 1), scores=found.astype(np.float32), classes=chosen.astype(np.int64))


_anchors = functools.cache(anchor_boxes)


def _likely(scores: Array, kind: Scores, least: float) -> tuple[Array, Array, Array]:
    """Rows, classes without the background, and probabilities of what reaches ``least`` in ``scores`` (rows, classes).

    Rows that cannot reach it are passed over before their exponentials are taken, which are most of the work.
    """
    values: Array = scores.astype(np.float32)
    candidates = np.arange(len(values))
    if kind is Scores.SOFTMAX:
        # A probability is at most that of its class against the background alone.
        margin = np.log(max(least, 1e-6) / max(1 - least, 1e-6))
        candidates = np.flatnonzero(values[:, 1:].max(axis=1) - values[:, 0] >= margin - 1e-3)
        values = values[candidates]
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    elif kind is Scores.SIGMOID:
        candidates = np.flatnonzero(values[:, 1:].max(axis=1) >= np.log(max(least, 1e-6) / max(1 - least, 1e-6)) - 1e-3)
        values = _sigmoid(values[candidates])
    rows, classes = np.nonzero(values[:, 1:] >= least)
    return candidates[rows], classes, values[rows, classes + 1]


def _sigmoid(logits: Array) -> Array:
    with np.errstate(over="ignore"):  # 1 / infinity is the 0 that it should be
        return np.asarray(1 / (1 + np.exp(-logits)))


def _fastestdet(parts: Parts, asked: Asked) -> Detections:
    """The published decoding: score = objectness ** 0.6 * class ** 0.4; tanh moves the centre from its cell's corner.

    Source: github.com/dog-qiuqiu/FastestDet, utils/tool.py.
    """
    (maps,) = parts
    if maps.ndim != 3 or maps.shape[0] < 6:
        raise UnlikeHeadError(maps, "(5 + classes) x height x width")
    height, width = maps.shape[1:]
    classes = maps[5:].reshape(len(maps) - 5, -1)
    best = classes.argmax(axis=0)
    objectness = np.clip(maps[0].reshape(-1), 0, 1)
    scores = objectness**0.6 * np.clip(classes[best, np.arange(height * width)], 0, 1) ** 0.4
    chosen = np.flatnonzero(scores >= asked.least_score)
    rows, columns = np.divmod(chosen, width)
    values = maps[1:5].reshape(4, -1)[:, chosen]
    centres = (np.tanh(values[:2]) + np.stack([columns, rows])) / np.array([[width], [height]])
    sides = _sigmoid(values[2:])
    return Detections(
        boxes=corners(np.concatenate([centres, sides]).T),
        scores=scores[chosen].astype(np.float32),
        classes=best[chosen].astype(np.int64),
    )


def _yolo_v1(parts: Parts, asked: Asked) -> Detections:
    """Score = confidence of the box * probability of the class (Redmon et al. 2016, You Only Look Once, equation 1).

    Nothing keeps the outputs between 0 and 1, and the product of two below 0 must not become a score.
    """
    boxes, confidences, classes = parts
    height, width = asked.spec.grid or (0, 0)
    count = confidences.shape[-1] if confidences.ndim == 3 else 0
    if any(part.shape[:-1] != (height, width) for part in parts) or not boxes.shape[-1] == 4 * count > 0:
        raise UnlikeHeadError(boxes, f"{height} x {width} cells, and in boxes 4 numbers for each of their confidences")
    scores = np.maximum(confidences, 0)[..., None] * np.maximum(classes, 0)[..., None, :]
    rows, columns, own, labels = np.nonzero(scores >= asked.least_score)
    values = boxes.reshape(height, width, count, 4)[rows, columns, own]
    centres = (values[:, :2] + np.stack([columns, rows], axis=1)) / (width, height)
    return Detections(
        boxes=corners(np.concatenate([centres, values[:, 2:] ** 2], axis=1)),
        scores=np.minimum(scores[rows, columns, own, labels], 1).astype(np.float32),
        classes=labels.astype(np.int64),
    )


def _thresholded(centres: Array, scores: Array, least: float) -> Detections:
    """The pairs of box and class in ``scores`` (boxes, classes) that reach ``least``."""
    rows, classes = np.nonzero(scores >= least)
    return Detections(
        boxes=corners(centres[rows]), scores=scores[rows, classes].astype(np.float32), classes=classes.astype(np.int64)
    )


def _in_fractions(boxes: Array, every: Array, size_hw: tuple[int, int]) -> npt.NDArray[np.float32]:
    """``boxes`` in fractions of the input; those of a file are in pixels unless ``every`` one of them is small."""
    if every.size and every.max() < _IN_FRACTIONS:
        return boxes.astype(np.float32)
    height, width = size_hw
    return np.asarray(boxes / np.array([width, height] * 2), np.float32)


READERS: Mapping[Head, Callable[[Parts, Asked], Detections]] = {
    Head.SSD_POSTPROCESS: _ssd_postprocess,
    Head.YOLOV5: _yolov5,
    Head.YOLOV8: _yolov8,
    Head.SSD: _ssd,
    Head.FASTESTDET: _fastestdet,
    Head.YOLO_V1: _yolo_v1,
    Head.REGIONS: _regions,
}
"""What makes boxes, in fractions of the input, of the outputs of each head, in their order."""
