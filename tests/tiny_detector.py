"""A detector of a few hundred bytes for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.detection import Detection, Head
from edgekit.preprocessing import Preprocessing, Resize


def detector(path: Path, **fields: Any) -> Path:
    """A YOLOv8-style file for 8 x 8 images: one box in the middle, its class by the brightness; 20 boxes of nothing."""
    shape = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 8, 8, 3))
    out = helper.make_tensor_value_info("found", TensorProto.FLOAT, (1, 6, 21))
    places = np.zeros((1, 6, 21), np.float32)
    places[0, :4, 0] = [4, 4, 4, 4]
    mask = np.zeros((1, 6, 21), np.float32)
    mask[0, 4, 0], mask[0, 5, 0] = -1, 1
    base = places.copy()
    base[0, 4, 0] = 1
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "mask"], ["scores"]),
        helper.make_node("Add", ["scores", "base"], ["found"]),
    ]
    constants = [numpy_helper.from_array(mask, "mask"), numpy_helper.from_array(base, "base")]
    graph = helper.make_graph(nodes, "detector", [shape], [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    if fields:
        card = {
            "name": "detector",
            "task": "detection",
            "inputs": (TensorSpec(name="image", shape=(1, 8, 8, 3), dtype="float32"),),
            "outputs": (TensorSpec(name="found", shape=(1, 6, 21), dtype="float32"),),
            "preprocessing": Preprocessing(size_hw=(8, 8), resize=Resize.STRETCH, scale=(1 / 255,)),
            "labels": ("dark", "bright"),
            "detection": Detection(head=Head.YOLOV8),
        }
        data = with_card(data, ModelCard(**card | fields), Format.ONNX)
    path.write_bytes(data)
    onnx.checker.check_model(str(path))
    return path
