"""MobileNetV2 (Sandler et al. 2018, table 2)."""

from typing import Any

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible

# (expansion, output channels at alpha 1, stride) of the seventeen inverted residuals
BLOCKS = (
    (1, 16, 1),
    (6, 24, 2),
    (6, 24, 1),
    (6, 32, 2),
    *((6, 32, 1),) * 2,
    (6, 64, 2),
    *((6, 64, 1),) * 3,
    *((6, 96, 1),) * 3,
    (6, 160, 2),
    *((6, 160, 1),) * 2,
    (6, 320, 1),
)


def build(
    *,
    alpha: float,
    size: int,
    classes: int,
    padding: str,
    epsilon: float,
    momentum: float,
    dropout: float,
) -> keras.Model:
    """(batch, size, size, 3) to logits (batch, classes); ``alpha`` scales the channel counts.

    The last convolution never has fewer than 1,280 channels, as the paper says of multipliers below one (section 6.1).
    """
    block = ConvNorm(padding=padding, epsilon=epsilon, momentum=momentum, ceiling=6.0)
    image = keras.Input((size, size, 3), name="image")
    x = block.conv(image, make_divisible(32 * alpha), kernel=3, stride=2, name="stem")
    for index, (expansion, channels, stride) in enumerate(BLOCKS, 1):
        x = _inverted_residual(block, x, expansion, make_divisible(channels * alpha), stride, f"block_{index}")
    x = block.conv(x, make_divisible(1280 * max(1.0, alpha)), kernel=1, name="head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="mobilenet_v2")


def _inverted_residual(block: ConvNorm, x: Any, expansion: int, channels: int, stride: int, name: str) -> Any:
    source, width = x, int(x.shape[-1])
    if expansion > 1:
        x = block.conv(x, width * expansion, kernel=1, name=f"{name}_expand")
    x = block.depthwise(x, stride=stride, name=f"{name}_depthwise")
    x = block.conv(x, channels, kernel=1, relu=False, name=f"{name}_project")
    return layers.Add(name=f"{name}_add")([source, x]) if stride == 1 and width == channels else x
