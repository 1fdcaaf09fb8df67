"""Where in a model file the values of its layers are found, the same for both formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.formats.graph import Graph, Node, TensorInfo

Array = npt.NDArray[Any]
Constant = Callable[[str], Array | None]
"""The value of a constant tensor by name, ``None`` for any other tensor."""

QUANTIZING = frozenset({"QUANTIZE", "QuantizeLinear"})
DEQUANTIZING = frozenset({"DEQUANTIZE", "DequantizeLinear"})
_LOWEST = float(np.finfo(np.float32).min)
_FLOAT = frozenset({"float32", "float16"})
_INTEGER = frozenset({"int8", "uint8", "int16", "uint16"})
_RECTIFIERS = frozenset({"Relu", "Clip", "RELU", "RELU6"})
_FUSING = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "BatchNormalization"})
# These move values and make none.
_MOVING = frozenset(
    (
        "CAST", "EXPAND_DIMS", "PAD", "RESHAPE", "SQUEEZE", "TRANSPOSE",
        "Cast", "Flatten", "Identity", "Pad", "Reshape", "Squeeze", "Transpose", "Unsqueeze",
    )
)  # fmt: skip
_ORT_INNER = "_QuantizeLinear_Input"  # ONNX Runtime's quantizer gives the name of an output to its dequantized value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """A tensor that holds the values of a layer: integers that stand for (q - ``zero_point``) * ``scale``, or floats.

    ``scale`` is ``None`` for floats; ``low`` and ``high`` are the ends of the integers' range.
    """

    tensor: str
    scale: float | None = None
    zero_point: int = 0
    low: int = 0
    high: int = 0

    def real(self, values: Array) -> npt.NDArray[np.float32]:
        """``values`` of the tensor as real numbers."""
        if self.scale is None:
            return values.astype(np.float32, copy=False)
        return (values.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def clipped(self, values: Array, wanted: Array) -> int:
        """How many of ``values`` stand at an end of the range while ``wanted`` is beyond it by over half a step."""
        if self.scale is None:
            return 0
        steps = wanted / np.float32(self.scale) + np.float32(self.zero_point)
        above = (values == self.high) & (steps > self.high + 0.5)
        return int(np.count_nonzero(above | ((values == self.low) & (steps < self.low - 0.5))))


def find_taps(graph: Graph, constant: Constant) -> dict[str, Tap]:
    """The tap of every layer by name, in the order of execution; the outputs of the model have their own names.

    What only moves values is left out, and so is a value before the rectifier that an integer file fuses.
    """
    makers = {out: node for node in graph.nodes if not node.subgraph for out in node.outputs}
    readers: dict[str, list[Node]] = {}
    for node in reversed(graph.nodes):
        if _idle(node, constant):  # who reads what it gives reads what it takes
            readers[node.inputs[0]] = readers.get(node.outputs[0], [])
            continue
        for name in node.inputs:
            readers[name] = [node, *readers.get(name, [])]
    finals = {tensor: name for name, tensor in graph.output_tensors.items()}
    taps: dict[str, Tap] = {}
    for node in graph.nodes:
        if node.subgraph or node.op in QUANTIZING or _idle(node, constant):
            continue
        for out in node.outputs:
            read = readers.get(out, [])
            if out in finals:
                origin = _before_conversion(out, makers)
                taps.pop(origin.removesuffix(_ORT_INNER), None)
                taps[finals[out]] = _tap(graph, constant, origin, readers.get(origin, [])) or Tap(tensor=out)
            elif node.op not in _MOVING | DEQUANTIZING and not _fused(node, read):
                tap = _tap(graph, constant, out, read)
                if tap is not None:
                    taps[out] = tap
    return taps


def _idle(node: Node, constant: Constant) -> bool:
    """Whether a node gives what it takes: a maximum with the lowest float, which keeps an operator of ONNX in float."""
    if node.op != "Max" or len(node.inputs) != 2:
        return False
    other = constant(node.inputs[1])
    return other is not None and other.size == 1 and float(other.reshape(-1)[0]) == _LOWEST


def _fused(node: Node, readers: Sequence[Node]) -> bool:
    """Whether a value is that of a layer before its rectifier, which TFLite and integer ONNX files do not have."""
    return node.op in _FUSING and len(readers) == 1 and readers[0].op in _RECTIFIERS


def _before_conversion(tensor: str, makers: dict[str, Node]) -> str:
    """The tensor that conversions to and from integers make ``tensor`` of."""
    while tensor in makers and makers[tensor].op in QUANTIZING | DEQUANTIZING and makers[tensor].inputs[0] in makers:
        tensor = makers[tensor].inputs[0]
    return tensor


def _tap(graph: Graph, constant: Constant, tensor: str, readers: Sequence[Node]) -> Tap | None:
    """The tap of a value as its readers get it: behind the rounding of a float that is read as integers only."""
    info = graph.tensors.get(tensor)
    if info is not None and info.dtype in _INTEGER:
        return _integer_tap(tensor, info)
    if len(readers) == 1 and readers[0].op in QUANTIZING:
        (node,) = readers
        made = graph.tensors.get(node.outputs[0])
        if node.op == "QuantizeLinear":
            tap = _onnx_tap(node, constant)
        else:
            tap = _integer_tap(node.outputs[0], made) if made is not None else None
        if tap is not None:
            return tap
    return Tap(tensor=tensor) if info is not None and info.dtype in _FLOAT else None


def _integer_tap(tensor: str, info: TensorInfo) -> Tap | None:
    if len(info.scale) != 1 or info.dtype not in _INTEGER:
        return None
    ends = np.iinfo(info.dtype)
    zero_point = info.zero_point[0] if info.zero_point else 0
    return Tap(tensor=tensor, scale=info.scale[0], zero_point=zero_point, low=int(ends.min), high=int(ends.max))


def _onnx_tap(node: Node, constant: Constant) -> Tap | None:
    scale = constant(node.inputs[1])
    zero_point = constant(node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.uint8)
    if scale is None or scale.size != 1 or zero_point is None:
        return None
    ends = np.iinfo(zero_point.dtype)
    return Tap(
        tensor=node.outputs[0],
        scale=float(scale.reshape(-1)[0]),
        zero_point=int(zero_point.reshape(-1)[0]),
        low=int(ends.min),
        high=int(ends.max),
    )
