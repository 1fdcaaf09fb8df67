"""Generators of 28 x 28 pictures, their colours from -1 to 1: three dense layers, or three transposed convolutions.

Every input has a dense layer of its own, and these are added up: the same as one layer of all inputs side by side, but
that in int8 each input keeps its own scale, on which a class is exactly 1.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

SIDE = 28
"""Pixels of a picture's side."""
_SLOPE = 0.2
_FIRST_SIDE = 4
_KERNEL = 5


def gan(*, noise: int, units: int, **_of_opponent: Any) -> keras.Model:
    """ "noise" (batch, noise) to "image" (batch, 28, 28, 1), through ``units``, twice and four times as many."""
    return _dense([keras.Input((noise,), name="noise")], units, "gan")


def cgan(*, noise: int, classes: int, units: int, **_of_opponent: Any) -> keras.Model:
    """As `gan`, with the class asked for as "condition" (batch, classes), one-hot."""
    return _dense([keras.Input((noise,), name="noise"), keras.Input((classes,), name="condition")], units, "cgan")


def dcgan(*, noise: int, filters: int, momentum: float) -> keras.Model:
    """ "noise" (batch, noise) to "image" (batch, 28, 28, 1), through 4, 2 and once ``filters`` channels."""
    return _convolutional([keras.Input((noise,), name="noise")], filters, momentum, "dcgan")


def infogan(*, noise: int, categories: int, codes: int, filters: int, momentum: float) -> keras.Model:
    """As `dcgan`, with a category "condition" (batch, categories), one-hot, and numbers "code" (batch, codes)."""
    given = [("noise", noise), ("condition", categories), ("code", codes)]
    return _convolutional([keras.Input((size,), name=name) for name, size in given], filters, momentum, "infogan")


def weights() -> keras.initializers.Initializer:
    """First weights of a layer: normal with deviation 0.02 (Radford et al. 2015, section 4)."""
    return keras.initializers.RandomNormal(stddev=0.02)


def alone(inputs: Sequence[Any]) -> Any:
    """``inputs`` as a Keras model takes them: a list of one is no input to it."""
    return inputs if len(inputs) > 1 else inputs[0]


def _joined(inputs: Sequence[Any], units: int) -> Any:
    """A dense layer of all ``inputs``."""
    first, *others = (
        layers.Dense(units, use_bias=index == 0, kernel_initializer=weights(), name=f"from_{given.name}")(given)
        for index, given in enumerate(inputs)
    )
    return layers.Add(name="joined")([first, *others]) if others else first


def _dense(inputs: Sequence[Any], units: int, name: str) -> keras.Model:
    x = layers.LeakyReLU(_SLOPE, name="act_1")(_joined(inputs, units))
    for index in (2, 3):
        x = layers.Dense(units << (index - 1), kernel_initializer=weights(), name=f"hidden_{index}")(x)
        x = layers.LeakyReLU(_SLOPE, name=f"act_{index}")(x)
    x = layers.Dense(SIDE * SIDE, kernel_initializer=weights(), name="pixels")(x)
    x = layers.Reshape((SIDE, SIDE, 1), name="square")(x)
    return keras.Model(alone(inputs), layers.Activation("tanh", name="image")(x), name=name)


def _convolutional(inputs: Sequence[Any], filters: int, momentum: float, name: str) -> keras.Model:
    x = layers.ReLU(name="act_1")(_joined(inputs, _FIRST_SIDE**2 * 4 * filters))
    x = layers.Reshape((_FIRST_SIDE, _FIRST_SIDE, 4 * filters), name="square")(x)
    for index, channels, odd in ((2, 2 * filters, 0), (3, filters, None)):  # 4 becomes 7 instead of 8, and 7 then 14
        x = layers.Conv2DTranspose(
            channels, _KERNEL, 2, "same", odd, kernel_initializer=weights(), name=f"deconv_{index}"
        )(x)
        x = layers.BatchNormalization(momentum=momentum, epsilon=1e-5, name=f"norm_{index}")(x)
        x = layers.ReLU(name=f"act_{index}")(x)
    x = layers.Conv2DTranspose(1, _KERNEL, 2, "same", kernel_initializer=weights(), name="pixels")(x)
    return keras.Model(alone(inputs), layers.Activation("tanh", name="image")(x), name=name)
