"""What generators learn against: networks that tell real pictures from made ones. They are in no file.

Each takes (batch, 28, 28, 1) from -1 to 1, the conditional one the class too, and gives by name "real", the logit of
the picture being real, and where asked "category" and "code", what it takes for the inputs of the generator.
"""

from typing import Any

import keras
from keras import layers

from edgekit.models.generators import SIDE, weights

_SLOPE = 0.2
_KERNEL = 5


def gan(*, units: int, dropout: float, **_of_generator: Any) -> keras.Model:
    """Dense layers of 4, 2 and once ``units``, each of which forgets the share ``dropout`` of what it found."""
    image = _image()
    found = _dense(layers.Flatten(name="flatten")(image), units, dropout)
    return keras.Model(image, {"real": _logits(found, 1, "real")}, name="discriminator")


def cgan(*, classes: int, units: int, dropout: float, match: str, **_of_generator: Any) -> keras.Model:
    """As `gan`, of a picture and the class that it should show.

    That is "beside" the pixels, or with ``match`` "projection" compared with what was found in them: the logit has the
    product of both more (Miyato and Koyama 2018, arXiv:1802.05637, figure 1d).
    """
    image, condition = _image(), keras.Input((classes,), name="condition")
    pixels = layers.Flatten(name="flatten")(image)
    if match == "beside":
        found = _dense(layers.Concatenate(name="beside")([pixels, condition]), units, dropout)
        logit = _logits(found, 1, "real")
    else:
        found = _dense(pixels, units, dropout)
        wanted = layers.Dense(units, use_bias=False, kernel_initializer=weights(), name="wanted")(condition)
        alike = layers.Dot(1, name="alike")([found, wanted])
        logit = layers.Add(name="real")([_logits(found, 1, "any_class"), alike])
    return keras.Model([image, condition], {"real": logit}, name="discriminator")


def dcgan(*, filters: int, momentum: float, **_of_generator: Any) -> keras.Model:
    """Convolutions of ``filters``, twice and four times as many channels."""
    image = _image()
    return keras.Model(image, {"real": _logits(_convolved(image, filters, momentum), 1, "real")}, name="discriminator")


def infogan(*, categories: int, codes: int, filters: int, momentum: float, **_of_generator: Any) -> keras.Model:
    """As `dcgan`, with two dense layers on which the guesses of category and code rest too."""
    image = _image()
    x = layers.Dense(16 * filters, kernel_initializer=weights(), name="shared_1")(_convolved(image, filters, momentum))
    x = layers.BatchNormalization(momentum=momentum, epsilon=1e-5, name="shared_norm")(x)
    x = layers.LeakyReLU(_SLOPE, name="shared_act")(x)
    x = layers.Dense(2 * filters, kernel_initializer=weights(), name="shared_2")(x)
    outputs = {name: _logits(x, size, name) for name, size in (("real", 1), ("category", categories), ("code", codes))}
    return keras.Model(image, outputs, name="discriminator")


def _image() -> Any:
    return keras.Input((SIDE, SIDE, 1), name="image")


def _logits(x: Any, size: int, name: str) -> Any:
    return layers.Dense(size, kernel_initializer=weights(), name=name)(x)


def _dense(x: Any, units: int, dropout: float) -> Any:
    for index, width in enumerate((4 * units, 2 * units, units), 1):
        x = layers.Dense(width, kernel_initializer=weights(), name=f"hidden_{index}")(x)
        x = layers.LeakyReLU(_SLOPE, name=f"act_{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return x


def _convolved(x: Any, filters: int, momentum: float) -> Any:
    for index, channels in enumerate((filters, 2 * filters, 4 * filters), 1):
        x = layers.Conv2D(channels, _KERNEL, 2, "same", kernel_initializer=weights(), name=f"conv_{index}")(x)
        if index > 1:  # the first one sees the pictures as they are (Radford et al. 2015, section 3)
            x = layers.BatchNormalization(momentum=momentum, epsilon=1e-5, name=f"norm_{index}")(x)
        x = layers.LeakyReLU(_SLOPE, name=f"act_{index}")(x)
    return layers.Flatten(name="flatten")(x)
