"""Faster R-CNN on VGG-16 (Ren et al. 2015, arXiv:1506.01497)."""

from typing import Any

import keras
from keras import layers

from edgekit.errors import InputError
from edgekit.models.blocks import ConvNorm, make_divisible
from edgekit.models.region_anchors import faster_rcnn

_VGG = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels at alpha 1 and convolutions of the five blocks
_STRIDES = {16: 4, 8: 3}  # how many poolings make a stride
_SPREAD = 0.01
"""Standard deviation of the first weights of what the paper adds to VGG-16 (section 3.1.3)."""


def build(
    *,
    alpha: float,
    size: int,
    classes: int,
    norm: str,
    momentum: float,
    stride: int,
    smallest: float,
    largest: float,
    regions: int,
    bins: int,
    units: int,
    dropout: float,
) -> keras.Model:
    """Two networks side by side, which share nothing, since what is between them is no network's work.

    "image" (batch, size, size, 3) to "features" (batch, side, side, channels), "objectness" (batch, anchors, 2), logits
    of nothing and something, and "anchor_offsets" (batch, anchors, 4); "pooled" (batch, bins, bins, channels), a
    region's features, to "scores" (batch, 1 + classes), the background's first, and "offsets" (batch, 4 classes).
    ``alpha`` scales the channels, and the two hidden layers have ``units``, with ``dropout`` after each. ``stride`` 8
    leaves out the last pooling.
    """
    if stride not in _STRIDES:
        raise InputError(f"faster_rcnn takes stride 8 or 16; got {stride}.")
    detection = faster_rcnn({"size": size, "stride": stride, "smallest": smallest, "largest": largest,
                             "regions": regions, "bins": bins})  # fmt: skip
    (level,) = detection.anchors
    block = ConvNorm(momentum=momentum, norm=norm)
    image = keras.Input((size, size, 3), name="image")
    x = image
    for index, (channels, depth) in enumerate(_VGG, 1):
        for position in range(1, depth + 1):
            last = index == len(_VGG) and position == depth
            name = f"block_{index}_conv_{position}"
            x = block.conv(x, make_divisible(channels * alpha), kernel=3, relu=not last, name=name)
        x = layers.MaxPooling2D(2, name=f"block_{index}_pool")(x) if index <= _STRIDES[stride] else x
    features = layers.ReLU(name="features")(x)
    shared = _proposing(features, features.shape[-1])
    shapes, anchors = len(level.shapes), level.rows * level.columns * len(level.shapes)
    outputs = [features]
    for name, width in (("objectness", 2), ("anchor_offsets", 4)):
        x = layers.Conv2D(width * shapes, 1, kernel_initializer=_normal(_SPREAD), name=f"{name}_maps")(shared)
        outputs.append(layers.Reshape((anchors, width), name=name)(x))
    pooled = keras.Input((bins, bins, features.shape[-1]), name="pooled")
    x = layers.Flatten(name="flatten")(pooled)
    for index in (6, 7):
        x = layers.Dense(units, activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    outputs.append(layers.Dense(1 + classes, kernel_initializer=_normal(_SPREAD), name="scores")(x))
    outputs.append(layers.Dense(4 * classes, kernel_initializer=_normal(_SPREAD / 10), name="offsets")(x))
    return keras.Model([image, pooled], outputs, name="faster_rcnn")


def _proposing(features: Any, channels: int) -> Any:
    """What each place of the map knows of the objects around it (section 3.1)."""
    shared = layers.Conv2D(channels, 3, padding="same", kernel_initializer=_normal(_SPREAD), name="proposals")
    return layers.ReLU(name="proposals_relu")(shared(features))


def _normal(spread: float) -> Any:
    return keras.initializers.RandomNormal(stddev=spread)
