"""Tiny generators of grey pictures as ONNX files, real pictures like them, and a judge of their shades."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Format, open_artifact, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.formats.keras import write_card
from edgekit.generation import Condition, Drawn, Generator
from edgekit.preprocessing import Resize, preset

SIDE, NOISE = 12, 8


def shade(number: int, classes: int) -> float:
    """The brightness, 0..1, of pictures of class ``number``."""
    return (number + 0.5) / classes


def generator(
    path: Path,
    *,
    classes: int | None = 3,
    asked: bool = True,
    codes: int = 0,
    rough: float = 0.0,
    order: tuple[int, ...] | None = None,
    nan: bool = False,
    flat: bool = False,
    told: bool = True,
    **card: Any,
) -> Path:
    """A generator whose picture is a shade for its class, brightened by the first code, and noise.

    ``rough`` rounds its weights, as quantization does; ``order`` are the shades of its classes, in turn; a ``flat`` one
    gives rows of numbers whatever its card says; ``told=False`` leaves the card out.
    """
    from onnx import TensorProto, helper, numpy_helper

    random, size = np.random.default_rng(1), SIDE * SIDE
    parts = {"noise": random.normal(0, 0.06, (NOISE, size))}
    if classes is not None:
        shades = [shade(number, classes) for number in order or range(classes)]
        parts["condition"] = np.repeat(np.arctanh(2 * np.array(shades) - 1)[:, None], size, axis=1)
    if codes:
        parts["code"] = np.repeat(0.1 * np.eye(codes, 1), size, axis=1)
    if nan:
        parts["noise"][0, 0] = np.nan
    constants = {f"{name}_weights": np.rint(w / rough) * rough if rough else w for name, w in parts.items()}
    nodes = [helper.make_node("MatMul", [name, f"{name}_weights"], [f"{name}_part"]) for name in parts]
    nodes += [
        helper.make_node("Sum", [f"{name}_part" for name in parts], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["flat"]),
        helper.make_node("Reshape", ["flat", "rows" if flat else "shape"], ["image"]),
    ]
    sizes = {name: weights.shape[0] for name, weights in parts.items()}
    graph = helper.make_graph(
        nodes,
        "shades",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", n)) for name, n in sizes.items()],
        [
            helper.make_tensor_value_info(
                "image", TensorProto.FLOAT, ("batch", size) if flat else ("batch", SIDE, SIDE, 1)
            )
        ],
        [
            *(numpy_helper.from_array(w.astype(np.float32), name) for name, w in constants.items()),
            numpy_helper.from_array(np.array([-1, SIDE, SIDE, 1]), "shape"),
            numpy_helper.from_array(np.array([-1, size]), "rows"),
        ],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    if told:
        fields: dict[str, Any] = {
            "name": path.stem,
            "task": "image-generation",
            "inputs": tuple(TensorSpec(name=name, shape=(None, n), dtype="float32") for name, n in sizes.items()),
            "outputs": (TensorSpec(name="image", shape=(None, SIDE, SIDE, 1), dtype="float32"),),
            "labels": names(classes) if classes is not None and asked else None,
            "generator": Generator(
                noise=Drawn(name="noise", size=NOISE),
                condition=None if classes is None else Condition(name="condition", classes=classes, asked=asked),
                code=Drawn(name="code", size=codes) if codes else None,
            ),
        }
        data = with_card(data, ModelCard(**{**fields, **card}), Format.ONNX)
    path.write_bytes(data)
    return path


def names(classes: int) -> tuple[str, ...]:
    """What the classes are called."""
    return ("dark", "grey", "light", "bright")[:classes]


def real_pictures(path: Path, *, classes: int = 3, count: int = 60, noise: float = 0.05) -> Path:
    """An .npz of such pictures that no generator made, and their classes."""
    random, labels = np.random.default_rng(2), np.arange(count) % classes
    shades = np.array([shade(number, classes) for number in labels])[:, None, None, None]
    pictures = np.clip(shades + random.normal(0, noise, (count, SIDE, SIDE, 1)), 0, 1)
    np.savez(path, x=np.rint(255 * pictures).astype(np.uint8), y=labels)
    return path


def judge(path: Path, *, classes: int = 3, tail: str | None = None, **card: Any) -> Path:
    """A classifier of the mean brightness; its features are that and its square. ``tail`` is an activation behind."""
    import keras

    image = keras.Input((SIDE, SIDE, 1), name="image")
    mean = keras.layers.GlobalAveragePooling2D()(image)
    logits = keras.layers.Dense(classes, name="logits")
    answer = logits(keras.layers.Concatenate()([mean, keras.layers.Multiply()([mean, mean])]))
    model = keras.Model(image, answer if tail is None else keras.layers.Activation(tail)(answer))
    middles = np.array([shade(number, classes) for number in range(classes)])
    # -(mean - middle)² without the part that is the same for all: largest for the nearest middle.
    weights: npt.NDArray[np.float64] = np.stack([20 * middles, np.full(classes, -10.0)])
    logits.set_weights([weights, -10 * middles**2])
    model.save(path)
    how = replace(preset("unit", size_hw=(SIDE, SIDE), channels=1), resize=Resize.STRETCH)
    found = open_artifact(path).card
    fields: dict[str, Any] = {
        "name": path.stem,
        "task": "classification",
        "inputs": found.inputs,
        "outputs": found.outputs,
        "preprocessing": how,
        "labels": names(classes),
    }
    write_card(path, ModelCard(**{**fields, **card}))
    return path
