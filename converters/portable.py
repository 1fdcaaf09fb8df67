"""Scales of 8-bit ONNX activations at which every CPU rounds alike.

In ONNX Runtime a convolution or dense layer is an exact integer sum and one float product, the same on every CPU once
no pair of weights overflows (`edgekit.converters.weight_scales`). Sums, products and means of 8-bit tensors are not:
kernels for AVX2 fuse multiplication and addition, those for SSE do not, those for NEON compute in fixed point and round
halves away from zero, so that a result half between two steps, or nearly so, goes to either side.

Here no such result exists. Where all factors from input steps to output steps are fractions p/q of one odd q, every
result is a multiple of 1/q, and half a step is none: the nearest one stays 1/(2q) away from it.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from edgekit.converters.weight_scales import groups_of, summed_orders
from edgekit.errors import ConversionError

LARGEST = 1023
"""Largest q that is chosen. Rounding of scales, ratios, 22-bit multipliers (NEON) and float sums (AVX2) adds up to less
than 2.2e-4 of a step times the larger factor, which is at most 1023 / q: under half of 1/(2q)."""
LARGEST_OF_MEAN = 4095
"""A mean has one factor, in all kernels the same float, and errs by less than 1e-4 of a step: under 1/(2q) here too."""

Ranges = Mapping[str, tuple[float, float]]

# Whole numbers come out as whole numbers, or each value follows from one or two others by one IEEE operation or table.
_EXACT = frozenset(
    (
        "Abs", "ArgMax", "Cast", "Clip", "Constant", "DepthToSpace", "DequantizeLinear", "Div", "Expand", "Flatten",
        "Gather", "GlobalMaxPool", "Identity", "Max", "MaxPool", "Min", "Neg", "Pad", "QuantizeLinear", "Relu",
        "Reshape", "Shape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze",
    )
)  # fmt: skip
# The same, when their inputs and their output are 8-bit; in float the order of additions is each CPU's own.
_EXACT_IN_8_BITS = frozenset(("AveragePool", "Concat", "Conv", "Gemm", "LeakyRelu", "MatMul", "Softmax"))
_WEIGHTED = frozenset(("Conv", "Gemm", "MatMul"))
_ROUNDED = frozenset(("Add", "GlobalAveragePool", "Mul"))
# ONNX Runtime gives the output of these the scale of their input.
_PASSING = frozenset(
    (
        "AveragePool", "Flatten", "Gather", "MaxPool", "Pad", "Reshape", "Resize", "Slice", "Split", "Squeeze",
        "Transpose", "Unsqueeze",
    )
)  # fmt: skip
_REMOVED = frozenset(("Clip", "Relu"))


def portable_overrides(model: Any, ranges: Ranges) -> dict[str, list[dict[str, Any]]]:
    """ONNX Runtime's ``TensorQuantOverrides`` for activations of the float ``model``, whose values lie in ``ranges``.

    Tensors that meet in additions get odd multiples of one unit as scales; outputs of products and means a scale of
    their own. No scale is smaller than its range asks for.
    """
    from onnx import numpy_helper

    operands = {name for node in model.graph.node if node.op_type in _ROUNDED for name in node.input}
    constants = {
        t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer if t.name in operands
    }
    known = {**ranges, **{name: (float(v.min()), float(v.max())) for name, v in constants.items() if v.size}}
    groups = _one_scale(model, known)
    scales = {name: max(_width(known[name]) / 255, float(np.finfo(np.float32).tiny)) for name in set(groups.values())}
    chosen: dict[str, float] = {}
    for members in _added(model, groups):
        unit = max(scales[name] for name in members) / LARGEST
        chosen |= {name: (math.ceil(scales[name] / unit - 1e-6) | 1) * unit for name in members}
    for node in model.graph.node:
        output = groups.get(node.output[0]) if node.output else None
        if node.op_type not in ("Mul", "GlobalAveragePool") or output is None or output in chosen:
            continue
        inputs = [groups[name] for name in node.input if name in groups]
        unit = math.prod(chosen.setdefault(name, scales[name]) for name in inputs) / _count(model, node)
        if math.isfinite(unit):
            chosen[output] = unit * _odd_fraction_above(scales[output] / unit)
    return {
        name: [_parameters(chosen[group], known[group])] for name, group in sorted(groups.items()) if group in chosen
    }


def require_portable(model: Any, what: str) -> None:
    """`ConversionError` unless each operator of the quantized ``model`` gives the same bits on every CPU."""
    from onnx import numpy_helper, shape_inference

    model = shape_inference.infer_shapes(model)
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    read = {n.output[0]: values[n.input[1]] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    written = {n.input[0]: values[n.input[1]] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    weights = {n.output[0]: values.get(n.input[0]) for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        if node.op_type in _WEIGHTED and _overflows(node, weights.get(node.input[1])):
            raise ConversionError(
                f"{what} cannot have the same bits on every CPU: pairs of weights of {node.op_type} {node.name!r} "
                "overflow on x86 without VNNI; convert without --portable."
            )
        quantized = node.output[0] in written and all(name in read for name in node.input if name)
        known = node.op_type in _EXACT or (node.op_type in _EXACT_IN_8_BITS | _ROUNDED and quantized)
        # Additions and products in float are one IEEE operation.
        if not known and node.op_type not in ("Add", "Mul"):
            raise ConversionError(
                f"{what} cannot have the same bits on every CPU: {node.op_type} {node.name!r} has no exact 8-bit form; "
                "convert without --portable."
            )
        if node.op_type in _ROUNDED and quantized:
            factors = _factors(model, node, [float(read[name]) for name in node.input], float(written[node.output[0]]))
            if not is_odd_fraction(factors, LARGEST if node.op_type != "GlobalAveragePool" else LARGEST_OF_MEAN):
                raise ConversionError(
                    f"{what} cannot have the same bits on every CPU: the scales around {node.op_type} {node.name!r} "
                    "leave results half between two steps; convert without --portable."
                )


def _overflows(node: Any, weights: Any) -> bool:
    """Whether two products of 8-bit weights with neighbouring activations of 255 leave 16 bits."""
    if weights is None or weights.dtype != np.int8 or weights.ndim < 2:
        return False
    if node.op_type == "Conv":
        orders = summed_orders(weights, groups_of(node))
    else:
        orders = (weights.T if any(a.name == "transB" and a.i for a in node.attribute) else weights,)
    for rows in orders:
        whole = np.concatenate([rows, np.zeros((len(rows) % 2, *rows.shape[1:]), np.int8)]).astype(np.int32)
        pairs = whole.reshape(-1, 2, *rows.shape[1:])
        reach = max(np.clip(side * pairs, 0, None).sum(axis=1).max(initial=0) for side in (1, -1))
        if 255 * reach >= 2**15:
            return True
    return False


def is_odd_fraction(factors: Iterable[float], largest: int) -> bool:
    """Whether one odd q, at most ``largest``, makes whole numbers of all ``factors``, as far as float32 scales tell.

    >>> is_odd_fraction([2 / 3, 5 / 3], 1023), is_odd_fraction([0.5], 1023)
    (True, False)
    """
    each = np.array(list(factors))[:, None]
    products = each * np.arange(1, largest + 1, 2)
    return bool((np.abs(products - np.rint(products)) <= 4e-7 * products).all(axis=0).any())


def _odd_fraction_above(value: float) -> float:
    """The q/p of odd q just above ``value``, with q near `LARGEST`, or the next odd number where that is larger."""
    p = max(1, math.floor(LARGEST / value))
    return (math.ceil(value * p - 1e-6) | 1) / p


def _factors(model: Any, node: Any, inputs: list[float], output: float) -> list[float]:
    if node.op_type == "Add":
        return [scale / output for scale in inputs]
    return [math.prod(inputs) / output / _count(model, node)]


def _count(model: Any, node: Any) -> float:
    """How many values one output of the node is the mean of; 1 for a product, NaN where the model does not tell."""
    if node.op_type != "GlobalAveragePool":
        return 1
    described = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in described}
    sizes = [dim.dim_value for dim in shapes.get(node.input[0], ())[2:]]
    return math.prod(sizes) if sizes and all(sizes) else math.nan


def _one_scale(model: Any, known: Ranges) -> dict[str, str]:
    """The tensor whose range counts, for each tensor with a range: those that share a scale name the same one."""
    readers: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    lead = {name: name for name in known}
    for node in model.graph.node:
        if node.op_type in _PASSING and node.input[0] in known:
            lead |= {name: node.input[0] for name in node.output if name in known}
    for node in model.graph.node:
        # An activation that only clips disappears into the operator before it, with its own range.
        if node.op_type in _REMOVED and {node.input[0], node.output[0]} <= known.keys() and readers[node.input[0]] == 1:
            lead[node.input[0]] = node.output[0]
    return {name: _end(name, lead) for name in known}


def _end(name: str, lead: Mapping[str, str]) -> str:
    while lead[name] != name:
        name = lead[name]
    return name


def _added(model: Any, groups: Mapping[str, str]) -> list[list[str]]:
    """Tensors, one for each scale, in sets that additions connect."""
    sets: list[set[str]] = []
    for node in model.graph.node:
        if node.op_type != "Add" or not all(name in groups for name in (*node.input, *node.output)):
            continue
        merged = {groups[name] for name in (*node.input, *node.output)}
        for other in [s for s in sets if s & merged]:
            merged |= other
            sets.remove(other)
        sets.append(merged)
    return [sorted(s) for s in sets]


def _parameters(scale: float, ends: tuple[float, float]) -> dict[str, Any]:
    zero_point = min(255, max(0, round(-min(ends[0], 0.0) / scale)))
    return {"scale": np.array(scale, np.float32), "zero_point": np.array(zero_point, np.uint8)}


def _width(ends: tuple[float, float]) -> float:
    return max(ends[1], 0.0) - min(ends[0], 0.0)
