"""Multiply-adds, parameters and activation memory of a graph.

One multiply-add (MAC) is one product added to a sum in a convolution, a dense layer, a matrix product or a recurrent
layer. Biases, normalisations, activations and poolings do not count; nor do the paddings' zeros get subtracted. This is
the convention of the MobileNet papers (Howard et al. 2017, section 3.1: Mult-Adds). All figures are for one run of the
file; a free batch axis counts as one item.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping

from edgekit.formats.graph import Graph, Node, TensorInfo

Tensors = Mapping[str, TensorInfo]
_REAL = frozenset({"float32", "float16", "bfloat16", "float64", "float8", "float4"})
_SMALL_INTEGERS = frozenset({"int8", "uint8", "int4", "uint4", "int2", "uint2", "int16"})


def _elements(tensors: Tensors, name: str) -> int:
    count = tensors[name].elements
    if count is None:
        raise _UnknownShape(name)
    return count


def _dims(tensors: Tensors, name: str) -> tuple[int, ...]:
    _elements(tensors, name)
    shape = tensors[name].shape
    return tuple(1 if d is None else d for d in shape or ())


class _UnknownShape(Exception):
    """The shape of this tensor is not in the file."""


def _tflite_conv(node: Node, t: Tensors) -> int:
    return _elements(t, node.outputs[0]) * math.prod(_dims(t, node.inputs[1])[1:])


def _tflite_depthwise(node: Node, t: Tensors) -> int:
    return _elements(t, node.outputs[0]) * math.prod(_dims(t, node.inputs[1])[1:3])


def _tflite_transposed(node: Node, t: Tensors) -> int:
    return _elements(t, node.inputs[2]) * math.prod(_dims(t, node.inputs[1])[:3])


def _dense(node: Node, t: Tensors) -> int:
    return _elements(t, node.outputs[0]) * _dims(t, node.inputs[1])[-1]


def _tflite_lstm(node: Node, t: Tensors) -> int:
    # inputs 1..8 are the eight weight matrices; the sequence is (batch, time, features)
    matrices = [n for n in node.inputs[1:9] if n]
    return math.prod(_dims(t, node.inputs[0])[:-1]) * sum(_elements(t, n) for n in matrices)


def _product(node: Node, t: Tensors, left: int, right: int) -> int:
    shape, other = _dims(t, node.inputs[left]), _dims(t, node.inputs[right])
    shared = shape[-1] if shape[-1] in other[-2:] else shape[-2]
    return _elements(t, node.outputs[0]) * shared


def _onnx_conv(weights: int) -> Callable[[Node, Tensors], int]:
    return lambda node, t: _elements(t, node.outputs[0]) * math.prod(_dims(t, node.inputs[weights])[1:])


def _onnx_transposed(node: Node, t: Tensors) -> int:
    return _elements(t, node.inputs[0]) * math.prod(_dims(t, node.inputs[1])[1:])


def _onnx_gemm(node: Node, t: Tensors) -> int:
    shape = _dims(t, node.inputs[0])
    return _elements(t, node.outputs[0]) * (shape[0] if node.attributes.get("transA") else shape[-1])


def _onnx_recurrent(node: Node, t: Tensors) -> int:
    # X is (time, batch, features), W and R are (directions, gates * hidden, ...)
    time, batch = _dims(t, node.inputs[0])[:2]
    return time * batch * (_elements(t, node.inputs[1]) + _elements(t, node.inputs[2]))


_TFLITE: dict[str, Callable[[Node, Tensors], int]] = {
    "CONV_2D": _tflite_conv,
    "DEPTHWISE_CONV_2D": _tflite_depthwise,
    "TRANSPOSE_CONV": _tflite_transposed,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": lambda node, t: _product(node, t, 0, 1),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _tflite_lstm,
}
_ONNX: dict[str, Callable[[Node, Tensors], int]] = {
    "Conv": _onnx_conv(1),
    "FusedConv": _onnx_conv(1),
    "ConvInteger": _onnx_conv(1),
    "QLinearConv": _onnx_conv(3),
    "ConvTranspose": _onnx_transposed,
    "Gemm": _onnx_gemm,
    "MatMul": lambda node, t: _product(node, t, 0, 1),
    "MatMulInteger": lambda node, t: _product(node, t, 0, 1),
    "DynamicQuantizeMatMul": lambda node, t: _product(node, t, 0, 1),
    "QLinearMatMul": lambda node, t: _product(node, t, 0, 3),
    "LSTM": _onnx_recurrent,
    "DynamicQuantizeLSTM": _onnx_recurrent,
    "GRU": _onnx_recurrent,
    "RNN": _onnx_recurrent,
}
_COUNTED = _TFLITE | _ONNX


def count_macs(graph: Graph) -> int | None:
    """MACs of one run, or None when a shape that it takes is not known. The body of a loop counts once."""
    total = 0
    for node in graph.nodes:
        if node.op in _COUNTED and not node.custom:
            try:
                total += _COUNTED[node.op](node, graph.tensors)
            except (_UnknownShape, KeyError, IndexError, ValueError):  # a shape or an operand is missing in the file
                return None
    return total


def weights(graph: Graph) -> dict[str, TensorInfo]:
    """The constants that are weights: not shapes, axes or paddings, nor the scales and zero points of quantization."""
    helpers = {
        name
        for node in graph.nodes
        if node.op in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeMatMul")
        for name in node.inputs[1 if node.op != "DynamicQuantizeMatMul" else 2 :]
    }
    integer_biases = {n for node in graph.nodes if node.op in ("DequantizeLinear",) for n in node.inputs[:1]}
    return {
        name: info
        for name, info in graph.tensors.items()
        if info.constant
        and info.shape
        and name not in helpers
        and (info.dtype in _REAL | _SMALL_INTEGERS or info.scale or name in integer_biases)
    }


def count_parameters(graph: Graph) -> int:
    """Elements of all weights and biases."""
    return sum(info.elements or 0 for info in weights(graph).values())


def bytes_by_dtype(graph: Graph) -> dict[str, int]:
    """Bytes of all constants in the file by dtype, largest first."""
    sizes: Counter[str] = Counter()
    for info in graph.tensors.values():
        if info.constant:
            sizes[info.dtype] += info.model_bytes
    return dict(sizes.most_common())


def peak_activation_bytes(graph: Graph) -> int | None:
    """The largest sum of bytes of the activations that are alive at once, or None when a shape is not known.

    A tensor lives from the operator that makes it to the last that reads it, in the file's order; inputs live from the
    start and outputs to the end. What follows from constants alone, such as dequantized weights, is no activation.
    Engines that work in place or need scratch memory take less or more.
    """
    constants = {""} | {name for name, info in graph.tensors.items() if info.constant}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.inputs and constants.issuperset(node.inputs):
            constants.update(node.outputs)
        elif node.subgraph == 0:
            nodes.append(node)
    last: dict[str, int] = {name: index for index, node in enumerate(nodes) for name in node.inputs}
    last |= dict.fromkeys(graph.output_tensors.values(), len(nodes))
    alive: dict[str, int] = {}
    peak = 0
    for index, names in enumerate([tuple(graph.input_tensors.values()), *(n.outputs for n in nodes)], start=-1):
        for name in names:
            if name in constants:
                continue
            size = graph.tensors[name].size_bytes if name in graph.tensors else None
            if size is None:
                return None
            alive[name] = size
        peak = max(peak, sum(alive.values()))
        for name in [n for n in alive if n not in last or last[n] <= index]:
            del alive[name]
    return peak
