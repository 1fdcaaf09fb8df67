"""Stripes to learn from, and tiny Bayesian classifiers of them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.models.registry import find_spec
from edgekit.preprocessing import Resize, preset
from edgekit.uncertainty import Distribution, Noise, Uncertainty

if TYPE_CHECKING:
    from edgekit.models.train import TrainRequest

NARROW: dict[str, dict[str, Any]] = {
    "bayes_dense": {"units": 16},
    "bayes_conv": {"filters": 4, "units": 16},
    "mc_dropout": {"filters": 4, "units": 16, "dropout": 0.25},
}


def stripes(folder: Path) -> Path:
    """Three kinds of 28 x 28 pictures: an upper, a left and a middle stripe in noise; 120 to train, 60 to test."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 120), ("test", 60)):
        labels = np.arange(count) % 3
        pixels = random.integers(0, 60, (count, 28, 28))
        for pixel, label in zip(pixels, labels, strict=True):
            pixel[[slice(0, 9), slice(None), slice(10, 18)][label], [slice(None), slice(0, 9), slice(None)][label]] += (
                150
            )
        arrays |= {f"x_{part}": pixels.astype(np.uint8), f"y_{part}": labels}
    np.savez(folder / "stripes.npz", **arrays)
    return folder / "stripes.npz"


def blots(folder: Path) -> Path:
    """40 pictures of other things: bright noise."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 28, 28)).astype(np.uint8)
    np.savez(folder / "blots.npz", x=pixels)
    return folder / "blots.npz"


def request(name: str, data: Path, *, epochs: int = 16, **changes: Any) -> "TrainRequest":
    """A training of the narrowed entry ``name`` in seconds."""
    from edgekit.models.train import TrainRequest

    arguments = NARROW[name]
    return TrainRequest(
        spec=find_spec(name), data=str(data), epochs=epochs, batch_size=20, arguments=arguments, **changes
    )


SPREAD = 0.02
"""The variance of every weight of `classifier`."""


def classifier(path: Path, data: Path, *, shuffled: bool = False, swapped: bool = False, **card: Any) -> Path:
    """An ONNX file of one pass through a linear Bayesian classifier of the stripes in ``data``.

    ``shuffled`` gives its weights to other pixels, ``swapped`` changes the names of two classes. Its input "image" is
    (batch, 28, 28, 1), its "logits_noise" (batch, 3).
    """
    from onnx import TensorProto, helper, numpy_helper

    weights, bias = learned(data)
    if shuffled:
        weights = np.random.default_rng(0).permutation(weights)
    if swapped:
        weights, bias = weights[:, [1, 0, 2]], bias[[1, 0, 2]]
    constants = {"weights": weights, "bias": bias, "variances": np.full((784, 3), SPREAD)}
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["mean"]),
        helper.make_node("Mul", ["flat", "flat"], ["squares"]),
        helper.make_node("MatMul", ["squares", "variances"], ["variance"]),
        helper.make_node("Sqrt", ["variance"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "logits_noise"], ["change"]),
        helper.make_node("Sub", ["mean", "change"], ["logits"]),
    ]
    shapes = {"image": ("batch", 28, 28, 1), "logits_noise": ("batch", 3)}
    graph = helper.make_graph(
        nodes,
        "stripes",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", 3))],
        [
            *(numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()),
            numpy_helper.from_array(np.array([-1, 784]), "shape"),
        ],
    )
    bytes_ = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    fields: dict[str, Any] = {
        "name": path.stem,
        "task": "classification",
        "inputs": tuple(TensorSpec(name=n, shape=(None, *s[1:]), dtype="float32") for n, s in shapes.items()),
        "outputs": (TensorSpec(name="logits", shape=(None, 3), dtype="float32"),),
        "preprocessing": replace(preset("unit", size_hw=(28, 28), channels=1), resize=Resize.STRETCH),
        "labels": ("class 0", "class 1", "class 2"),
        "uncertainty": Uncertainty(
            noises=(Noise(name="logits_noise", distribution=Distribution.NORMAL),), passes=20, threshold=0.6
        ),
    }
    path.write_bytes(with_card(bytes_, ModelCard(**{**fields, **card}), Format.ONNX))
    return path


def learned(data: Path) -> tuple[Any, Any]:
    """Weights (784, 3) and bias (3,) that tell the stripes in ``data`` apart, by least squares."""
    with np.load(data) as stored:
        x, y = stored["x_train"].reshape(-1, 784) / 255, stored["y_train"]
    ones = np.hstack([x, np.ones((len(x), 1))])
    found = np.linalg.solve(ones.T @ ones + 20 * np.eye(785), ones.T @ (5 * np.eye(3)[y] - 5 / 3))
    return found[:784], found[784]
