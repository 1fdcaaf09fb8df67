"""Operators that are kept in float between integers, so that they are float when the file runs too."""

from collections.abc import Collection
from typing import Any

import numpy as np

KEEPER = "/kept"
"""Ends the name of what stands between a kept operator and the integers that follow it."""
_REQUANTIZED = frozenset(("Conv", "ConvTranspose", "Gemm"))
_PASSED = frozenset(("Relu", "Clip"))
_MOVED = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
"""Operators that change no value."""


def stay_float(model: Any, kept: Collection[str]) -> None:
    """Put a maximum with the lowest float, which changes nothing, behind the nodes ``kept`` that integers surround.

    ONNX Runtime takes a float convolution between DequantizeLinear and QuantizeLinear for one that was forgotten, and
    rounds its weights to 8 bits with one scale for all channels when it loads the file (its WeightBiasQuantization).
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    lowest = f"lowest{KEEPER}"
    found = [_quantized(node, readers) for node in graph.node if node.name in kept and node.op_type in _REQUANTIZED]
    for quantize in (node for node in found if node is not None):
        tensor = quantize.input[0]
        quantize.input[0] = f"{tensor}{KEEPER}"
        graph.node.append(helper.make_node("Max", [tensor, lowest], [quantize.input[0]], name=f"{tensor}{KEEPER}"))
    if any(lowest in node.input for node in graph.node):
        value = np.array(np.finfo(np.float32).min, np.float32)
        graph.initializer.append(numpy_helper.from_array(value, lowest))


def read_unrounded(model: Any, kept: Collection[str]) -> None:
    """Let the nodes ``kept`` in float read float inputs of the model as they come: not rounded, nor cut to a range.

    So they do where the values were only put in another order or shape, as convolutions take images.
    """
    inputs = {value.name for value in model.graph.input}
    for node in model.graph.node:
        if node.op_type in _MOVED and node.input[0] in inputs:
            inputs.add(node.output[0])
    rounded = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    known = {
        node.output[0]: rounded[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and rounded.get(node.input[0]) in inputs
    }
    for node in model.graph.node:
        if node.name in kept:
            node.input[:] = [known.get(name, name) for name in node.input]


def pass_unhalved(model: Any) -> None:
    """Let float32 nodes give each other what they computed, where it was put into float16 and back in between.

    So ONNX Runtime's converter leaves the nodes that it is told to keep, and float16 ends at 65,504.
    """
    from onnx import TensorProto

    graph = model.graph
    halved = {node.output[0]: node.input[0] for node in graph.node if _casts(node, TensorProto.FLOAT16)}
    whole: dict[str, str] = {}
    for node in graph.node:
        if _casts(node, TensorProto.FLOAT) and node.input[0] in halved:
            node.input[0] = whole[node.output[0]] = halved[node.input[0]]
    for node in graph.node:
        node.input[:] = [whole.get(name, name) for name in node.input]
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    unread = [node for node in graph.node if node.op_type == "Cast" and node.output[0] not in read]
    for node in unread:
        graph.node.remove(node)


def _casts(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(own.name == "to" and own.i == kind for own in node.attribute)


def _quantized(node: Any, readers: dict[str, list[Any]]) -> Any:
    """The one QuantizeLinear that reads ``node``, behind rectifiers too; ``None`` where there is no such one."""
    following = readers.get(node.output[0], [])
    while len(following) == 1 and following[0].op_type in _PASSED:
        following = readers.get(following[0].output[0], [])
    return following[0] if len(following) == 1 and following[0].op_type == "QuantizeLinear" else None
