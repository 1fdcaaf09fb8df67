"""LeNet-5 (LeCun et al. 1998, figure 2) in the form that is common today."""

import keras
from keras import layers

_FILTERS = (6, 16)
_WIDTHS = (120, 84)


def build(*, size: int, classes: int, channels: int) -> keras.Model:
    """(batch, size, size, channels) to logits (batch, classes); 5 x 5 kernels without padding: 32 becomes 28-14-10-5.

    With one channel and ten classes 61,706 parameters, where the paper has 60,000: here each filter of the second
    convolution sees all six maps (900 more), pooling takes the maximum and has no weights (44 fewer), and the output
    layer is learned, where the paper measures distances to fixed codes (850 more). ReLU replaces the scaled tanh.
    """
    image = keras.Input((size, size, channels), name="image")
    x = image
    for index, filters in enumerate(_FILTERS, 1):
        x = layers.Conv2D(filters, 5, activation="relu", name=f"conv_{index}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    for index, units in enumerate(_WIDTHS, 1):
        x = layers.Dense(units, activation="relu", name=f"hidden_{index}")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="lenet5")
