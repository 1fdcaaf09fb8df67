"""A small ResNet or Inception, trained for a minute on scikit-learn's digits: python architectures.py NAME PATH.keras

He et al. 2016 (arXiv:1512.03385), figure 2; Szegedy et al. 2015 (arXiv:1409.4842), figure 2(b). Float accuracy is not
the point: they have the residuals and concatenations that quantizing must get right.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.data import Part, open_data

EPOCHS = 12


def convolution(x: Any, filters: int, size: int, strides: int = 1, *, rectified: bool = True) -> Any:
    from keras import layers

    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)  # few steps must do
    return layers.ReLU()(x) if rectified else x


def resnet(x: Any) -> Any:
    from keras import layers

    x = convolution(x, 16, 3)
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        direct = x if strides == 1 else convolution(x, filters, 1, strides, rectified=False)
        inner = convolution(convolution(x, filters, 3, strides), filters, 3, rectified=False)
        x = layers.ReLU()(layers.Add()([inner, direct]))
    return x


def inception(x: Any) -> Any:
    from keras import layers

    x = layers.MaxPooling2D()(convolution(x, 24, 3))
    for filters in (16, 24):
        pooled = layers.MaxPooling2D(3, 1, padding="same")(x)
        x = layers.Concatenate()(
            [
                convolution(x, filters, 1),
                convolution(convolution(x, filters, 1), filters, 3),
                convolution(convolution(x, filters // 2, 1), filters, 5),
                convolution(pooled, filters, 1),
            ]
        )
    return x


def main() -> None:
    import keras

    name, path = sys.argv[1], Path(sys.argv[2])
    keras.utils.set_random_seed(0)
    data = open_data("digits", part=Part.TRAIN, data_dir=None)
    images = np.stack([np.asarray(item, np.float32) / 255 for item in data])
    inputs = keras.Input(images.shape[1:], name="image")
    body = {"resnet": resnet, "inception": inception}[name](inputs)
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(body)), name=name)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(images, data.labels, batch_size=64, epochs=EPOCHS, verbose=0)
    model.save(path)


if __name__ == "__main__":
    main()
