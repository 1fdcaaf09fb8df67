"""How the outputs of the two-stage detectors become boxes, from the arguments of their builders; loads no framework."""

import math
from collections.abc import Mapping

from edgekit.detection import AnchorLevel, Detection, Head, Scores
from edgekit.models.spec import Value
from edgekit.regions import MOST_CANDIDATES, SCALES, Proposals, Search

_RATIOS = (0.5, 1.0, 2.0)  # of width to height
_OVERLAP = 0.3
"""Detections of a class that overlap by more are one (Girshick et al. 2014, R-CNN, section 2.3)."""
_CANDIDATES = 20
"""Anchors that are looked at for each region that is kept: 6,000 for 300 (Ren et al. 2015, section 3.3)."""
_ONE_SCALE, _LARGE = (75.0,), 300
"""Of smaller images one segmentation in each colour space is enough: 150 regions hold 136 of 136 digits of scenes."""


def faster_rcnn(arguments: Mapping[str, Value]) -> Detection:
    """Nine anchors a cell, three scales of three ratios (Ren et al. 2015, Faster R-CNN, section 3.1.1)."""
    side = map_side(int(arguments["size"]), int(arguments["stride"]))
    low, high = float(arguments["smallest"]), float(arguments["largest"])
    scales = (low, math.sqrt(low * high), high)
    shapes = tuple((scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for scale in scales for ratio in _RATIOS)
    count = int(arguments["regions"])
    return Detection(
        head=Head.REGIONS,
        anchors=(AnchorLevel(rows=side, columns=side, shapes=shapes),),
        scores=Scores.SOFTMAX,
        iou_threshold=_OVERLAP,
        proposals=Proposals(
            bins=int(arguments["bins"]), count=count, candidates=min(_CANDIDATES * count, MOST_CANDIDATES)
        ),
    )


def map_side(size: int, stride: int) -> int:
    """Side of the feature map of an image of ``size`` pixels, halved by poolings that leave out an odd last one.

    >>> map_side(600, 16), map_side(128, 8)
    (37, 16)
    """
    for _ in range(int(math.log2(stride))):
        size //= 2
    return size


def rcnn(arguments: Mapping[str, Value]) -> Detection:
    """Regions of selective search, whose scores are those of a linear machine for each class (R-CNN, section 2)."""
    side = int(arguments["search_size"])
    return Detection(
        head=Head.REGIONS,
        scores=Scores.SIGMOID,
        score_threshold=0.5,  # where a machine says neither yes nor no
        iou_threshold=_OVERLAP,
        search=Search(
            size_hw=(side, side),
            context=float(arguments["context"]),
            count=int(arguments["regions"]),
            scales=_ONE_SCALE if side < _LARGE else SCALES,
        ),
    )
