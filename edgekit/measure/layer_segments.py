"""A model file taken apart at the values of its layers: which operators make each of them, and with which kernel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.formats.graph import Graph, Node
from edgekit.measure.layer_taps import DEQUANTIZING, Array, Constant

_KERNELS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "Conv", "Gemm", "MatMul"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The operators (positions in the main graph) that make ``tensor`` of the tensors ``reads``."""

    tensor: str
    reads: tuple[str, ...]
    nodes: tuple[int, ...]


def main_nodes(graph: Graph) -> list[Node]:
    """The operators of the main graph, in the order of the file."""
    return [node for node in graph.nodes if not node.subgraph]


def take_apart(graph: Graph, cuts: Iterable[str]) -> dict[str, Segment]:
    """For each tensor of ``cuts`` the segment that makes it of other cuts and of the model's inputs."""
    nodes = main_nodes(graph)
    reads = _reads(graph)
    made_by = {out: position for position, node in enumerate(nodes) for out in node.outputs}
    known = {*cuts}
    return {tensor: _segment(tensor, known, set(graph.input_tensors.values()), made_by, reads) for tensor in known}


def _reads(graph: Graph) -> list[tuple[str, ...]]:
    """What each operator of the main graph reads, those in its loops and branches included."""
    reads: list[tuple[str, ...]] = []
    for node in graph.nodes:
        if node.subgraph and reads:
            reads[-1] += node.inputs
        elif not node.subgraph:
            reads.append(node.inputs)
    return reads


def _segment(
    tensor: str, cuts: set[str], inputs: set[str], made_by: Mapping[str, int], reads: Sequence[tuple[str, ...]]
) -> Segment:
    found: dict[str, None] = {}
    inside: set[int] = set()
    pending = [made_by[tensor]] if tensor in made_by else []
    while pending:
        position = pending.pop()
        if position in inside:
            continue
        inside.add(position)
        for name in reads[position]:
            if name in cuts or name in inputs:
                found[name] = None
            elif name in made_by:
                pending.append(made_by[name])
    return Segment(tensor=tensor, reads=tuple(found), nodes=tuple(sorted(inside)))


def kernel(graph: Graph, segment: Segment, constant: Constant) -> Array | None:
    """The dequantized kernel of a segment as (outputs, ..., inputs), inputs 1 for depthwise; ``None`` unless it has
    one."""
    nodes = main_nodes(graph)
    makers = {out: nodes[i] for i in segment.nodes for out in nodes[i].outputs}
    found = [
        held
        for i in segment.nodes
        if nodes[i].op in _KERNELS and (held := _held(graph, nodes[i], makers, constant)) is not None
    ]
    return found[0] if len(found) == 1 else None


def _held(graph: Graph, node: Node, makers: Mapping[str, Node], constant: Constant) -> Array | None:
    name = node.inputs[1]
    maker = makers.get(name)
    values = _dequantized(graph, maker.inputs[0] if maker is not None and maker.op in DEQUANTIZING else name, constant)
    if maker is not None and maker.op == "DequantizeLinear" and values is not None:
        values = _scaled(values, maker, constant)
    if values is None:
        return None
    values = values.astype(np.float32)
    match node.op:
        case "DEPTHWISE_CONV_2D":
            return np.moveaxis(values, (0, 3), (3, 0))
        case "Conv":
            return np.moveaxis(values, 1, -1)
        case "MatMul":
            return values.T if values.ndim == 2 else None
        case "Gemm":
            return values if node.attributes.get("transB") else values.T
        case _:
            return values


def _dequantized(graph: Graph, name: str, constant: Constant) -> Array | None:
    """A constant as real numbers, where the tensor itself tells scales, as in TFLite."""
    values = constant(name)
    info = graph.tensors.get(name)
    if values is None or info is None or not info.scale:
        return values
    shape = [1] * values.ndim
    if info.quantized_dimension is not None:
        shape[info.quantized_dimension] = -1
    zero_point = np.array(info.zero_point or (0,), np.float32).reshape(shape if len(info.zero_point) > 1 else ())
    scale = np.array(info.scale, np.float32)
    real: Array = (values.astype(np.float32) - zero_point) * (scale.reshape(shape) if scale.size > 1 else scale[0])
    return real


def _scaled(values: Array, node: Node, constant: Constant) -> Array | None:
    """A constant as real numbers, where a ``DequantizeLinear`` gives the scales, as in ONNX."""
    parts = [constant(name) for name in node.inputs[1:]]
    if any(part is None for part in parts):
        return None
    shape = [1] * values.ndim
    axis = node.attributes.get("axis", 1)
    shape[int(axis) if isinstance(axis, int) else 1] = -1
    scale, *rest = (
        part.reshape(shape if part.size > 1 else ()).astype(np.float32) for part in parts if part is not None
    )
    real: Array = (values.astype(np.float32) - (rest[0] if rest else np.float32(0))) * scale
    return real
