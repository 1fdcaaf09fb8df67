"""TFLite files as objects that can be changed, by the schema that comes with LiteRT."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import need


def open_model(path: Path) -> Any:
    """The file as objects, with all content inside them."""
    return parse_model(path.read_bytes())


def parse_model(data: bytes) -> Any:
    """The bytes of a file as objects, with all content inside them."""
    schema = need("ai_edge_litert.schema_py_generated", extra="litert")
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the content stands behind the tables, which are about to move
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack_model(model: Any) -> bytes:
    """The objects as the bytes of a file. What several graphs hold as one object is there once."""
    builder = need("flatbuffers", extra="litert").Builder(1 << 10)
    packed = copy.copy(model)
    packed.buffers = [_Aligned(buffer) for buffer in model.buffers]
    packed.subgraphs = [copy.copy(graph) for graph in model.subgraphs]
    once = {id(tensor): _Once(tensor) for graph in model.subgraphs for tensor in graph.tensors}
    for graph in packed.subgraphs:
        graph.tensors = [once[id(tensor)] for tensor in graph.tensors]
    builder.Finish(packed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Once:
    """A table that is written the first time, and pointed to from then on."""

    def __init__(self, table: Any) -> None:
        self._table, self._place = table, 0

    def Pack(self, builder: Any) -> int:
        self._place = self._place or int(self._table.Pack(builder))
        return self._place


class _Aligned:
    """A buffer whose content begins at a multiple of 16 bytes, as the schema asks and its generated code forgets."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def Pack(self, builder: Any) -> int:
        if self._buffer.data is not None:
            builder.Prep(16, len(self._buffer.data))
        return int(self._buffer.Pack(builder))


def save_model(model: Any, path: Path) -> None:
    """Write the objects as a file."""
    path.write_bytes(pack_model(model))


def part_of(graph: Any, operators: Sequence[Any], inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    """A graph of those ``operators`` of ``graph`` with the tensors ``inputs`` and ``outputs``, by their numbers there.

    It holds tensors of ``graph`` itself, no copies.
    """
    named = (index for operator in operators for _, numbers in _numbers(operator) for index in numbers)
    place = {old: new for new, old in enumerate(sorted({*inputs, *outputs, *named} - {-1}))}
    part = need("ai_edge_litert.schema_py_generated", extra="litert").SubGraphT()
    part.tensors = [graph.tensors[i] for i in place]
    part.operators = [_renumbered(operator, place) for operator in operators]
    part.inputs, part.outputs = [place[i] for i in inputs], [place[i] for i in outputs]
    return part


def _renumbered(operator: Any, place: Mapping[int, int]) -> Any:
    moved = copy.copy(operator)
    for name, numbers in _numbers(operator):
        setattr(moved, name, [place.get(i, -1) for i in numbers])
    return moved


def _numbers(operator: Any) -> list[tuple[str, list[int]]]:
    """The fields of an operator that hold numbers of tensors, of which -1 is none."""
    fields = {name: getattr(operator, name) for name in ("inputs", "outputs", "intermediates")}
    return [(name, list(map(int, numbers))) for name, numbers in fields.items() if numbers is not None]
