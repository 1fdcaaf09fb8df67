"""Changing a float ONNX file: names of tensors, and weights. It runs in the process of ONNX Runtime."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Kind
from edgekit.converters.accuracy.probe import Array, stacked
from edgekit.errors import need
from edgekit.formats import onnx as onnx_format


class WatchedSession:
    """ONNX Runtime with every tensor of the main graph as an output."""

    def __init__(self, data: bytes) -> None:
        runtime = need("onnxruntime", extra="convert")
        where = "the lowered ONNX file"
        graph = onnx_format.parse_graph(data, where)
        self._names = list(
            dict.fromkeys(out for node in graph.nodes if not node.subgraph for out in node.outputs if out)
        )
        inner = [name for name in self._names if name not in graph.output_tensors.values()]
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = os.cpu_count() or 1
        more = onnx_format.with_outputs(data, inner, where=where)
        self._session = runtime.InferenceSession(more, options, providers=["CPUExecutionProvider"])

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Float activations by tensor name for one item, inputs first, in the order of execution."""
        values = self._session.run(self._names, dict(feed))
        every = {**feed, **dict(zip(self._names, values, strict=True))}
        return {name: value for name, value in every.items() if value.dtype == np.float32}


def activations(data: bytes, feeds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Every float activation of the file by tensor name, (items, ...), inputs first, in the order of execution."""
    session = WatchedSession(data)
    return stacked([session.run(feed) for feed in feeds])


def rename(model: Any, names: Mapping[str, str]) -> None:
    """Give tensors other names, where these are not taken; inputs and outputs of the model keep theirs."""
    graph = model.graph
    fixed = {value.name for value in (*graph.input, *graph.output)}
    taken = fixed | {n for node in graph.node for n in (*node.input, *node.output)} - set(names)
    chosen = {old: new for old, new in names.items() if old not in fixed and new not in taken}
    for node in graph.node:
        for field in (node.input, node.output):
            for position, name in enumerate(field):
                field[position] = chosen.get(name, name)
    for value in graph.value_info:
        value.name = chosen.get(value.name, value.name)


def weighted_operators(model: Any) -> dict[str, tuple[Kind, Any]]:
    """Operators with a kernel and room for a bias, and the kind of it, by the name of their output tensor."""
    found = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            found[node.output[0]] = (Kind.CONV if groups == 1 else Kind.DEPTHWISE, node)
        elif node.op_type == "Gemm":
            found[node.output[0]] = (Kind.DENSE, node)
    return found


def kernel_of(model: Any, node: Any) -> Array | None:
    """The float kernel of an operator as the file holds it, or ``None`` where it is no constant."""
    numpy_helper = need("onnx.numpy_helper", extra="convert")
    tensor = next((t for t in model.graph.initializer if t.name == node.input[1]), None)
    return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))


def file_order(kernel: Array, kind: Kind, node: Any) -> Array:
    """A Keras kernel in the order of ONNX files."""
    match kind:
        case Kind.CONV:
            return np.ascontiguousarray(np.moveaxis(kernel, (3, 2), (0, 1)))
        case Kind.DEPTHWISE:
            return np.ascontiguousarray(np.moveaxis(kernel, (2, 3), (0, 1)))
        case _:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            return np.ascontiguousarray(kernel.T if transposed else kernel)


def set_weights(model: Any, node: Any, kernel: Array, bias: Array, name: str) -> None:
    """Give an operator a kernel (in the order of the file) and a bias; other readers of the old ones keep them."""
    numpy_helper = need("onnx.numpy_helper", extra="convert")
    old = list(node.input)
    while len(node.input) < 3:
        node.input.append("")
    for position, array, part in ((1, kernel, "kernel"), (2, bias, "bias")):
        node.input[position] = f"{name}/{part}"
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), node.input[position]))
    read = {n for other in model.graph.node for n in other.input}
    for tensor in [t for t in model.graph.initializer if t.name in old and t.name not in read]:
        model.graph.initializer.remove(tensor)
