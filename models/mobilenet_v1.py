"""MobileNetV1 (Howard et al. 2017, table 1)."""

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible

# (output channels at alpha 1, stride) of the thirteen depthwise separable blocks
_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
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
    """(batch, size, size, 3) to logits (batch, classes); ``alpha`` scales every channel count."""
    block = ConvNorm(padding=padding, epsilon=epsilon, momentum=momentum, ceiling=6.0)
    image = keras.Input((size, size, 3), name="image")
    x = block.conv(image, make_divisible(32 * alpha), kernel=3, stride=2, name="conv1")
    for index, (channels, stride) in enumerate(_BLOCKS, 1):
        x = block.depthwise(x, stride=stride, name=f"conv_dw_{index}")
        x = block.conv(x, make_divisible(channels * alpha), kernel=1, name=f"conv_pw_{index}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="mobilenet_v1")
