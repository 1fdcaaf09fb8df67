"""What a model file holds, the same for every format: tensors and the operators between them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.card import TensorSpec

# Bits of one element, for every dtype name that the readers give.
DTYPE_BITS = {
    "float32": 32, "float16": 16, "bfloat16": 16, "float64": 64, "float8": 8, "float6": 6, "float4": 4,
    "int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "uint2": 2,
    "bool": 8, "complex64": 64, "complex128": 128,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor. ``shape`` is None where the file does not tell it, a dimension of None is free.

    ``model_bytes`` is what a constant takes in the file, 0 for others. ``scale`` and ``zero_point`` have one value, or
    one for each index of ``quantized_dimension``, or none. ``index`` is the tensor's number in a TFLite file, and
    ``outside`` says that its content stands behind the graph there, which some readers do not look at.
    """

    shape: tuple[int | None, ...] | None
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    quantized_dimension: int | None = None
    constant: bool = False
    model_bytes: int = 0
    index: int | None = None
    variable: bool = False
    outside: bool = field(default=False, compare=False)  # the tensor is the same wherever it is kept

    @property
    def elements(self) -> int | None:
        """Number of elements, or None while a dimension is not known; a free batch axis in front counts as 1."""
        if self.shape is None:
            return None
        dims = (1, *self.shape[1:]) if self.shape and self.shape[0] is None else self.shape
        return None if None in dims else math.prod(d for d in dims if d is not None)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the elements in memory, or None where the shape or the size of the dtype is not known."""
        elements = self.elements
        return None if elements is None or self.dtype not in DTYPE_BITS else -(-elements * DTYPE_BITS[self.dtype] // 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator; ``inputs`` and ``outputs`` are keys of `Graph.tensors`, an absent optional input is ''.

    ``custom`` is true for operators outside the format's own set, whose ``op`` is the custom name. ``subgraph`` is 0
    for the main graph and more for the bodies of loops and branches.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int | float | str | tuple[int, ...]] = field(default_factory=dict)
    version: int
    custom: bool = False
    subgraph: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A model file's tensors and operators in the order of execution.

    ``inputs`` and ``outputs`` carry the names by which a caller addresses them; ``input_tensors`` and
    ``output_tensors`` give the key in ``tensors`` for each of these names. ``versions`` holds the file's: ``schema``,
    or ``ir`` and each operator set. Of a TFLite file ``parts`` are its graphs of signatures that hold nothing which the
    main one does not; they are in no other field.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_tensors: Mapping[str, str]
    output_tensors: Mapping[str, str]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, TensorInfo]
    versions: Mapping[str, int]
    parts: int = 0


def tensor_spec(name: str, info: TensorInfo) -> TensorSpec:
    """``info`` as an input or output of a card; only per-tensor quantization has a meaning there."""
    per_tensor = len(info.scale) == 1
    return TensorSpec(
        name=name,
        shape=info.shape if info.shape is not None else (),
        dtype=info.dtype,
        scale=info.scale if per_tensor else (),
        zero_point=(info.zero_point or (0,)) if per_tensor else (),
    )
