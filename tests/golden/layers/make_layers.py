"""Writes the files of this folder: ``python tests/golden/layers/make_layers.py``; needs the extra ``convert``.

A small network with a ReLU6 whose channels differ much in size, as in MobileNets, so that equalization helps, and of
which one never changes, so that it can carry a copy of another; converted to fp32 and int8 in both formats with all
accuracy steps. Weights and data are seeded.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

from edgekit.converters import Request, convert
from edgekit.recipe import Precision, Recipe

HERE = Path(__file__).parent


def small() -> keras.Model:
    """(8, 8, 3) to 4 logits."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(2)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.ReLU(6.0, name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.ReLU(6.0, name="depthwise_relu")(layers.BatchNormalization(name="depthwise_bn")(x))
    x = layers.Conv2D(8, 1, name="project")(x)
    y = layers.Conv2D(8, 3, padding="same", activation="relu", name="mix")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Add(name="add")([x, y]))
    model = keras.Model(image, layers.Dense(4, name="logits")(x), name="small")
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.beta.assign(random.normal(0.5, 0.3, 8))
            layer.moving_variance.assign(random.uniform(0.1, 0.5, 8))
        elif getattr(layer, "use_bias", False):  # a bias of zero would be folded away
            layer.bias.assign(random.normal(0, 0.1, layer.bias.shape))
    size = np.geomspace(0.02, 1, 8)
    norm, reader = model.get_layer("stem_bn"), model.get_layer("depthwise")
    used = np.arange(8) != 3
    norm.gamma.assign(norm.gamma * size * used)
    norm.beta.assign(norm.beta * size * used)
    reader.kernel.assign(reader.kernel / size[:, None])
    return model


def main() -> None:
    """Convert it beside this script."""
    with tempfile.TemporaryDirectory() as folder:
        source, data = Path(folder) / "small.keras", Path(folder) / "small.npz"
        small().save(source)
        np.savez(data, x=np.random.default_rng(0).uniform(0, 1, (24, 8, 8, 3)).astype(np.float32))
        recipes = tuple(Recipe(precision=p, calibration_samples=16) for p in (Precision.FP32, Precision.INT8))
        report = convert(Request(source=source, recipes=recipes, calibration=str(data), output_dir=Path(folder)))
        for row in report.artifacts:
            (HERE / row.path.name).write_bytes(row.path.read_bytes())


if __name__ == "__main__":
    main()
