"""Eight-bit weights for the recurrent operators of ONNX files. It runs in the process of ONNX Runtime.

ONNX Runtime has an integer form of LSTM alone, DynamicQuantizeLSTM: its products are of bytes, with ranges that are
taken when it runs, and its states and activations are float. GRU and RNN compute in float; their weights can be bytes
in the file, which standard operators widen when it runs.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_DOMAIN = "com.microsoft"  # ONNX Runtime's own operators
_INT8_ENDS = 127
_SEVEN_BITS = 64  # two products of 255 with more overflow 16 bits on x86 without VNNI


def recurrent_names(model: Any) -> list[str]:
    """The names of the recurrent operators."""
    return [node.name for node in model.graph.node if node.op_type in RECURRENT]


def narrow(model: Any, *, per_channel: bool, kept: Collection[str], widen: bool) -> None:
    """Make DynamicQuantizeLSTM of each LSTM but those called ``kept``; with ``widen``, store other kernels as bytes."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        kernels = [constants.get(name) for name in node.input[1:3]]
        if node.op_type in RECURRENT and node.name not in kept and None not in kernels:
            values = [(tensor.name, numpy_helper.to_array(tensor)) for tensor in kernels if tensor is not None]
            if node.op_type == "LSTM":
                _to_integers(model, node, values, per_channel=per_channel)
            elif widen:
                nodes += _widened(model, node, values, per_channel=per_channel)
        nodes.append(node)
    _replace(model, nodes)


def _to_integers(model: Any, node: Any, kernels: list[tuple[str, NDArray[Any]]], *, per_channel: bool) -> None:
    """Let ``node`` be DynamicQuantizeLSTM, which takes kernels with inputs first and a scale for each direction."""
    from onnx import helper

    inputs = [*node.input, *[""] * (8 - len(node.input))]
    for place, (name, values) in enumerate(kernels, 1):
        axes = (2,) if per_channel else (1, 2)
        steps, scale = _steps(values, axes, _SEVEN_BITS)
        inputs[place] = _add(model, f"{name}_quantized", np.ascontiguousarray(steps.transpose(0, 2, 1)))
        inputs += [
            _add(model, f"{name}_scale", scale.squeeze(axes)),
            _add(model, f"{name}_zero_point", np.zeros(scale.squeeze(axes).shape, np.int8)),
        ]
    node.op_type, node.domain = "DynamicQuantizeLSTM", _DOMAIN
    node.input[:] = inputs
    for attribute in [a for a in node.attribute if a.name == "layout"]:  # time first is all that it knows
        node.attribute.remove(attribute)
    if all(entry.domain != _DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def _widened(model: Any, node: Any, kernels: list[tuple[str, NDArray[Any]]], *, per_channel: bool) -> list[Any]:
    """The operators behind which ``node`` reads its kernels, stored as bytes."""
    from onnx import helper

    made = []
    for place, (name, values) in enumerate(kernels, 1):
        axes = (0, 2) if per_channel else (0, 1, 2)
        steps, scale = _steps(values, axes, _INT8_ENDS)
        parts = [_add(model, f"{name}_quantized", steps), _add(model, f"{name}_scale", scale.squeeze(axes))]
        settings = {"axis": 1} if per_channel else {}
        node.input[place] = f"{name}_widened"
        made.append(helper.make_node("DequantizeLinear", parts, [node.input[place]], node.input[place], **settings))
    return made


def _steps(kernel: NDArray[Any], axes: tuple[int, ...], end: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The kernel (directions, gates * units, inputs) in whole numbers up to ``end``, and the scale over ``axes``."""
    largest = np.abs(kernel).max(axis=axes, keepdims=True)
    scale = np.maximum(largest / end, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(kernel / scale).astype(np.int8), scale


def _add(model: Any, name: str, values: NDArray[Any]) -> str:
    """``name``, under which the graph has the constant ``values``."""
    from onnx import numpy_helper

    if all(tensor.name != name for tensor in model.graph.initializer):  # a layer that is used twice
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _replace(model: Any, nodes: list[Any]) -> None:
    """Give the graph ``nodes``, and take the constants that none of them reads."""
    graph = model.graph
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    read = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in read]:
        graph.initializer.remove(tensor)
