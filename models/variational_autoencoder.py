"""The learner of a variational autoencoder (Kingma and Welling 2014, arXiv:1312.6114), whose noise is an input."""

from typing import Any

from edgekit.models.framework import load_keras

NOISE = "noise"


def variational(model: Any) -> Any:
    """The learner of ``model``: its input and "noise" (batch, code) to code, reconstruction and log variance of a code.

    The code that is decoded is mean + noise times deviation (section 2.4), so that a training is a function of its
    batches, and without noise it is ``model`` itself, whose weights it shares. The layer of the variance is its own.
    """
    keras = load_keras()
    ops, encoder = keras.ops, model.get_layer("code")
    size = encoder.units
    # The deviation is 1 at first, whatever the input.
    spread = keras.layers.Dense(size, kernel_initializer="zeros", name="code_log_variance")(encoder.input)
    noise = keras.Input((size,), name=NOISE)
    x = encoder.output + noise * ops.exp(0.5 * spread)
    names = [layer.name for layer in model.layers]
    for layer in model.layers[names.index("code") + 1 : names.index("reconstruction") + 1]:
        x = layer(x)
    return keras.Model([model.inputs[0], noise], [encoder.output, x, spread], name=model.name)
