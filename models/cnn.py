"""Three convolutions, two of them pooled."""

import keras
from keras import layers


def build(*, size: int, classes: int, filters: int, dropout: float) -> keras.Model:
    """(batch, size, size, 1) to logits (batch, classes); 3 x 3 kernels without padding, so 28 becomes 26-13-11-5-3."""
    image = keras.Input((size, size, 1), name="image")
    x = image
    for index in (1, 2):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv_{index}")(x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    x = layers.Conv2D(filters, 3, activation="relu", name="conv_3")(x)
    x = layers.Dropout(dropout, name="dropout")(layers.Flatten(name="flatten")(x))
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="cnn")
