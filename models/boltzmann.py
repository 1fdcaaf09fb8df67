"""Restricted Boltzmann machines: one of ratings, and a stack of them that becomes a classifier."""

from typing import Any

import keras
from keras import layers

from edgekit.models.contrastive import HIDDEN, SIX, STANDARDIZED, VISIBLE

_FAR = 40.0
"""Nothing is left of e to the power of this many below."""
_FIRST_WEIGHT = 0.01
"""The deviation of first weights (Hinton 2010, "A practical guide to training RBMs", section 8)."""


def rbm(*, items: int, hidden: int, **_of_training: Any) -> keras.Model:
    """ "ratings" (batch, items), 0 to 1, or -1 without one, to the outputs of a machine of ``hidden`` units.

    "hidden" (batch, hidden) are the probabilities of the hidden units, "reconstruction" (batch, items) the ratings to
    be expected of all items, from 0 to 1, and "score" (batch, 1) the mean squared error of those at the ratings given,
    which says nothing where there are none. Visible units are normal with the items' means and one deviation, the layer
    "standardized".
    """
    ratings = keras.Input((items,), name="ratings")
    standardized = layers.BatchNormalization(center=False, scale=False, epsilon=1e-6, name=STANDARDIZED)(ratings)
    unrated = layers.ReLU(name="unrated")(layers.Rescaling(-1.0, name="below")(ratings))
    seen = layers.Multiply(name="seen")([standardized, layers.Rescaling(-1.0, offset=1.0, name="rated")(unrated)])
    units = layers.Dense(hidden, "sigmoid", kernel_initializer=_small(), name=HIDDEN)(seen)
    expected = layers.Dense(items, kernel_initializer=_small(), name=VISIBLE)(units)
    # Clipped from 0 to 1 by way of 6, for which int8 of TFLite has an operator.
    reconstruction = layers.Rescaling(1 / SIX, name="reconstruction")(layers.ReLU(SIX, name="clipped")(expected))
    # Alike for all ratings, together 1: operators that divide have no names of their own in a converted file.
    weights = layers.Softmax(name="score_weights")(layers.Rescaling(-_FAR, name="score_far")(unrated))
    difference = layers.Subtract(name="score_difference")([ratings, reconstruction])
    square = layers.Multiply(name="score_square")([difference, difference])
    share = layers.Multiply(name="score_share")([square, weights])
    score = layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False, name="score")(share)
    return keras.Model(ratings, {"hidden": units, "reconstruction": reconstruction, "score": score}, name="rbm")


def dbn(*, size: int, classes: int, units: int, depth: int, **_of_training: Any) -> keras.Model:
    """(batch, size, size, 1) to logits (batch, classes), through ``depth`` sigmoid layers of ``units``.

    Each of these, "hidden_1" and so on, is a machine's way from visible to hidden units.
    """
    image = keras.Input((size, size, 1), name="image")
    x = layers.Flatten(name="flatten")(image)
    for index in range(1, depth + 1):
        x = layers.Dense(units, "sigmoid", kernel_initializer=_small(), name=f"{HIDDEN}_{index}")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="dbn")


def _small() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=_FIRST_WEIGHT)
