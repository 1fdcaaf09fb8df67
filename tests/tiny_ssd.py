"""SSD files without a network: their inputs are what a network would give, offsets from anchors and scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

from edgekit.artifact import Format, with_card
from edgekit.card import ModelCard, TensorSpec
from edgekit.converters import nms_onnx, nms_tflite
from edgekit.detection import AnchorLevel, Detection, Head, Scores
from edgekit.formats.tflite_objects import pack_model
from edgekit.preprocessing import Preprocessing, Resize
from edgekit.runtimes import Runtime, open_runtime
from edgekit.tasks.anchors import anchor_boxes
from edgekit.tasks.detection import Decoder

LEVELS = (
    AnchorLevel(rows=4, columns=5, shapes=((0.3, 0.4), (0.5, 0.3))),
    AnchorLevel(rows=2, columns=2, shapes=((0.6, 0.7),)),
)
ANCHORS, CLASSES = 44, 5
SHAPES = {"offsets": (1, ANCHORS, 4), "scores": (1, ANCHORS, CLASSES + 1)}
AS_IS = Preprocessing(size_hw=(1, 1), resize=Resize.STRETCH)
POSTPROCESS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")


def ssd(**fields: Any) -> Detection:
    """A head with the anchors ``LEVELS``, all four variances different."""
    made: dict[str, Any] = {"variances": (0.1, 0.15, 0.2, 0.25), "max_detections": 20}
    return Detection(head=Head.SSD, anchors=LEVELS, **made | fields)


def device_decoder(spec: Detection) -> Decoder:
    """What decodes the inputs of the files here without them."""
    return Decoder(spec=spec, names=("offsets", "scores"), preprocessing=AS_IS, model="m")


def graph_decoder(spec: Detection) -> Decoder:
    """What reads the outputs of `with_nms`."""
    after = Detection(head=Head.SSD_POSTPROCESS, iou_threshold=spec.iou_threshold, max_detections=spec.max_detections)
    return Decoder(spec=after, names=POSTPROCESS, preprocessing=AS_IS, model="m")


def raw_outputs(kind: Scores = Scores.SOFTMAX, *, count: int = 12, seed: int = 0) -> dict[str, Any]:
    """(count, 44, 4) offsets and (count, 44, 6) scores; a few anchors are sure of something, and many overlap."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2.0, (count, ANCHORS, CLASSES + 1)).astype(np.float32)
    scores[..., 0] += 3
    if kind is Scores.SIGMOID:
        scores -= 2
    elif kind is Scores.PROBABILITIES:
        scores = np.exp(scores)
        scores /= scores.sum(axis=-1, keepdims=True)
    return {"offsets": random.normal(0, 1.0, (count, ANCHORS, 4)).astype(np.float32), "scores": scores}


def with_nms(
    path: Path,
    spec: Detection,
    *,
    named: tuple[str, str] = ("raw_offsets", "raw_scores"),
    quantized: Mapping[str, tuple[str, float, int]] | None = None,
) -> Runtime:
    """A file, of the format that its name says, that chooses the boxes of its two inputs; ready to run.

    ``named`` is what the outputs were called before, ``quantized`` (dtype, scale, zero point) of TFLite inputs by name.
    """
    if path.suffix == ".onnx":
        model = _onnx(named)
        nms_onnx.append_nms(model, spec, *named)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
    else:
        model = _tflite(named, quantized or {})
        nms_tflite.append_nms(model, spec, *named)
        path.write_bytes(pack_model(model))
    return open_runtime(path)


def raw(path: Path, spec: Detection) -> Path:
    """A file, of the format that its name says, that gives its inputs back, with a card; written to ``path``."""
    named = ("raw_offsets", "raw_scores")
    onnx_file = path.suffix == ".onnx"
    data = _onnx(named).SerializeToString() if onnx_file else pack_model(_tflite(named, {}))
    inputs, outputs = (
        tuple(TensorSpec(name=n, shape=s, dtype="float32") for n, s in zip(names, SHAPES.values(), strict=True))
        for names in (SHAPES, named)
    )
    card = ModelCard(name="raw", task="detection", inputs=inputs, outputs=outputs, detection=spec)
    path.write_bytes(with_card(data, card, Format.ONNX if onnx_file else Format.TFLITE))
    return path


def run(runtime: Runtime, inputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs by name, (count, ...)."""
    count = len(inputs["scores"])
    found = [runtime.run({n: v[i : i + 1] for n, v in inputs.items()}, as_float=True) for i in range(count)]
    return {name: np.stack([f[name][0] if f[name].ndim > 1 else f[name] for f in found]) for name in found[0]}


def damage_anchors(path: Path, by: float) -> None:
    """Move all anchors in the file by a part of the input."""
    model = onnx.load(str(path)) if path.suffix == ".onnx" else None
    if model is None:
        data = path.read_bytes()
        anchors = _anchors()[:, [1, 0, 3, 2]]
        assert data.count(anchors.tobytes()) == 1
        moved = anchors + np.array([by, by, 0, 0], np.float32)
        path.write_bytes(data.replace(anchors.tobytes(), moved.tobytes()))
        return
    (centres,) = (
        t for t in model.graph.initializer if np.array_equal(onnx.numpy_helper.to_array(t), _anchors()[None, :, :2])
    )
    moved = onnx.numpy_helper.to_array(centres) + np.float32(by)
    centres.CopyFrom(onnx.numpy_helper.from_array(moved, centres.name))
    onnx.save(model, str(path))


def _anchors() -> Any:
    return anchor_boxes(LEVELS)


def _onnx(named: tuple[str, str]) -> Any:
    inputs, outputs = (
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
            for n, shape in zip(names, SHAPES.values(), strict=True)
        ]
        for names in (SHAPES, named)
    )
    nodes = [helper.make_node("Neg", [name], [f"minus_{name}"]) for name in SHAPES]
    nodes += [helper.make_node("Neg", [f"minus_{name}"], [out]) for name, out in zip(SHAPES, named, strict=True)]
    graph = helper.make_graph(nodes, "raw", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _tflite(named: tuple[str, str], quantized: Mapping[str, tuple[str, float, int]]) -> Any:
    """Inputs that are the outputs too: the end that is put to it makes a graph of it."""
    kinds = {**dict.fromkeys(SHAPES, ("float32", 0.0, 0)), **quantized}
    model, graph, signature = schema.ModelT(), schema.SubGraphT(), schema.SignatureDefT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [], [schema.BufferT()]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [0, 1], [0, 1]
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [], []
    model.signatureDefs = [signature]
    for index, ((name, shape), output) in enumerate(zip(SHAPES.items(), named, strict=True)):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.hasRank, tensor.buffer = output.encode(), list(shape), True, 0
        dtype, scale, zero = kinds[name]
        tensor.type = getattr(schema.TensorType, dtype.upper())
        if scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        graph.tensors.append(tensor)
        for entries, called in ((signature.inputs, name), (signature.outputs, output)):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = called.encode(), index
            entries.append(entry)
    return model
