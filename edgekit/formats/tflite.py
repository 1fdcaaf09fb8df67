"""TFLite (LiteRT) files: the graph, its metadata, and writing the card. Needs no engine and no schema package.

The layout is that of ``tensorflow/compiler/mlir/lite/schema/schema.fbs``; the numbers below are its field numbers.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError
from edgekit.formats.flatbuffer import FlatBuffer, Table
from edgekit.formats.graph import DTYPE_BITS, Graph, Node, TensorInfo, tensor_spec
from edgekit.formats.tflite_ops import CUSTOM, OPERATORS

T = TypeVar("T")

IDENTIFIER = b"TFL3"
CARD_KEY = "edgekit.card"

DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16", "int2", "uint4", "float8",
)  # fmt: skip
"""Types by their number in enum TensorType."""


def read_graph(path: Path) -> Graph:
    """The graph of the file; `ArtifactError` when it is not a whole TFLite file."""
    return parse_graph(path.read_bytes(), str(path))


def open_root(data: bytes, where: str) -> Table:
    """The root table of a TFLite file, or `ArtifactError`."""
    if data[4:8] != IDENTIFIER:
        raise ArtifactError(f"{where} is not a TFLite file: it lacks the mark TFL3; check what the file is.")
    root = FlatBuffer(data, where).root()
    if root.integer(0, "I") != 3:
        root.buffer.fail(f"it has schema version {root.integer(0, 'I')} where 3 belongs")
    return root


def parse_graph(data: bytes, where: str) -> Graph:
    """The graph in the bytes of a TFLite file; ``where`` begins the messages."""
    root = open_root(data, where)
    codes = [_operator_code(c) for c in root.tables(1)]
    buffers = [_Kept(len(_buffer_data(b)), _is_outside(b)) for b in root.tables(4)]
    subgraphs = list(root.tables(2))
    if not subgraphs:
        root.buffer.fail("it has no graph")
    tensors: dict[str, TensorInfo] = {}
    nodes: list[Node] = []
    main_keys: list[str] = []
    parts = _parts(root, subgraphs, buffers)
    for number, subgraph in enumerate(subgraphs):
        part = number in parts  # which may be damaged as others may, and is not counted
        own: dict[str, TensorInfo] = {} if part else tensors
        keys = _read_tensors(subgraph, buffers, prefix=f"subgraph{number}/" if number else "", into=own)
        read = list(_read_nodes(subgraph, codes, keys, number))
        nodes.extend([] if part else read)
        main_keys = main_keys or keys
    inputs = _interface(root, subgraphs[0], main_keys, field=0, plain=1)
    outputs = _interface(root, subgraphs[0], main_keys, field=1, plain=2)
    return Graph(
        inputs=_specs(inputs, tensors, root.buffer),
        outputs=_specs(outputs, tensors, root.buffer),
        input_tensors=inputs,
        output_tensors=outputs,
        nodes=tuple(nodes),
        tensors=tensors,
        versions={"schema": 3},
        parts=len(parts),
    )


def read_metadata(data: bytes, where: str) -> dict[str, bytes]:
    """The metadata entries of the file by name."""
    root = open_root(data, where)
    buffers = list(root.tables(4))
    return {e.text(0): bytes(_buffer_data(_at(root.buffer, buffers, e.integer(1, "I")))) for e in root.tables(6)}


def read_labels(data: bytes) -> tuple[str, ...] | None:
    """Class names from the one label file (``.txt``) that standard TFLite metadata appends to the file as a zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            texts = [i for i in archive.infolist() if i.filename.endswith(".txt") and i.file_size < 1 << 24]
            if len(texts) != 1:
                return None
            lines = archive.read(texts[0]).decode("utf-8", errors="replace").splitlines()
            return tuple(line.strip() for line in lines) or None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, OSError, ValueError):
        return None  # most files have nothing appended; a broken appendix holds no labels


def _operator_code(code: Table) -> tuple[str, int, bool]:
    number = max(code.integer(0, "b"), code.integer(3, "i"))
    if number < 0:
        code.buffer.fail(f"it uses operator number {number}")
    if number == CUSTOM:
        return code.text(1), code.integer(2, "i", 1), True
    return OPERATORS[number] if number < len(OPERATORS) else f"OPERATOR_{number}", code.integer(2, "i", 1), False


class _Kept(NamedTuple):
    model_bytes: int
    outside: bool


def _is_outside(buffer: Table) -> bool:
    return buffer.integer(1, "Q") > 1  # 1 marks a place that was never filled


def _buffer_data(buffer: Table) -> memoryview:
    if not _is_outside(buffer):
        return buffer.bytes(0)
    offset, size = buffer.integer(1, "Q"), buffer.integer(2, "Q")
    if offset + size > len(buffer.buffer.data):
        buffer.buffer.fail(f"weights of {size} bytes at byte {offset} go beyond its end")
    return memoryview(buffer.buffer.data)[offset : offset + size]


def _read_tensors(subgraph: Table, buffers: list[_Kept], *, prefix: str, into: dict[str, TensorInfo]) -> list[str]:
    keys: list[str] = []
    for index, table in enumerate(subgraph.tables(0)):
        name = prefix + (table.text(3) or f"tensor{index}")
        key = name if name not in into else f"{name}#{index}"
        into[key] = _tensor(table, index, _at(subgraph.buffer, buffers, table.integer(2, "I")))
        keys.append(key)
    return keys


def _parts(root: Table, subgraphs: list[Table], buffers: list[_Kept]) -> set[int]:
    """The numbers of graphs of signatures that repeat a part of the main graph: its operators with its weights."""

    def content(graph: Table) -> tuple[set[int], set[int]]:
        held = {table.integer(2, "I") for table in graph.tables(0)}
        kept = {number for number in held if _at(root.buffer, buffers, number).model_bytes}
        return kept, {table.integer(0, "I") for table in graph.tables(3)}

    weights, codes = content(subgraphs[0])
    named = {signature.integer(4, "I") for signature in root.tables(7)} - {0}
    found = {number: content(subgraphs[number]) for number in named if number < len(subgraphs)}
    return {number for number, (kept, used) in found.items() if kept <= weights and used <= codes}


def _tensor(table: Table, index: int, kept: _Kept) -> TensorInfo:
    number = table.integer(1, "b")
    if not 0 <= number < len(DTYPES):
        table.buffer.fail(f"a tensor has type number {number}")
    shape, signature = table.integers(0), table.integers(7)
    dims = signature if len(signature) == len(shape) else shape
    if any(d < -1 for d in dims) or any(d < 0 for d in shape):
        table.buffer.fail(f"a tensor has the shape {shape}")
    quantization = table.table(4)
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    dimension = None
    if quantization is not None:
        scale = tuple(float(v) for v in quantization.numbers(2, "f"))
        zero_point = quantization.integers(3, "q")
        if not all(math.isfinite(v) for v in scale):
            table.buffer.fail("a tensor has a quantization scale that is not finite")
        dimension = quantization.integer(6) if len(scale) > 1 else None
    return TensorInfo(
        shape=tuple(None if d == -1 else d for d in dims),
        dtype=DTYPES[number],
        scale=scale,
        zero_point=zero_point,
        quantized_dimension=dimension,
        constant=kept.model_bytes > 0,
        model_bytes=kept.model_bytes,
        index=index,
        variable=bool(table.integer(5, "B")),
        outside=kept.outside,
    )


def _read_nodes(subgraph: Table, codes: list[tuple[str, int, bool]], keys: list[str], number: int) -> Iterable[Node]:
    buffer = subgraph.buffer
    for index, table in enumerate(subgraph.tables(3)):
        op, version, custom = _at(buffer, codes, table.integer(0, "I"))
        outputs = tuple(_at(buffer, keys, i) for i in table.integers(2))
        yield Node(
            name=outputs[0] if outputs else f"{op}_{index}",
            op=op,
            inputs=tuple("" if i == -1 else _at(buffer, keys, i) for i in table.integers(1)),
            outputs=outputs,
            version=version,
            custom=custom,
            subgraph=number,
        )


def _interface(root: Table, subgraph: Table, keys: list[str], *, field: int, plain: int) -> dict[str, str]:
    """Caller's names to keys of tensors: from the first signature of the main graph, else the tensors' own names."""
    for signature in root.tables(7):
        if signature.integer(4, "I") == 0:
            return {m.text(0): _at(root.buffer, keys, m.integer(1, "I")) for m in signature.tables(field)}
    found = [_at(root.buffer, keys, i) for i in subgraph.integers(plain)]
    return {key: key for key in found}


def _specs(names: dict[str, str], tensors: dict[str, TensorInfo], buffer: FlatBuffer) -> tuple[TensorSpec, ...]:
    for key in names.values():
        if tensors[key].dtype not in DTYPE_BITS and tensors[key].dtype != "string":
            buffer.fail(f"{key!r} has the type {tensors[key].dtype}, which cannot be an input or output")
    return tuple(tensor_spec(name, tensors[key]) for name, key in names.items())


def _at(buffer: FlatBuffer, items: list[T], index: int) -> T:
    if not 0 <= index < len(items):
        buffer.fail(f"it refers to item {index} of a list of {len(items)}")
    return items[index]
