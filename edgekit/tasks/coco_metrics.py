"""COCO's mean average precision, by COCO's own code."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.data.base import Boxes
from edgekit.errors import DataError, need
from edgekit.tasks.heads import Detections

MOST_DETECTIONS = 100
"""The best of an image that COCO looks at."""

# The places of COCOeval.stats: cocodataset.org, detection evaluation, metrics 1 to 6 and 9.
_STATS = {"map": 0, "map50": 1, "map75": 2, "map_small": 3, "map_medium": 4, "map_large": 5, "mar100": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionResult:
    """How well the objects of ``count`` images were found.

    ``figures`` are fractions: ``map`` is the mean average precision over IoU .50:.05:.95, ``map50`` and ``map75`` at
    one, ``map_small`` of objects under 32 x 32 pixels, ``map_medium`` under 96 x 96, ``map_large`` of the others,
    ``mar100`` the mean recall of 100 boxes. Sizes are those of the boxes, while COCO's own figures go by the areas of
    the outlines that its annotations state, which are smaller. A figure without any object is missing. ``per_class``
    is ``map`` by the name of the class.
    """

    figures: Mapping[str, float]
    per_class: Mapping[str, float]
    count: int
    objects: int

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        return dict(self.figures)


def evaluate_detections(
    found: Sequence[Detections], truth: Sequence[Boxes], class_names: Sequence[str]
) -> DetectionResult:
    """COCO's metrics of what was ``found`` in the images whose objects are ``truth``; classes are ids of the data.

    Detections of classes below 0, which the data do not know, count for nothing. `DataError` without any object.
    """
    objects = sum(int((~boxes.crowd).sum()) for boxes in truth)
    judge = matched(found, truth, class_names)
    if judge is None:
        return DetectionResult(
            figures=_zeros(truth), per_class=_zero_classes(truth, class_names), count=len(truth), objects=objects
        )
    with _quiet():
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class; all sizes, 100 detections
    per_class = {
        name: float(precision[:, :, index].mean())
        for index, name in enumerate(class_names)
        if (precision[:, :, index] > -1).any()
    }
    figures = {name: float(judge.stats[place]) for name, place in _STATS.items() if judge.stats[place] > -1}
    return DetectionResult(figures=figures, per_class=per_class, count=len(truth), objects=objects)


def matched(found: Sequence[Detections], truth: Sequence[Boxes], class_names: Sequence[str]) -> Any:
    """COCO's judge once it has matched what was ``found`` with ``truth``; None where nothing of the data's classes was.

    `DataError` without any object.
    """
    if all(boxes.crowd.all() for boxes in truth):
        raise DataError(f"The {len(truth)} images hold no object; expected some to be found.")
    need("pycocotools", extra="eval")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with _quiet():
        reference = COCO()
        reference.dataset = _dataset(truth, class_names)
        reference.createIndex()
        rows = _rows(found, truth)
        if not len(rows):
            return None
        judge = COCOeval(reference, reference.loadRes(rows), "bbox")
        judge.evaluate()
    return judge


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """COCO's code tells of its progress on stdout."""
    return contextlib.redirect_stdout(io.StringIO())


def _dataset(truth: Sequence[Boxes], class_names: Sequence[str]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, boxes in enumerate(truth):
        for (left, top, right, bottom), class_id, crowd in zip(
            _pixels(boxes.corners, boxes).tolist(), boxes.classes.tolist(), boxes.crowd.tolist(), strict=True
        ):
            box = [left, top, right - left, bottom - top]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": class_id,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(crowd),
                }
            )
    return {
        "info": {},
        "images": [{"id": image} for image in range(len(truth))],
        "categories": [{"id": index, "name": name} for index, name in enumerate(class_names)],
        "annotations": annotations,
    }


def _rows(found: Sequence[Detections], truth: Sequence[Boxes]) -> Any:
    """(count, 7): image, left, top, width, height in pixels, score, class."""
    rows = [np.empty((0, 7))]
    for image, (detections, boxes) in enumerate(zip(found, truth, strict=True)):
        known = detections.at(detections.classes >= 0).at(slice(MOST_DETECTIONS))
        pixels = _pixels(known.boxes, boxes)
        rows.append(
            np.column_stack(
                [
                    np.full(len(known), image),
                    pixels[:, :2],
                    pixels[:, 2:] - pixels[:, :2],
                    known.scores.astype(np.float64),
                    known.classes,
                ]
            )
        )
    return np.concatenate(rows)


def _pixels(corners: Any, boxes: Boxes) -> Any:
    height, width = boxes.image_hw
    return corners.astype(np.float64) * np.array([width, height] * 2)


def _zeros(truth: Sequence[Boxes]) -> dict[str, float]:
    areas = np.concatenate([np.prod(p[:, 2:] - p[:, :2], axis=1) for p in (_pixels(b.corners, b) for b in truth)])
    there = {
        "map_small": (areas < 32**2).any(),
        "map_medium": ((areas >= 32**2) & (areas < 96**2)).any(),
        "map_large": (areas >= 96**2).any(),
    }
    return {name: 0.0 for name in _STATS if name not in there or there[name]}


def _zero_classes(truth: Sequence[Boxes], class_names: Sequence[str]) -> dict[str, float]:
    seen = {int(c) for boxes in truth for c in boxes.classes[~boxes.crowd]}
    return {name: 0.0 for index, name in enumerate(class_names) if index in seen}
