"""A verifier of a kilobyte for tests: its tower tells the colours of an image's quarters, its head how far they are."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.companion import Companion
from edgekit.files import sha256_file
from edgekit.identities import Measure, Verification
from edgekit.preprocessing import Preprocessing, Resize

PIXELS = Preprocessing(size_hw=(8, 8), resize=Resize.STRETCH, scale=(1 / 255,))
SIZE = 12
"""Numbers of an embedding: three colours of four quarters."""


def verifier(folder: Path, *, name: str = "v", gain: float = 1.0, **fields: Any) -> Path:
    """The tower ``v.onnx`` in ``folder``, beside ``v.head.onnx``; ``fields`` replace those of its verification.

    With a ``gain`` of 0 it tells nothing.
    """
    second = folder / f"{name}.head.onnx"
    head(second)
    linked = Companion(name=second.name, sha256=sha256_file(second))
    told = {"measure": Measure.DISTANCE, "threshold": 0.1, "head": linked} | fields
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["quarters"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Reshape", ["quarters", "flat"], ["row"]),
        helper.make_node("Mul", ["row", "gain"], ["embedding"]),
    ]
    constants = {"gain": np.full(1, gain, np.float32), "flat": np.array([1, SIZE], np.int64)}
    card = ModelCard(
        name=name,
        task="verification",
        inputs=(TensorSpec(name="image", shape=(1, 8, 8, 3), dtype="float32"),),
        outputs=(TensorSpec(name="embedding", shape=(1, SIZE), dtype="float32"),),
        preprocessing=PIXELS,
        verification=Verification(**told),
    )
    path = folder / f"{name}.onnx"
    path.write_bytes(
        with_card(_model({"image": (1, 8, 8, 3)}, {"embedding": (1, SIZE)}, nodes, constants), card, Format.ONNX)
    )
    onnx.checker.check_model(str(path))
    return path


def head(path: Path, *, size: int = SIZE, batch: int | None = 1) -> Path:
    """A file that tells the squared distance of two embeddings, of ``batch`` pairs at a time, or of any number."""
    nodes = [
        helper.make_node("Sub", ["first", "second"], ["gap"]),
        helper.make_node("Mul", ["gap", "gap"], ["square"]),
        helper.make_node("ReduceSum", ["square", "last"], ["distance"], keepdims=1),
    ]
    inputs = {"first": (batch, size), "second": (batch, size)}
    path.write_bytes(_model(inputs, {"distance": (batch, 1)}, nodes, {"last": np.array([1], np.int64)}))
    onnx.checker.check_model(str(path))
    return path


def long_head(path: Path, *, told: int, open_shape: bool = False) -> Path:
    """A head that tells the first ``told`` squared differences; with ``open_shape`` its file leaves open how many."""
    nodes = [
        helper.make_node("Sub", ["first", "second"], ["gap"]),
        helper.make_node("Mul", ["gap", "gap"], ["square"]),
        helper.make_node("Slice", ["square", "start", "end", "axis"], ["distance"]),
    ]
    ends = {name: np.array([at], np.int64) for name, at in (("start", 0), ("end", told), ("axis", 1))}
    gives = {"distance": (1, None if open_shape else told)}
    path.write_bytes(_model({"first": (1, SIZE), "second": (1, SIZE)}, gives, nodes, ends))
    return path


def pictures(folder: Path, *, people: int = 5, each: int = 4, noise: int = 12) -> Path:
    """A sub-folder for each person, with ``each`` pictures of quarters in that person's colours, none like another."""
    random = np.random.default_rng(0)
    for person in range(people):
        (folder / f"p{person}").mkdir(parents=True)
        colours = random.integers(0, 200, (2, 2, 3))
        for number in range(each):
            own = np.clip(colours + random.integers(-noise, noise + 1, (2, 2, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(own.repeat(10, axis=0).repeat(10, axis=1)).save(folder / f"p{person}" / f"{number}.png")
    return folder


def _model(inputs: dict[str, Any], outputs: dict[str, Any], nodes: list[Any], constants: dict[str, Any]) -> bytes:
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", *values, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())
