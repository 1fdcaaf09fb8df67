"""A perceptron of two hidden layers."""

import keras
from keras import layers


def build(*, size: int, classes: int, units: int, dropout: float) -> keras.Model:
    """(batch, size, size, 1) to logits (batch, classes), through two ReLU layers of ``units`` with dropout."""
    image = keras.Input((size, size, 1), name="image")
    x = layers.Flatten(name="flatten")(image)
    for index in (1, 2):
        x = layers.Dense(units, activation="relu", name=f"hidden_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="mlp")
