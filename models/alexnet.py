"""AlexNet with one tower (Krizhevsky 2014, section 5, after Krizhevsky, Sutskever and Hinton 2012)."""

from dataclasses import replace

import keras
from keras import layers

from edgekit.errors import InputError
from edgekit.models.blocks import ConvNorm, make_divisible

# (filters at alpha 1, kernel, whether pooled) of the convolutions after the first
_CONVOLUTIONS = ((192, 5, True), (384, 3, False), (256, 3, False), (256, 3, True))
_SMALLEST = 63  # of which the three poolings after a stride of 4 leave one pixel


def build(
    *, alpha: float, size: int, classes: int, stem: str, norm: str, momentum: float, units: int, dropout: float
) -> keras.Model:
    """(batch, size, size, 3) to logits (batch, classes); 224 becomes 55-27-13-6 by poolings of 3 x 3 that overlap.

    ``stem`` "imagenet" starts with 11 x 11 kernels and stride 4; "small" with 3 x 3 and stride 1: 32 becomes 32-15-7-3.
    ``alpha`` scales the filters; the two hidden layers have ``units``, with ``dropout`` after each. Local response
    normalisation is left out, since no edge format has an 8-bit form of it; ``norm`` "batch" normalises after each
    convolution instead.
    """
    if stem == "imagenet" and size < _SMALLEST:
        raise InputError(
            f"alexnet with the stem imagenet takes size {_SMALLEST} or more; got {size}: use the stem small."
        )
    block = ConvNorm(momentum=momentum, norm=norm)
    image = keras.Input((size, size, 3), name="image")
    first = make_divisible(64 * alpha)
    if stem == "imagenet":
        padded = layers.ZeroPadding2D(2, name="stem_pad")(image)
        x = replace(block, padding="valid").conv(padded, first, kernel=11, stride=4, name="stem")
    else:
        x = block.conv(image, first, kernel=3, name="stem")
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for index, (filters, kernel, pooled) in enumerate(_CONVOLUTIONS, 1):
        x = block.conv(x, make_divisible(filters * alpha), kernel=kernel, name=f"conv_{index}")
        x = layers.MaxPooling2D(3, 2, name=f"pool_{index}")(x) if pooled else x
    x = layers.Flatten(name="flatten")(x)
    for index in (1, 2):
        x = layers.Dense(units, activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="alexnet")
