"""The anchors of the single-shot detectors, from the arguments of their builders. Importing it loads no framework."""

import math
from collections.abc import Mapping, Sequence

from edgekit.detection import AnchorLevel, Detection, Head, Scores
from edgekit.models.spec import Value

Shapes = tuple[tuple[float, float], ...]

LITE_LEVELS = 6
_LITE_SCALES = (0.2, 0.95)


def ssdlite(arguments: Mapping[str, Value]) -> Detection:
    """Six maps with six anchors a cell, but for the first with three where ``first_map`` is "few".

    The scale rule of Liu et al. 2016 (SSD, section 2.2) with the figures of TensorFlow's published SSDLite models,
    whose first map has few.
    """
    low, high = _LITE_SCALES
    scales = [low + (high - low) * k / (LITE_LEVELS - 1) for k in range(LITE_LEVELS)] + [1.0]
    shapes = [_shapes(scales[k], scales[k + 1], (1, 2, 1 / 2, 3, 1 / 3)) for k in range(LITE_LEVELS)]
    if arguments["first_map"] == "few":
        shapes[0] = ((low / 2, low / 2), _shape(low, 2), _shape(low, 1 / 2))
    return _detection(lite_sides(int(arguments["size"])), shapes)


def lite_sides(size: int) -> tuple[int, ...]:
    """Sides of the six maps for images of ``size`` pixels: strides 16 and 32, then half each.

    >>> lite_sides(320), lite_sides(300)
    ((20, 10, 5, 3, 2, 1), (19, 10, 5, 3, 2, 1))
    """
    sides = [math.ceil(size / 16)]
    while len(sides) < LITE_LEVELS:
        sides.append(math.ceil(sides[-1] / 2))
    return tuple(sides)


def ssd300(arguments: Mapping[str, Value]) -> Detection:
    """Four anchors a cell on the first and the last two maps of six, six on the others, as SSD300 has (section 3.1).

    Scales grow by 0.17 from 0.2 on, and the first map has half of that, as in the paper's code; with ``smallest`` and
    ``largest`` other than its 0.2 and 0.88 they are as far apart as fits. Small images have fewer maps.
    """
    low, high = float(arguments["smallest"]), float(arguments["largest"])
    sides = ssd_sides(int(arguments["size"]))
    step = (high - low) / 4
    scales = [low / 2, *(low + step * k for k in range(len(sides)))]
    small, large = (1, 2, 1 / 2), (1, 2, 1 / 2, 3, 1 / 3)
    ratios = (small, large, large, large, small, small)[: len(sides)]
    shapes = [_shapes(scales[k], scales[k + 1], of_level) for k, of_level in enumerate(ratios)]
    return _detection(sides, shapes)


def ssd_sides(size: int) -> tuple[int, ...]:
    """Sides of the maps for images of ``size`` pixels: stride 8 and 16, halved twice, then less by two while that goes.

    >>> ssd_sides(300), ssd_sides(160)
    ((38, 19, 10, 5, 3, 1), (20, 10, 5, 3, 1))
    """
    first = math.ceil(math.ceil(math.ceil(size / 2) / 2) / 2)
    sides = [first]
    for _ in range(3):
        sides.append(math.ceil(sides[-1] / 2))
    while sides[-1] >= 3 and len(sides) < 6:
        sides.append(sides[-1] - 2)
    return tuple(sides)


def _shapes(scale: float, following: float, ratios: Sequence[float]) -> Shapes:
    """One anchor of each ratio, and a square one between this scale and the next."""
    between = math.sqrt(scale * following)
    return (*(_shape(scale, ratio) for ratio in ratios), (between, between))


def _shape(scale: float, ratio: float) -> tuple[float, float]:
    """Width and height of ``scale`` squared area and ``ratio`` of width to height."""
    return scale * math.sqrt(ratio), scale / math.sqrt(ratio)


def _detection(sides: Sequence[int], shapes: Sequence[Shapes]) -> Detection:
    levels = tuple(AnchorLevel(rows=n, columns=n, shapes=own) for n, own in zip(sides, shapes, strict=True))
    return Detection(head=Head.SSD, anchors=levels, scores=Scores.SOFTMAX)
