"""Networks whose weights are distributions: each as its mean, and as one pass with the noise as further inputs.

The first three functions build the mean network, an ordinary classifier; those called ``*_pass`` build the network of
one pass, whose layers of the same names hold the same weights. No operator draws anything: whoever runs the file does.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from edgekit.models.passes import FIRST_DEVIATION, MASK, NOISE, VARIANCE

Weigh = Callable[[Any, Any], Any]
"""From a layer with weights and its input to its output."""
Drop = Callable[[Any, str], Any]
"""From an activation and a name to the activation of which some units may be dropped."""


def dense(*, size: int, classes: int, units: int) -> keras.Model:
    """(batch, size, size, 1) to logits (batch, classes): two ReLU layers of ``units``, or with 0 of them none.

    Without hidden layers it is a linear classifier; with them the network of Blundell et al. 2015, section 5.1.
    """
    image = keras.Input((size, size, 1), name="image")
    return keras.Model(image, _dense(image, _plainly, classes, units), name="bayes_dense")


def dense_pass(*, size: int, classes: int, units: int) -> keras.Model:
    """As `dense` with an input of normal numbers for each layer with weights."""
    image, noises = keras.Input((size, size, 1), name="image"), Noises()
    logits = _dense(image, noises.weigh, classes, units)
    return keras.Model([image, *noises.inputs], logits, name="bayes_dense_pass")


def conv(*, size: int, classes: int, filters: int, units: int) -> keras.Model:
    """(batch, size, size, 1) to logits (batch, classes): two pooled 5 x 5 convolutions and a layer of ``units``."""
    image = keras.Input((size, size, 1), name="image")
    return keras.Model(image, _conv(image, _plainly, _whole, classes, filters, units), name="bayes_conv")


def conv_pass(*, size: int, classes: int, filters: int, units: int) -> keras.Model:
    """As `conv` with an input of normal numbers for each layer with weights."""
    image, noises = keras.Input((size, size, 1), name="image"), Noises()
    logits = _conv(image, noises.weigh, _whole, classes, filters, units)
    return keras.Model([image, *noises.inputs], logits, name="bayes_conv_pass")


def dropout(*, size: int, classes: int, filters: int, units: int, dropout: float) -> keras.Model:
    """As `conv`, with dropout after each layer with weights but the last, in training alone."""
    image = keras.Input((size, size, 1), name="image")

    def drop(x: Any, name: str) -> Any:
        return layers.Dropout(dropout, name=name)(x)

    return keras.Model(image, _conv(image, _plainly, drop, classes, filters, units), name="mc_dropout")


def dropout_pass(*, size: int, classes: int, filters: int, units: int, dropout: float) -> keras.Model:  # noqa: ARG001
    """As `dropout` with an input of a mask in place of each dropout, which all passes have."""
    image, masks = keras.Input((size, size, 1), name="image"), []

    def drop(x: Any, name: str) -> Any:
        masks.append(keras.Input(x.shape[1:], name=f"{name}{MASK}"))
        return layers.Multiply(name=name)([x, masks[-1]])

    logits = _conv(image, _plainly, drop, classes, filters, units)
    return keras.Model([image, *masks], logits, name="mc_dropout_pass")


def _plainly(layer: Any, x: Any) -> Any:
    return layer(x)


def _whole(x: Any, _name: str) -> Any:
    return x


class Noises:
    """Layers of random weights, each with an input of normal numbers among ``inputs``."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []

    def weigh(self, layer: Any, x: Any) -> Any:
        """One draw of what ``layer`` makes of ``x`` with random weights: a mean, and a deviation times noise.

        For independent normal weights the outputs are normal too, with the variance that the variances of the weights
        give for the squared inputs (the local reparameterization trick, Kingma et al. 2015, section 2.2).
        """
        mean = layer(x)
        noise = keras.Input(mean.shape[1:], name=f"{layer.name}{NOISE}")
        self.inputs.append(noise)
        variance = _of_variances(layer)(layers.Multiply(name=f"{layer.name}_square")([x, x]))
        change = layers.Multiply(name=f"{layer.name}_change")([ops.sqrt(variance), noise])
        # Noise less or more is the same. What TensorFlow fuses of a sum and its ReLU, it cannot read again itself.
        return layers.Subtract(name=f"{layer.name}_drawn")([mean, change])


def _of_variances(layer: Any) -> Any:
    """A layer like ``layer`` for the variances of its weights, at first those of `FIRST_DEVIATION`."""
    first = keras.initializers.Constant(FIRST_DEVIATION**2)
    changed = {"name": f"{layer.name}{VARIANCE}", "kernel_initializer": first, "bias_initializer": first}
    return type(layer).from_config({**layer.get_config(), **changed})


def _dense(image: Any, weigh: Weigh, classes: int, units: int) -> Any:
    x = layers.Flatten(name="flatten")(image)
    for index in (1, 2) if units else ():
        x = layers.ReLU(name=f"relu_{index}")(weigh(layers.Dense(units, name=f"hidden_{index}"), x))
    return weigh(layers.Dense(classes, name="logits"), x)


def _conv(image: Any, weigh: Weigh, drop: Drop, classes: int, filters: int, units: int) -> Any:
    x = image
    for index, count in ((1, filters), (2, 2 * filters)):
        x = weigh(layers.Conv2D(count, 5, name=f"conv_{index}"), x)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(layers.ReLU(name=f"relu_{index}")(x))
        x = drop(x, f"dropout_{index}")
    x = layers.ReLU(name="relu_3")(weigh(layers.Dense(units, name="hidden"), layers.Flatten(name="flatten")(x)))
    return weigh(layers.Dense(classes, name="logits"), drop(x, "dropout_3"))
