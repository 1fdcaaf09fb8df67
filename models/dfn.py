"""A feed-forward network whose layers narrow."""

import keras
from keras import layers

_WIDTHS = (256, 128)


def build(*, size: int, classes: int, dropout: float) -> keras.Model:
    """(batch, size, size, 1) to logits (batch, classes), through ReLU layers of 256 and 128 with dropout."""
    image = keras.Input((size, size, 1), name="image")
    x = layers.Flatten(name="flatten")(image)
    for index, units in enumerate(_WIDTHS, 1):
        x = layers.Dense(units, activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="dfn")
