"""A two-stage detector of a kilobyte for tests: it proposes the quarters of an image, and tells their colours."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.companion import Companion
from edgekit.detection import AnchorLevel, Detection, Head
from edgekit.files import sha256_file
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.regions import Proposals

COLOURS = ("red", "green", "blue")
QUARTERS = AnchorLevel(rows=2, columns=2, shapes=((0.5, 0.5),))
PIXELS = Preprocessing(size_hw=(8, 8), resize=Resize.STRETCH, scale=(1 / 255,))
_LIKELY = 4.0  # how sure it is of quarters; of the last one it is not
_LITTLE = 1e-3  # what never changes would be taken out by a conversion


def two_stage(
    folder: Path, *, batch: int | None = 1, images: int | None = 1, companion: Companion | None = None, **fields: Any
) -> Path:
    """The first file, ``d.onnx`` in ``folder``, beside ``d.heads.onnx``; ``fields`` replace those of its detection."""
    second = folder / "d.heads.onnx"
    heads(second, batch=batch)
    linked = companion or Companion(name=second.name, sha256=sha256_file(second))
    proposals = Proposals(bins=2, candidates=4, count=3, iou_threshold=0.5, heads=linked)
    detection = Detection(**{"head": Head.REGIONS, "anchors": (QUARTERS,), "proposals": proposals} | fields)
    objectness = np.array([[0, _LIKELY], [0, _LIKELY - 1], [0, _LIKELY - 2], [_LIKELY, 0]], np.float32)
    outputs = {"features": (1, 8, 8, 3), "objectness": (1, 4, 2), "anchor_offsets": (1, 4, 4)}
    nodes = [
        helper.make_node("Mul", ["image", "one"], ["features"]),
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "little"], ["anchor_offsets"]),
        helper.make_node("Add", ["mean", "likely"], ["objectness"]),
    ]
    constants = {"one": [1.0], "likely": objectness[None], "little": np.full((1, 4, 4), _LITTLE)}
    card = ModelCard(
        name="d",
        task="detection",
        inputs=(TensorSpec(name="image", shape=(1, 8, 8, 3), dtype="float32"),),
        outputs=tuple(TensorSpec(name=name, shape=shape, dtype="float32") for name, shape in outputs.items()),
        preprocessing=PIXELS,
        labels=COLOURS,
        detection=detection,
    )
    path = folder / "d.onnx"
    path.write_bytes(
        with_card(_model({"image": (images or "images", 8, 8, 3)}, outputs, nodes, constants), card, Format.ONNX)
    )
    onnx.checker.check_model(str(path))
    return path


def heads(path: Path, *, batch: int | None = 1, side: int = 2, card: ModelCard | None = None) -> Path:
    """A file that takes the mean colour of (batch, side, side, 3) for the class, and moves boxes hardly."""
    rows: Any = batch or "rows"
    table = np.concatenate([np.zeros((3, 1)), np.eye(3) * 12], axis=1).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["pooled"], ["colour"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["colour", "table"], ["told"]),
        helper.make_node("Add", ["told", "bias"], ["scores"]),
        helper.make_node("MatMul", ["colour", "little"], ["offsets"]),
    ]
    constants = {"table": table, "bias": np.float32([6, 0, 0, 0]), "little": np.full((3, 12), _LITTLE)}
    data = _model({"pooled": (rows, side, side, 3)}, {"scores": (rows, 4), "offsets": (rows, 12)}, nodes, constants)
    path.write_bytes(data if card is None else with_card(data, card, Format.ONNX))
    onnx.checker.check_model(str(path))
    return path


def quarters(*colours: str, side: int = 40) -> Any:
    """An image whose quarters have these ``colours``, left to right and down; "" is dark."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    for place, colour in enumerate(colours):
        if colour:
            pixels[place // 2, place % 2, COLOURS.index(colour)] = 255
    return np.repeat(np.repeat(pixels, side // 2, axis=0), side // 2, axis=1)


def scenes(folder: Path) -> Path:
    """Four labelled images of such quarters in ``folder``."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("\n".join(COLOURS) + "\n")
    for index in range(4):
        colours = [COLOURS[index % 3], COLOURS[(index + 1) % 3], ""]
        Image.fromarray(quarters(*colours)).save(folder / "images" / f"{index}.png")
        lines = [f"{COLOURS.index(c)} {x + 0.25} {0.25} 0.5 0.5" for c, x in zip(colours, (0, 0.5), strict=False)]
        (folder / "labels" / f"{index}.txt").write_text("\n".join(lines) + "\n")
    return folder


def _model(inputs: dict[str, Any], outputs: dict[str, Any], nodes: list[Any], constants: dict[str, Any]) -> bytes:
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", *values, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())
