"""Capsules with dynamic routing (Sabour, Frosst and Hinton 2017, arXiv:1710.09829), in stock layers with names."""

from typing import Any

import keras
from keras import layers

from edgekit.models.complexity import CAPSULE_VOTES

_SPREAD = 0.1
"""Standard deviation of the first weights between capsules."""


def build(*, size: int, classes: int, filters: int, types: int, primary: int, digit: int, routings: int) -> keras.Model:
    """ "image" (batch, size, size, 1) to "lengths" (batch, classes), 0 to 1: how surely each class is there.

    Two convolutions of 9 x 9 make ``types`` kinds of capsules of ``primary`` numbers at each place; each votes for each
    of the classes' capsules of ``digit`` numbers (section 4), and ``routings`` iterations choose the votes that agree
    (section 2, procedure 1). Lengths are neither logits nor probabilities: they need not sum to anything.
    """
    image = keras.Input((size, size, 1), name="image")
    x = layers.Conv2D(filters, 9, activation="relu", name="conv_1")(image)
    x = layers.Conv2D(types * primary, 9, strides=2, name="conv_2")(x)
    count = types * x.shape[1] * x.shape[2]
    x = layers.Reshape((count, primary), name="primary_capsules")(x)
    x = _squash(x, "primary_squash")
    votes = layers.EinsumDense(
        CAPSULE_VOTES,
        output_shape=(count, classes, digit),
        kernel_initializer=keras.initializers.RandomNormal(stddev=_SPREAD),
        name="votes",
    )(x)
    lengths = _routed(votes, routings)
    return keras.Model(image, layers.Reshape((classes,), name="lengths")(lengths), name="capsnet")


def _routed(votes: Any, routings: int) -> Any:
    """The lengths (batch, classes, 1) of the capsules on which ``votes`` (batch, count, classes, digit) agree.

    The first iteration weighs all votes alike.
    """
    count, classes, digit = votes.shape[1:]
    said, logits = votes, None
    for number in range(1, routings + 1):
        name = f"routing_{number}"
        x = layers.Reshape((count, classes * digit), name=f"{name}_flat")(said)
        x = layers.GlobalAveragePooling1D(name=f"{name}_mean")(x)
        x = layers.Rescaling(count / classes if logits is None else count, name=f"{name}_sum")(x)
        x = layers.Reshape((classes, digit), name=f"{name}_capsules")(x)
        if number == routings:
            return _length(x, f"{name}_squash")
        capsules = _squash(x, f"{name}_squash")
        told = layers.Reshape((1, classes, digit), name=f"{name}_told")(capsules)
        agreed = _sum(layers.Multiply(name=f"{name}_agreement")([votes, told]), f"{name}_agreed")
        logits = agreed if logits is None else layers.Add(name=f"{name}_logits")([logits, agreed])
        weights = layers.Softmax(axis=2, name=f"{name}_weights")(logits)
        said = layers.Multiply(name=f"{name}_weighted")([votes, weights])
    raise ValueError(f"Capsules are routed once or more; got {routings} times.")


def _squash(x: Any, name: str) -> Any:
    """``x`` (..., size) with the same direction and a length below 1 (equation 1)."""
    direction = layers.UnitNormalization(name=f"{name}_direction")(x)
    return layers.Multiply(name=name)([direction, _length(x, name)])


def _length(x: Any, name: str) -> Any:
    """That of a squashed s, (..., 1): |s|² / (1 + |s|²), which is called softsign of |s|²."""
    squares = _sum(layers.Multiply(name=f"{name}_squares")([x, x]), f"{name}_sum")
    return layers.Activation("softsign", name=f"{name}_length")(squares)


def _sum(x: Any, name: str) -> Any:
    """The sum of the last axis, as a layer with a name: a product with ones that never learn."""
    return layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False, name=name)(x)


def decoder(*, size: int, classes: int, digit: int, **_: Any) -> keras.Model:
    """The "capsules" (batch, classes, digit), all but one of them zero, to "pixels" (batch, size, size, 1), 0 to 1.

    It is there while capsules learn, so that they keep what a picture looks like (section 4.1), and in no file.
    """
    capsules = keras.Input((classes, digit), name="capsules")
    x = layers.Flatten(name="flatten")(capsules)
    for number, units in enumerate((512, 1024), 1):
        x = layers.Dense(units, activation="relu", name=f"hidden_{number}")(x)
    x = layers.Dense(size * size, activation="sigmoid", name="dense")(x)
    return keras.Model(capsules, layers.Reshape((size, size, 1), name="pixels")(x), name="capsnet_decoder")
