"""Twin networks that tell whether two pictures show the same (Koch, Zemel and Salakhutdinov 2015)."""

from typing import Any

import keras
from keras import layers

from edgekit.errors import InputError
from edgekit.models.blocks import ConvNorm, make_divisible
from edgekit.tasks.verification import EMBEDDING, FIRST, SECOND

LOGISTIC = "logistic"
_WIDTHS = (64, 128, 128, 256)  # channels of the four convolutions at alpha 1
_KERNELS = {"large": (10, 7, 4, 4), "small": (5, 3, 3, 3)}
_LEAST_SIZE = 65
"""In pixels, of what the large kernels, which see no place beyond the border, leave one place of."""


def build(
    *, size: int, channels: int, alpha: float, kernels: str, norm: str, momentum: float, units: int, loss: str
) -> keras.Model:
    """Two networks side by side, which share nothing: pictures are embedded one by one, and compared in any pairs.

    "image" (batch, size, size, channels) to "embedding" (batch, units), the tower that both twins are; "first" and
    "second", each (batch, units), to "same" (batch, 1), a logit, where ``loss`` is "logistic" (section 3.1 of the
    paper), else to "distance" (batch, 1), the square of the Euclidean one. ``alpha`` scales the channels. The "large"
    kernels are the paper's and the "small" ones, for smaller pictures, keep the border.
    """
    if kernels == "large" and size < _LEAST_SIZE:
        raise InputError(f"siamese with large kernels takes size {_LEAST_SIZE} or more; got {size}: use small kernels.")
    block = ConvNorm(momentum=momentum, norm=norm, padding="valid" if kernels == "large" else "same")
    image = keras.Input((size, size, channels), name="image")
    x = image
    for number, (width, kernel) in enumerate(zip(_WIDTHS, _KERNELS[kernels], strict=True), 1):
        x = block.conv(x, make_divisible(width * alpha), kernel=kernel, name=f"conv_{number}")
        x = layers.MaxPooling2D(2, name=f"pool_{number}")(x) if number < len(_WIDTHS) else x
    x = layers.Flatten(name="flatten")(x)
    activation = "sigmoid" if loss == LOGISTIC else "linear"
    embedding = layers.Dense(units, activation=activation, name=EMBEDDING)(x)
    first, second = (keras.Input((units,), name=name) for name in (FIRST, SECOND))
    compared = _logit(first, second) if loss == LOGISTIC else _distance(first, second)
    return keras.Model([image, first, second], [embedding, compared], name="siamese")


def _logit(first: Any, second: Any) -> Any:
    """A weighted sum of the absolute differences, written as larger less smaller, for which all formats have words."""
    larger, smaller = layers.Maximum(name="larger")([first, second]), layers.Minimum(name="smaller")([first, second])
    difference = layers.Subtract(name="difference")([larger, smaller])
    return layers.Dense(1, name="same")(difference)


def _distance(first: Any, second: Any) -> Any:
    difference = layers.Subtract(name="difference")([first, second])
    return layers.Dot(1, name="distance")([difference, difference])
