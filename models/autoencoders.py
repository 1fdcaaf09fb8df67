"""Autoencoders: networks that squeeze their input into a code and make it again, and the error of that as a score.

The layers of the score are called so that all of them can stay in float: integers would clip what is far outside of
what is normal, which is what the score is to find.
"""

from typing import Any

import keras
from keras import layers

from edgekit.errors import InputError

SIDE_STEPS = 4
"""By how much `ae_conv` makes a side smaller; sides are multiples of it."""


def ae_vanilla(*, features: int, code: int) -> keras.Model:
    """ "features" (batch, features) to "code" (batch, code), "reconstruction" like the input and "score" (batch, 1)."""
    return _dense(features, code, (), "ae_vanilla")


def ae_deep(*, features: int, hidden: int, code: int) -> keras.Model:
    """As `ae_vanilla`, with a layer of ``hidden`` units before and after the code."""
    return _dense(features, code, (hidden,), "ae_deep")


def ae_sparse(*, features: int, hidden: int, code: int, **_of_lesson: Any) -> keras.Model:
    """As `ae_deep`; it learns to leave most of the code at 0."""
    return _dense(features, code, (hidden,), "ae_sparse")


def ae_denoising(*, features: int, code: int, **_of_lesson: Any) -> keras.Model:
    """As `ae_vanilla`; it learns from damaged rows what they were."""
    return _dense(features, code, (), "ae_denoising")


def ae_contractive(*, features: int, code: int, **_of_lesson: Any) -> keras.Model:
    """As `ae_vanilla`; it learns a code that changes little with its input."""
    return _dense(features, code, (), "ae_contractive")


def vae(*, features: int, hidden: int, code: int, **_of_lesson: Any) -> keras.Model:
    """As `ae_deep`, with a linear code, around which its learner draws (`edgekit.models.variational_autoencoder`)."""
    return _dense(features, code, (hidden,), "vae", linear=True)


def ae_conv(*, size: int, channels: int, filters: int, code: int) -> keras.Model:
    """ "image" (batch, size, size, channels), of 0 to 1, to "code", "reconstruction" and "score" as in `ae_vanilla`."""
    if size % SIDE_STEPS:
        raise InputError(f"ae_conv takes sizes that are multiples of {SIDE_STEPS}; got {size}.")
    side = size // SIDE_STEPS
    image = keras.Input((size, size, channels), name="image")
    x = image
    for index in (1, 2):
        x = layers.Conv2D(index * filters, 3, 2, "same", activation="relu", name=f"conv_{index}")(x)
    encoded = layers.Dense(code, name="code")(layers.Flatten(name="flatten")(x))
    x = layers.Dense(side * side * 2 * filters, activation="relu", name="spread")(encoded)
    x = layers.Reshape((side, side, 2 * filters), name="square")(x)
    x = layers.Conv2DTranspose(filters, 3, 2, "same", activation="relu", name="deconv_1")(x)
    x = layers.Conv2DTranspose(channels, 3, 2, "same", name="deconv_2")(x)
    return _scored(image, encoded, layers.Activation("sigmoid", name="reconstruction")(x), "ae_conv")


def _dense(features: int, code: int, hidden: tuple[int, ...], name: str, *, linear: bool = False) -> keras.Model:
    given = keras.Input((features,), name="features")
    encoded = layers.Dense(code, activation=None if linear else "relu", name="code")(_stack(given, hidden, "encoder"))
    decoded = _stack(encoded, hidden[::-1], "decoder")
    return _scored(given, encoded, layers.Dense(features, name="reconstruction")(decoded), name)


def _stack(x: Any, units: tuple[int, ...], name: str) -> Any:
    for index, size in enumerate(units, 1):
        x = layers.Dense(size, activation="relu", name=f"{name}_{index}")(x)
    return x


def _scored(given: Any, code: Any, reconstruction: Any, name: str) -> keras.Model:
    """The model with the mean of the squared differences as its score."""
    difference = layers.Subtract(name="score_difference")([given, reconstruction])
    square = layers.Multiply(name="score_square")([difference, difference])
    column = layers.Reshape((-1, 1), name="score_column")(square)
    score = layers.GlobalAveragePooling1D(name="score")(column)
    return keras.Model(given, [code, reconstruction, score], name=name)
