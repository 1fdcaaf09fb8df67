"""A small project for `edgekit check`: real classifiers, photos with labels, and ways in which a model gets worse."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import attach_card, open_artifact
from edgekit.card import DataRef, ModelCard, Provenance
from edgekit.check.baseline import Figure, ModelRecord
from edgekit.preprocessing import preprocess, preset
from edgekit.runtimes import open_runtime, run_items

LAYERS = Path(__file__).parent / "golden" / "layers"
MODEL = "small.int8.onnx"
LABELS = ("north", "east", "south", "west")
HOW = preset("unit", size_hw=(8, 8))
PER_CLASS = 40
RECORD = ModelRecord(
    sha256="0" * 64,
    model_bytes=1000,
    format="onnx",
    recipe="int8",
    engine="onnxruntime 1",
    metric=Figure(value=0.5, low=0.4, high=0.6),
    preprocessing=None,
    inputs=(),
)
"""Of a model that answered nothing yet."""


def project(folder: Path) -> Path:
    """``folder`` with ``photos.npz``, ``small.fp32.onnx`` and ``small.int8.onnx``, which is "calibrated" on 200 items.

    The labels are what the float network answers, but for one in ten, so that it is right in nine of ten cases.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for recipe in ("fp32", "int8"):
        path = folder / f"small.{recipe}.onnx"
        path.write_bytes((LAYERS / path.name).read_bytes())
        change_card(path, task="classification", labels=LABELS, preprocessing=HOW)
    calibrated_on(folder / "small.int8.onnx", 200)
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (1600, 1, 1, 3)) + random.normal(0, 60, (1600, 12, 10, 3))
    x = np.clip(images, 0, 255).astype(np.uint8)
    answers = classes(folder / "small.fp32.onnx", x)
    chosen = np.concatenate([np.flatnonzero(answers == label)[:PER_CLASS] for label in range(4)])
    y = answers[chosen]
    y[::10] = (y[::10] + 1) % 4
    np.savez(folder / "photos.npz", x=x[chosen], y=y, class_names=np.array(LABELS))
    return folder


def classes(path: Path, images: Any) -> Any:
    """What the classifier at ``path`` answers."""
    runtime = open_runtime(path)
    (spec,) = runtime.inputs
    outputs = run_items(runtime, ({spec.name: preprocess(image, HOW)} for image in images))
    return np.array([int(next(iter(o.values())).argmax()) for o in outputs])


def change_card(path: Path, **changes: Any) -> None:
    """Replace fields of the card in the file at ``path``."""
    attach_card(path, replace(open_artifact(path).card, **changes))


def calibrated_on(path: Path, count: int) -> None:
    """Let the card say that so many items calibrated the file."""
    card: ModelCard = open_artifact(path).card
    used = DataRef(name="train", digest=f"{count:064x}", count=count, seed=0)
    change_card(path, provenance=replace(card.provenance, calibration=used))


def no_calibration(path: Path) -> None:
    """Let the card say nothing of its origin."""
    change_card(path, provenance=Provenance())


def double_a_scale(path: Path) -> None:
    """Double the scale of the weights of one layer."""
    model = onnx.load(str(path))
    (scale,) = (i for i in model.graph.initializer if i.name == "project/kernel_DequantizeLinear_Output.1")
    scale.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(scale), scale.name))
    onnx.save(model, str(path))


def swap_labels(path: Path) -> None:
    """Give the classes the names in another order."""
    change_card(path, labels=(LABELS[1], LABELS[0], *LABELS[2:]))


def resize_off_by_one(path: Path) -> None:
    """Scale images to a short side that is one pixel longer before they are cropped."""
    assert HOW.short_side is not None
    change_card(path, preprocessing=replace(HOW, short_side=HOW.short_side + 1))


def calibrate_on_8(path: Path) -> None:
    """As a quantization with 8 items would leave the card."""
    calibrated_on(path, 8)


def grow(path: Path) -> None:
    """Make the file a fifth larger, with the same network in it."""
    model = onnx.load(str(path))
    model.metadata_props.add(key="padding", value="x" * (path.stat().st_size // 5))
    onnx.save(model, str(path))


def add_work(path: Path, convolutions: int) -> None:
    """Let the network do that many convolutions of 5 million multiplications beside its own, to no effect."""
    model = onnx.load(str(path))
    graph = model.graph
    (image,), (logits,) = graph.input, graph.output
    for node in graph.node:
        node.output[:] = ["plain" if name == logits.name else name for name in node.output]
    random = np.random.default_rng(0)
    constants = {
        "work.up": np.array([1, 1, 12, 12], np.float32),
        "work.first": random.normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32),
        "work.kernel": random.normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32),
        "work.none": np.float32(0),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Transpose", [image.name], ["work.nchw"], perm=[0, 3, 1, 2]),
            helper.make_node("Resize", ["work.nchw", "", "work.up"], ["work.large"], mode="nearest"),
            helper.make_node("Conv", ["work.large", "work.first"], ["work.0"], pads=[1] * 4),
            *(
                helper.make_node("Conv", [f"work.{i}", "work.kernel"], [f"work.{i + 1}"], pads=[1] * 4)
                for i in range(convolutions)
            ),
            helper.make_node("ReduceMean", [f"work.{convolutions}"], ["work.mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["work.mean", "work.none"], ["work.zero"]),
            helper.make_node("Add", ["plain", "work.zero"], [logits.name]),
        ]
    )
    assert logits.type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.save(model, str(path))


DAMAGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "one layer's scale doubled": (double_a_scale, ("top1", "agreement", "outputs")),
    "swapped label order": (swap_labels, ("top1", "agreement", "labels")),
    "off-by-one resize": (resize_off_by_one, ("preprocessing",)),
    "calibrated on 8 items": (calibrate_on_8, ("calibration",)),
    "calibrated on nobody knows what": (no_calibration, ("calibration",)),
    "a fifth larger": (grow, ("size",)),
}
"""What is done to a file, and the lines that must say so, among others perhaps."""
