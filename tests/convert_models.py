"""Builds the tiny source models of the conversion tests into a folder: ``python tests/convert_models.py FOLDER``.

One process with TensorFlow for all of them. Weights are seeded.
"""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def images() -> keras.Model:
    """Convolutions, depthwise with BatchNorm, residual add, pooling, dense: (8, 8, 3) to 4 logits."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="stem_bn")(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization(name="depthwise_bn")(y))
    y = layers.Conv2D(8, 1, name="project")(y)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    model = keras.Model(image, layers.Dense(4, name="logits")(x), name="images")
    for layer in model.layers:  # statistics that folding must not get wrong
        if isinstance(layer, layers.BatchNormalization):
            rng = np.random.default_rng(2)
            size = layer.gamma.shape[0]
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, size),
                    rng.normal(0, 0.3, size),
                    rng.normal(0, 0.3, size),
                    rng.uniform(0.5, 2, size),
                ]
            )
    return model


def leaky() -> keras.Model:
    """An operator that litert-quantizer leaves in float."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [layers.Input((6,), name="x"), layers.Dense(8, name="hidden"), layers.LeakyReLU(0.2), layers.Dense(3, name="y")]
    )


def recurrent() -> keras.Model:
    """An LSTM over 5 steps."""
    keras.utils.set_random_seed(1)
    return keras.Sequential([layers.Input((5, 3), name="x"), layers.LSTM(4), layers.Dense(2, name="y")])


def two_inputs() -> keras.Model:
    """Two inputs of one shape whose order matters, and two outputs."""
    keras.utils.set_random_seed(1)
    b, a = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    difference = layers.Subtract(name="difference")([b, a])
    return keras.Model([b, a], [layers.Dense(3, name="scores")(difference), difference])


class Squared(layers.Layer):
    """A layer whose code no file holds."""

    def call(self, values: Any) -> Any:
        """Each value times itself."""
        return values * values


class Dice(tf.Module):
    """Adds a random number."""

    @tf.function(input_signature=[tf.TensorSpec((None, 4), name="x")])  # type: ignore[untyped-decorator]
    def __call__(self, x: Any) -> dict[str, Any]:
        """Each value and the same random number."""
        return {"y": x + tf.random.normal(()) + tf.random.truncated_normal(())}


def main() -> None:
    """Write the models into the folder of the first argument."""
    folder = Path(sys.argv[1])
    images().save(folder / "images.keras")
    images().save(folder / "images.h5")
    images().export(folder / "images_saved", verbose=False)
    leaky().save(folder / "leaky.keras")
    recurrent().save(folder / "recurrent.keras")
    two_inputs().save(folder / "two_inputs.keras")
    lambda_model = keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x * 2)])
    lambda_model.save(folder / "lambda.keras")
    lambda_model.save(folder / "lambda.h5")
    custom = keras.Sequential([layers.Input((4,)), Squared()])
    custom.save(folder / "custom.keras")
    custom.save(folder / "custom.h5")
    keras.Sequential([layers.Input((4,), name="x", dtype="float64"), layers.Dense(2, dtype="float64")]).save(
        folder / "double.keras"
    )
    tf.saved_model.save(Dice(), str(folder / "dice"))
    images_nan = images()
    kernel = images_nan.get_layer("logits").get_weights()
    images_nan.get_layer("logits").set_weights([np.full_like(kernel[0], np.nan), kernel[1]])
    images_nan.save(folder / "nan.keras")


if __name__ == "__main__":
    main()
