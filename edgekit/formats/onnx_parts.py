"""Constants of an ONNX file as arrays, and parts of its graph as files of their own; without the onnx package."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import ArtifactError
from edgekit.formats.protobuf import Message, field_bytes, varint

# Numbers of enum TensorProto.DataType, as numpy has them.
_NUMPY = {1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
_FLOAT = 1
_METADATA_PROPS, _GRAPH = 14, 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12


class OnnxParts:
    """The parts of one file; ``where`` begins the messages of errors."""

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        model = Message(memoryview(path.read_bytes()), self._where)
        graph = model.message(_GRAPH)
        if graph is None:
            raise ArtifactError(
                f"{path} is not an ONNX file, or is cut off: it holds no graph; copy or export it again."
            )
        self._head = b"".join(
            model.data[start:end]
            for number, _, _, start, end in model.spans()
            if number not in (_GRAPH, _METADATA_PROPS)
        )
        fields = [(number, graph.data[start:end]) for number, _, _, start, end in graph.spans()]
        self._nodes = [field for number, field in fields if number == _NODE]
        self._inputs = {m.text(1): bytes(m.data) for m in graph.messages(_INPUT)}
        self._constants = {m.text(8): m for m in graph.messages(_INITIALIZER)}
        for node in graph.messages(_NODE):
            value = next((a.message(5) for a in node.messages(5) if a.text(1) == "value"), None)
            if node.text(4) == "Constant" and value is not None:
                self._constants.setdefault(node.texts(2)[0], value)
        self._stored = {m.text(8) for m in graph.messages(_INITIALIZER)}

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """A constant of the main graph; ``None`` for what is none, or of a type without a counterpart in numpy."""
        tensor = self._constants.get(name)
        if tensor is None or tensor.integer(2) not in _NUMPY:
            return None
        dtype, shape = np.dtype(_NUMPY[tensor.integer(2)]), tensor.integers(1)
        raw = tensor.view(9)
        if raw is not None:
            values = np.frombuffer(raw, dtype) if len(raw) % dtype.itemsize == 0 else np.zeros(0, dtype)
        elif dtype.kind == "f" and dtype.itemsize == 4:
            values = np.array(tensor.floats(4), dtype)
        elif dtype.itemsize < 8 and dtype.kind in "iu":
            values = np.array(tensor.integers(5), np.int64).astype(dtype)
        else:
            values = np.array(tensor.integers(7), dtype)
        if values.size != int(np.prod(shape, dtype=np.int64)):
            tensor.fail(f"a weight of the shape {shape} has {values.size} values")
        return values.reshape(shape)

    def part(self, nodes: Sequence[int], inputs: Mapping[str, Sequence[int]], output: str) -> bytes:
        """A file of the operators ``nodes`` alone, which makes ``output``; ``inputs`` gives shapes of float tensors.

        Inputs of the file itself keep their own type and shape.
        """
        taken = [self._nodes[i] for i in nodes]
        read = {name for node in taken for name in _names(Message(node, self._where).message(_NODE) or _empty())}
        graph = b"".join(taken)
        graph += field_bytes(2, b"part")
        graph += b"".join(
            field_bytes(_INITIALIZER, bytes(self._constants[n].data)) for n in sorted(read & self._stored)
        )
        for name, shape in inputs.items():
            own = self._inputs.get(name)
            graph += field_bytes(_INPUT, own if own is not None else _float_value(name, shape))
        graph += field_bytes(_OUTPUT, field_bytes(1, output.encode()))
        return self._head + field_bytes(_GRAPH, graph)


def _empty() -> Message:
    return Message(memoryview(b""), "")


def _names(node: Message) -> Iterable[str]:
    """What a node reads, the nodes in its graphs included."""
    yield from node.texts(1)
    for attribute in node.messages(5):
        for body in (*attribute.messages(6), *attribute.messages(11)):
            for inner in body.messages(_NODE):
                yield from _names(inner)
            yield from (value.text(1) for value in body.messages(_OUTPUT))


def _float_value(name: str, shape: Sequence[int]) -> bytes:
    """A ``ValueInfoProto`` of float32."""
    dims = b"".join(field_bytes(1, varint(1 << 3) + varint(size)) for size in shape)
    tensor = varint(1 << 3) + varint(_FLOAT) + field_bytes(2, dims)
    return field_bytes(1, name.encode()) + field_bytes(2, field_bytes(1, tensor))
