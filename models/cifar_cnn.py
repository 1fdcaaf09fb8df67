"""Five normalised convolutions and three dense layers, for CIFAR-10."""

import keras
from keras import layers

from edgekit.models.blocks import ConvNorm, make_divisible

# (filters at alpha 1, whether pooled) of the convolutions
_CONVOLUTIONS = ((64, True), (128, False), (128, True), (256, True), (512, True))
_WIDTHS = (1024, 512, 256)


def build(*, alpha: float, size: int, classes: int, momentum: float, dropout: float) -> keras.Model:
    """(batch, size, size, 3) to logits (batch, classes); 3 x 3 kernels with padding, so 32 becomes 16-16-8-4-2.

    ``alpha`` scales the filters and the units; ``dropout`` follows each dense layer.
    """
    block = ConvNorm(momentum=momentum)
    image = keras.Input((size, size, 3), name="image")
    x = image
    for index, (filters, pooled) in enumerate(_CONVOLUTIONS, 1):
        x = block.conv(x, make_divisible(filters * alpha), kernel=3, name=f"conv_{index}")
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x) if pooled else x
    x = layers.Flatten(name="flatten")(x)
    for index, units in enumerate(_WIDTHS, 1):
        x = layers.Dense(make_divisible(units * alpha), activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="cifar_cnn")
