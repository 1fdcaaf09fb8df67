"""Tiny generators of 28 x 28 pictures with random weights, and a judge that tells brightness apart, as Keras files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import open_artifact
from edgekit.card import ModelCard
from edgekit.formats.keras import write_card
from edgekit.generation import Condition, Drawn, Generator
from edgekit.preprocessing import Resize, preset

DIGITS = tuple("0123456789")


def generator(
    path: Path, *, classes: int | None = None, asked: bool = True, codes: int = 0, size: int = 28, told: bool = True
) -> Path:
    """A generator that shows its noise as shades; of class k of n it makes pictures of the brightness k / (n - 1).

    The noise, and the first code, brighten a picture a little. ``told=False`` leaves the card out.
    """
    import keras

    keras.utils.set_random_seed(1)
    noise = keras.Input((8,), name="noise")
    inputs = [noise]
    x = keras.layers.Dense(49, use_bias=False, name="seed")(noise)
    x = keras.layers.Reshape((7, 7, 1))(x)
    x = keras.layers.Conv2DTranspose(4, 4, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same")(x)
    if size != 28:
        x = keras.layers.Cropping2D((28 - size) // 2)(x)
    for name, count, shades in (
        ("condition", classes, np.linspace(-3, 3, classes or 1)),
        ("code", codes, 0.5 * (np.arange(codes) == 0)),
    ):
        if count:
            inputs.append(keras.Input((count,), name=name))
            everywhere = keras.layers.Dense(size * size, use_bias=False, name=f"shade_of_{name}")
            x = keras.layers.Add()([x, keras.layers.Reshape((size, size, 1))(everywhere(inputs[-1]))])
            everywhere.set_weights([np.repeat(shades[:, None], size * size, axis=1)])
    image = keras.layers.Activation("tanh", name="image")(x)
    keras.Model(inputs, image, name="tiny").save(path)
    if told:
        card = Generator(
            noise=Drawn(name="noise", size=8),
            condition=None if classes is None else Condition(name="condition", classes=classes, asked=asked),
            code=Drawn(name="code", size=codes) if codes else None,
        )
        labels = DIGITS[:classes] if classes is not None and asked else None
        _tell(path, task="image-generation", generator=card, labels=labels)
    return path


def judge(path: Path, *, classes: int = 4, size: int = 28, **card: Any) -> Path:
    """A classifier of the mean brightness, 0..1, into ``classes`` even parts; its features are that and its square."""
    import keras

    image = keras.Input((size, size, 1), name="image")
    mean = keras.layers.GlobalAveragePooling2D()(image)
    last = keras.layers.Dense(classes, name="logits")
    keras.Model(image, last(keras.layers.Concatenate()([mean, keras.layers.Multiply()([mean, mean])]))).save(path)
    model = keras.models.load_model(path)
    middles = (np.arange(classes) + 0.5) / classes
    # -(mean - middle)² is largest for the nearest middle.
    model.get_layer("logits").set_weights([np.stack([2 * middles, -np.ones(classes)]), -(middles**2)])
    model.save(path)
    how = replace(preset("unit", size_hw=(size, size), channels=1), resize=Resize.STRETCH)
    _tell(path, **{"task": "classification", "preprocessing": how, "labels": DIGITS[:classes], **card})
    return path


def _tell(path: Path, **fields: Any) -> None:
    found = open_artifact(path).card
    write_card(path, ModelCard(name=path.stem, inputs=found.inputs, outputs=_outputs(path), **fields))


def _outputs(path: Path) -> Any:
    from edgekit.runtimes import open_runtime

    return open_runtime(path).outputs
