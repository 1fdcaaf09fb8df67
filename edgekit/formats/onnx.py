"""ONNX files: the graph, its metadata, and writing the card. Needs neither the onnx package nor an engine.

The layout is that of ``onnx/onnx.proto``; the numbers below are its field numbers.
"""

import math
import struct
from collections.abc import Iterable
from pathlib import Path

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError
from edgekit.formats.graph import Graph, Node, TensorInfo, tensor_spec
from edgekit.formats.protobuf import Message, field_bytes

CARD_KEY = "edgekit.card"
_METADATA_PROPS = 14
_MAX_DEPTH = 50  # of graphs inside If and Loop

# Numbers of enum TensorProto.DataType.
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8", 18: "float8", 19: "float8", 20: "float8", 21: "uint4", 22: "int4", 23: "float4", 24: "float8",
    25: "uint2", 26: "int2", 27: "float6", 28: "float6",
}  # fmt: skip
_RAW_FORMATS = {"float32": "f", "uint8": "B", "int8": "b", "uint16": "H", "int16": "h", "int32": "i"}
_STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


def read_graph(path: Path) -> Graph:
    """The graph of the file; `ArtifactError` when it is not a whole ONNX file."""
    return parse_graph(path.read_bytes(), str(path))


def parse_graph(data: bytes, where: str) -> Graph:
    """The graph in the bytes of an ONNX file; ``where`` begins the messages."""
    model, graph = _open(data, where)
    opsets = {o.text(1) or "ai.onnx": o.integer(2) for o in model.messages(8)}
    tensors: dict[str, TensorInfo] = {}
    nodes: list[Node] = []
    values: dict[str, Message] = {}
    _read_subgraph(graph, opsets, prefix="", depth=0, tensors=tensors, nodes=nodes, values=values)
    outputs = [v.text(1) for v in graph.messages(12)]
    # Old files list their weights among the inputs.
    inputs = [name for v in graph.messages(11) if not tensors[name := v.text(1)].constant]
    scales = _interface_scales(nodes, tensors, values, inputs, outputs)
    return Graph(
        inputs=_specs(inputs, tensors, scales),
        outputs=_specs(outputs, tensors, scales),
        input_tensors={n: n for n in inputs},
        output_tensors={n: n for n in outputs},
        nodes=tuple(nodes),
        tensors=tensors,
        versions={"ir": model.integer(1), **opsets},
    )


def read_metadata(data: bytes, where: str) -> dict[str, str]:
    """The metadata entries of the file by name."""
    model, _ = _open(data, where)
    return {entry.text(1): entry.text(2) for entry in model.messages(_METADATA_PROPS)}


def write_metadata(data: bytes, key: str, value: bytes, *, where: str) -> bytes:
    """The file with the metadata entry ``key`` set to ``value``, all else kept; the same bytes when written twice."""
    model, _ = _open(data, where)
    kept = bytearray()
    for number, _, payload, start, end in model.spans():
        if number == _METADATA_PROPS and isinstance(payload, memoryview) and Message(payload, where).text(1) == key:
            continue
        kept += model.data[start:end]
    return bytes(kept) + field_bytes(_METADATA_PROPS, field_bytes(1, key.encode()) + field_bytes(2, value))


def with_outputs(data: bytes, names: Iterable[str], *, where: str) -> bytes:
    """The file with the inner tensors of these names as further outputs of its graph."""
    model, graph = _open(data, where)
    more = b"".join(field_bytes(12, field_bytes(1, name.encode())) for name in names)
    rest = b"".join(model.data[start:end] for number, _, _, start, end in model.spans() if number != 7)
    return rest + field_bytes(7, bytes(graph.data) + more)


def _open(data: bytes, where: str) -> tuple[Message, Message]:
    model = Message(memoryview(data), where)
    graph = model.message(7)
    if graph is None or not model.integer(1):
        raise ArtifactError(f"{where} is not an ONNX file, or is cut off: it holds no graph; copy or export it again.")
    return model, graph


def _read_subgraph(
    graph: Message,
    opsets: dict[str, int],
    *,
    prefix: str,
    depth: int,
    tensors: dict[str, TensorInfo],
    nodes: list[Node],
    values: dict[str, Message],
) -> None:
    if depth > _MAX_DEPTH:
        graph.fail(f"its graphs are nested more than {_MAX_DEPTH} deep")
    for value in (*graph.messages(13), *graph.messages(11), *graph.messages(12)):
        tensors[value.text(1)] = _value_info(value)
    for initializer in graph.messages(5):
        name = initializer.text(8)
        tensors[name] = _initializer(initializer)
        values[name] = initializer
    for index, node in enumerate(graph.messages(1)):
        op, domain = node.text(4), node.text(7) or "ai.onnx"
        nodes.append(
            Node(
                name=prefix + (node.text(3) or f"{op}_{index}"),
                op=op,
                inputs=node.texts(1),
                outputs=node.texts(2),
                attributes={a.text(1): v for a in node.messages(5) if (v := _attribute(a)) is not None},
                version=opsets.get(domain, 1),
                custom=domain not in _STANDARD_DOMAINS,
                subgraph=depth,
            )
        )
        for attribute in node.messages(5):
            _constant(op, node, attribute, tensors, values)
            for body in (*attribute.messages(6), *attribute.messages(11)):
                inner = f"{nodes[-1].name}/"
                _read_subgraph(body, opsets, prefix=inner, depth=depth + 1, tensors=tensors, nodes=nodes, values=values)


def _constant(
    op: str, node: Message, attribute: Message, tensors: dict[str, TensorInfo], values: dict[str, Message]
) -> None:
    """Take the value of a Constant node for a weight, as an initializer is."""
    if op != "Constant" or attribute.text(1) != "value":
        return
    tensor, outputs = attribute.message(5), node.texts(2)
    if tensor is None or len(outputs) != 1:
        node.fail("a Constant has no value")
    tensors[outputs[0]] = _initializer(tensor)
    values[outputs[0]] = tensor


def _value_info(value: Message) -> TensorInfo:
    kind = value.message(2)
    tensor = kind.message(1) if kind is not None else None
    if tensor is None:
        return TensorInfo(shape=None, dtype="unknown")
    shape = tensor.message(2)
    dims = None if shape is None else tuple(_dimension(d) for d in shape.messages(1))
    return TensorInfo(shape=dims, dtype=_dtype(tensor.integer(1), value))


def _dimension(dim: Message) -> int | None:
    value = dim.integer(1, -1)
    return value if value >= 0 else None


def _dtype(number: int, message: Message) -> str:
    if number not in _DTYPES:
        message.fail(f"a tensor has type number {number}")
    return _DTYPES[number]


def _initializer(tensor: Message) -> TensorInfo:
    dims = tensor.integers(1)
    if any(d < 0 for d in dims):
        tensor.fail(f"a weight has the shape {dims}")
    info = TensorInfo(shape=dims, dtype=_dtype(tensor.integer(2), tensor), constant=True)
    raw = tensor.view(9)
    size = len(raw) if raw is not None else info.size_bytes
    return TensorInfo(shape=dims, dtype=info.dtype, constant=True, model_bytes=size or 0)


def _attribute(attribute: Message) -> int | float | str | tuple[int, ...] | None:
    """The attribute's value where it is a number, a text or a list of integers."""
    match attribute.integer(20):
        case 1:
            view = attribute.floats(2)
            return view[-1] if view else 0.0
        case 2:
            return attribute.integer(3)
        case 3:
            return attribute.text(4)
        case 7:
            return attribute.integers(8)
    return None


def _interface_scales(
    nodes: Iterable[Node],
    tensors: dict[str, TensorInfo],
    values: dict[str, Message],
    inputs: list[str],
    outputs: list[str],
) -> dict[str, tuple[float, int]]:
    """Scale and zero point of inputs that a DequantizeLinear reads and of outputs that a QuantizeLinear makes."""
    found: dict[str, tuple[float, int]] = {}
    for node in nodes:
        reads = node.op == "DequantizeLinear" and node.inputs[:1] and node.inputs[0] in inputs
        makes = node.op == "QuantizeLinear" and node.outputs[:1] and node.outputs[0] in outputs
        if not (reads or makes) or len(node.inputs) < 2 or node.inputs[1] not in values:
            continue
        scale = _scalar(values[node.inputs[1]], tensors[node.inputs[1]])
        zero = 0.0
        if len(node.inputs) > 2 and node.inputs[2]:
            if node.inputs[2] not in values:
                continue
            zero = _scalar(values[node.inputs[2]], tensors[node.inputs[2]]) or 0.0
        if scale is not None and math.isfinite(scale) and scale > 0:
            found[node.inputs[0] if reads else node.outputs[0]] = (scale, int(zero))
    return found


def _scalar(tensor: Message, info: TensorInfo) -> float | None:
    """The value of a constant with one element, None for others."""
    if info.elements != 1 or info.dtype not in _RAW_FORMATS:
        return None
    raw = tensor.view(9)
    if raw is not None:
        kind = _RAW_FORMATS[info.dtype]
        if len(raw) != struct.calcsize(kind):
            tensor.fail(f"a single {info.dtype} has {len(raw)} bytes")
        return float(struct.unpack("<" + kind, raw)[0])
    numbers: tuple[float, ...] = tensor.floats(4) if info.dtype == "float32" else tensor.integers(5)
    return float(numbers[0]) if numbers else None


def _specs(
    names: list[str], tensors: dict[str, TensorInfo], scales: dict[str, tuple[float, int]]
) -> tuple[TensorSpec, ...]:
    specs = []
    for name in names:
        spec = tensor_spec(name, tensors[name])
        if name in scales and spec.dtype in ("int8", "uint8", "int16", "uint16"):
            scale, zero_point = scales[name]
            spec = TensorSpec(name=name, shape=spec.shape, dtype=spec.dtype, scale=(scale,), zero_point=(zero_point,))
        specs.append(spec)
    return tuple(specs)
