"""Builds a detector of 16 x 16 photos as a Keras model: ``python tests/convert_detector.py MODEL.keras``.

It finds red and blue squares of 4 x 4 pixels that stand in the cells of a 4 x 4 grid. Its weights are not trained but
set: a mean of each colour in each cell, and two anchors in each cell that both see the same square.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers


def detector() -> keras.Model:
    """(16, 16, 3) in 0..1 to (32, 4) offsets and (32, 3) logits of background, red and blue."""
    random = np.random.default_rng(0)
    image = keras.Input((16, 16, 3), name="image")
    cells = layers.ReLU()(layers.Conv2D(8, 4, strides=4, name="cells")(image))
    offsets = layers.Reshape((32, 4), name="offsets")(layers.Conv2D(8, 1, name="offset_head")(cells))
    scores = layers.Reshape((32, 3), name="scores")(layers.Conv2D(6, 1, name="score_head")(cells))
    model = keras.Model(image, [offsets, scores], name="detector")
    kernel = random.normal(0, 0.05, (4, 4, 3, 8))
    kernel[..., :3] = np.eye(3) / 16
    model.get_layer("cells").set_weights([kernel, np.zeros(8)])
    little = random.normal(0, 0.02, (1, 1, 8, 8))
    model.get_layer("offset_head").set_weights([little, np.zeros(8)])
    table = random.normal(0, 0.02, (8, 2, 3))
    for colour, other, kind in ((0, 2, 1), (2, 0, 2)):  # red without blue, blue without red
        table[colour, :, kind], table[other, :, kind] = 12, -12
    bias = np.array([[4, 0, 0], [5, 0, 0]])  # the second anchor of a cell is less sure
    model.get_layer("score_head").set_weights([table.reshape(1, 1, 8, 6), bias.ravel()])
    return model


if __name__ == "__main__":
    detector().save(Path(sys.argv[1]))
