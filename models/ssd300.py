"""SSD300 on VGG-16 (Liu et al. 2016, SSD, section 3.1)."""

from dataclasses import replace
from typing import Any

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible
from edgekit.models.ssd_anchors import ssd300
from edgekit.models.ssd_heads import add_heads

_VGG = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels at alpha 1 and convolutions of the five blocks
_EXTRAS = ((256, 512), (128, 256), (128, 256), (128, 256))  # channels of the 1 x 1 and of the 3 x 3 convolution
_FIRST_SCALE = 20.0
"""Each channel of the first map is normalised to this length before it learns its own (section 3.1)."""


def build(
    *,
    alpha: float,
    size: int,
    classes: int,
    norm: str,
    momentum: float,
    smallest: float,
    largest: float,
) -> keras.Model:
    """(batch, size, size, 3) to offsets (batch, anchors, 4) and logits (batch, anchors, 1 + classes).

    The two hidden layers of VGG-16 are convolutions here, the first of 3 x 3 with dilation 6; the fifth pooling keeps
    the size. ``alpha`` scales all channels, ``norm`` "batch" normalises after each convolution, which the paper does
    not, and which replaces the normalisation of the first map.
    """

    def width(channels: int) -> int:
        return make_divisible(channels * alpha)

    block = ConvNorm(momentum=momentum, norm=norm)
    image = keras.Input((size, size, 3), name="image")
    x, maps = image, []
    for index, (channels, depth) in enumerate(_VGG, 1):
        for position in range(1, depth + 1):
            x = block.conv(x, width(channels), kernel=3, name=f"block_{index}_conv_{position}")
        if index == 4:
            maps.append(x if norm == "batch" else _scaled(x))
        last = index == len(_VGG)
        x = layers.MaxPooling2D(3 if last else 2, strides=1 if last else 2, padding="same", name=f"block_{index}_pool")(
            x
        )
    x = block.conv(x, width(1024), kernel=3, dilation=6, name="hidden_1")
    maps.append(block.conv(x, width(1024), kernel=1, name="hidden_2"))
    detection = ssd300({"size": size, "smallest": smallest, "largest": largest})
    for index, (reduced, channels) in enumerate(_EXTRAS[: len(detection.anchors) - 2], 1):
        x = block.conv(maps[-1], width(reduced), kernel=1, name=f"extra_{index}_reduce")
        shrink = block if index <= 2 else replace(block, padding="valid")
        x = shrink.conv(x, width(channels), kernel=3, stride=2 if index <= 2 else 1, name=f"extra_{index}")
        maps.append(x)
    return keras.Model(image, add_heads(maps, detection, classes, block=block, separable=False), name="ssd300_vgg16")


def _scaled(x: Any) -> Any:
    """``x`` of length 1 along the channels at each place, times a learned factor of each channel."""
    x = layers.UnitNormalization(name="block_4_length")(x)
    start = keras.initializers.Constant(_FIRST_SCALE)
    return layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=start, name="block_4_scale")(x)
