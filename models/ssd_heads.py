"""What the single-shot detectors share: the heads on their feature maps."""

from collections.abc import Sequence
from typing import Any

from keras import layers

from edgekit.detection import Detection
from edgekit.models.blocks import ConvNorm

BOXES, SCORES = "boxes", "scores"
"""The outputs: offsets (batch, anchors, 4) and logits (batch, anchors, 1 + classes), the background first."""


def add_heads(
    maps: Sequence[Any], detection: Detection, classes: int, *, block: ConvNorm, separable: bool
) -> list[Any]:
    """The two outputs from ``maps``, one for each level of anchors: a 3 x 3 convolution each for offsets and logits.

    ``separable`` ones are a normalised depthwise convolution and one of 1 x 1 (SSDLite: Sandler et al. 2018,
    MobileNetV2, section 6.2).
    """
    found: dict[str, list[Any]] = {BOXES: [], SCORES: []}
    for index, (level, x) in enumerate(zip(detection.anchors, maps, strict=True), 1):
        cells = level.rows * level.columns
        if tuple(x.shape[1:3]) != (level.rows, level.columns):
            raise ValueError(f"map {index} is {tuple(x.shape[1:3])}, its anchors {level.rows} x {level.columns}")
        for output, width in ((BOXES, 4), (SCORES, 1 + classes)):
            name, filters = f"{output}_{index}", width * len(level.shapes)
            if separable:
                y = block.depthwise(x, name=f"{name}_depthwise")
                y = layers.Conv2D(filters, 1, name=name)(y)
            else:
                y = layers.Conv2D(filters, 3, padding="same", name=name)(x)
            found[output].append(layers.Reshape((cells * len(level.shapes), width), name=f"{name}_rows")(y))
    return [_joined(rows, output) for output, rows in found.items()]


def _joined(rows: Sequence[Any], name: str) -> Any:
    return layers.Concatenate(axis=1, name=name)(rows)
