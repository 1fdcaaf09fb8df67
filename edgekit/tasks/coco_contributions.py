"""What each image adds to COCO's mean average precision, so that two detectors can be compared image by image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Boxes
from edgekit.tasks.coco_metrics import MOST_DETECTIONS, matched
from edgekit.tasks.heads import Detections

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    """The detections of one class in all images, best first.

    ``hits`` and ``misses`` (overlaps, count) bool: found an object, or none; neither where the object does not count.
    ``images`` (count,) are theirs; ``objects`` (images,) counts those to be found.
    """

    hits: npt.NDArray[np.bool_]
    misses: npt.NDArray[np.bool_]
    images: npt.NDArray[np.int64]
    objects: npt.NDArray[np.int64]

    def without(self, image: int) -> "_Class":
        """The same had ``image`` not been looked at."""
        others = self.images != image
        objects = self.objects.copy()
        objects[image] = 0
        return _Class(
            hits=self.hits[:, others], misses=self.misses[:, others], images=self.images[others], objects=objects
        )


def image_contributions(found: Sequence[Detections], truth: Sequence[Boxes], class_names: Sequence[str]) -> Floats:
    """(count,): ``map`` plus the influence of each image on it, whose mean is ``map`` itself.

    The influence is the jackknife's: (n - 1) times what ``map`` without an image lies below its mean over all images
    that are left out in turn (Efron and Tibshirani 1993, chapter 11). Means over images that were drawn again follow
    what ``map`` would be of these, to first order.
    """
    judge = matched(found, truth, class_names)
    if judge is None:
        return np.zeros(len(truth))
    recalls = np.asarray(judge.params.recThrs)
    classes = [c for c in _classes(judge, len(truth)) if c.objects.any()]
    whole = np.array([_average_precision(c, recalls) for c in classes])
    left = np.full((len(truth), len(classes)), whole)
    for place, each in enumerate(classes):
        for image in set(each.images.tolist()) | set(np.flatnonzero(each.objects).tolist()):
            rest = each.without(image)
            left[image, place] = _average_precision(rest, recalls) if rest.objects.any() else np.nan
    total = float(whole.mean())
    known = np.isfinite(left)
    counts = known.sum(axis=1)
    sums = np.where(known, left, 0.0).sum(axis=1)
    without = np.divide(sums, counts, out=np.full(len(truth), total), where=counts > 0)
    return np.asarray(total + (len(truth) - 1) * (without.mean() - without), np.float64)


def _average_precision(detections: _Class, recalls: Floats) -> float:
    """Mean over overlaps and ``recalls`` of the best precision at that recall or beyond, as COCO interpolates."""
    hits, misses = np.cumsum(detections.hits, axis=1), np.cumsum(detections.misses, axis=1)
    precision = hits / np.maximum(hits + misses, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    reached = hits / detections.objects.sum()
    places = [np.searchsorted(row, recalls, side="left") for row in reached]
    return float(np.mean([row[place] for row, place in zip(padded, places, strict=True)]))


def _classes(judge: Any, images: int) -> list[_Class]:
    """What ``judge`` matched, class by class, over objects of all sizes."""
    areas, overlaps = len(judge.params.areaRng), len(judge.params.iouThrs)
    found = []
    for place in range(len(judge.params.catIds)):
        start = place * areas * images  # COCOeval lists by class, size and image; the first size is all
        seen = [(i, e) for i, e in enumerate(judge.evalImgs[start : start + images]) if e is not None]
        objects = np.zeros(images, np.int64)
        for image, entry in seen:
            objects[image] = np.sum(np.asarray(entry["gtIgnore"]) == 0)
        scores = np.concatenate([np.empty(0), *(e["dtScores"][:MOST_DETECTIONS] for _, e in seen)])
        order = np.argsort(-scores, kind="stable")
        matches, ignored = (
            np.concatenate(
                [np.zeros((overlaps, 0)), *(np.asarray(e[key])[:, :MOST_DETECTIONS] for _, e in seen)], axis=1
            )[:, order]
            != 0
            for key in ("dtMatches", "dtIgnore")
        )
        owners = np.concatenate(
            [np.empty(0, np.int64), *(np.full(len(e["dtScores"][:MOST_DETECTIONS]), i) for i, e in seen)]
        )
        found.append(_Class(hits=matches & ~ignored, misses=~matches & ~ignored, images=owners[order], objects=objects))
    return found
