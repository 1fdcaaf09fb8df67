"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014, table 1, configurations D and E)."""

from typing import Any

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible

_FILTERS = (64, 128, 256, 512, 512)  # at alpha 1, of the five blocks


def vgg16(**arguments: Any) -> keras.Model:
    """Configuration D: 13 convolutions; takes the arguments of `_build`."""
    return _build("vgg16", (2, 2, 3, 3, 3), **arguments)


def vgg19(**arguments: Any) -> keras.Model:
    """Configuration E: 16 convolutions; takes the arguments of `_build`."""
    return _build("vgg19", (2, 2, 4, 4, 4), **arguments)


def _build(
    name: str,
    depths: tuple[int, ...],
    *,
    alpha: float,
    size: int,
    classes: int,
    norm: str,
    momentum: float,
    units: int,
    dropout: float,
) -> keras.Model:
    """(batch, size, size, 3) to logits (batch, classes); ``depths`` convolutions of 3 x 3 in each block, then pooling.

    The five poolings make 7 x 7 of 224 x 224 and 1 x 1 of 32 x 32. ``alpha`` scales the filters; the two hidden layers
    have ``units``, with ``dropout`` after each. ``norm`` "batch" normalises after each convolution; the paper does not,
    and starts deep configurations from the weights of shallow ones (section 3.1).
    """
    block = ConvNorm(momentum=momentum, norm=norm)
    image = keras.Input((size, size, 3), name="image")
    x = image
    for index, (depth, filters) in enumerate(zip(depths, _FILTERS, strict=True), 1):
        for position in range(1, depth + 1):
            x = block.conv(x, make_divisible(filters * alpha), kernel=3, name=f"block_{index}_conv_{position}")
        x = layers.MaxPooling2D(2, name=f"block_{index}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for index in (1, 2):
        x = layers.Dense(units, activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name=name)
