"""Scales of 8-bit ONNX weights that cannot overflow on any CPU, and lose less than seven bits would.

x86 without VNNI multiplies unsigned activations by signed weights with ``vpmaddubsw``, which adds two neighbouring
products in 16 bits, saturated: 255 * (|q0| + |q1|) must stay below 32,768 where both weights have one sign. Scaling all
weights to seven bits ensures that and wastes the eighth; here only channels with such a pair are scaled, and no further
than needed. Depthwise convolutions add no pairs and keep all eight bits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST = 127
PAIR_LIMIT = 127.5
"""Largest |w0| + |w1| in steps: rounding adds at most one half each, and 255 * 128 < 32,768."""
LEVEL_LIMIT = 128
"""Largest |q0| + |q1| of rounded weights of one sign."""

Weights = npt.NDArray[np.float32]


def pair_safe_scale(rows: Weights) -> Weights:
    """One scale for each column of ``rows`` (inner dimension, output channels); rows stand as they are summed."""
    odd = np.zeros((len(rows) % 2, rows.shape[1]), np.float32)
    pairs = np.concatenate([rows, odd]).reshape(-1, 2, rows.shape[1])
    same_sign = np.sign(pairs[:, 0]) == np.sign(pairs[:, 1])
    heaviest = np.where(same_sign, np.abs(pairs).sum(axis=1), 0).max(axis=0)
    scale: Weights = np.maximum(full_scale(rows), heaviest / np.float32(PAIR_LIMIT))
    return scale


def full_scale(rows: Weights) -> Weights:
    """One scale for each column of ``rows``, at which its largest weight becomes 127."""
    # A channel of zeros has no scale of its own; any will do.
    scale: Weights = np.maximum(np.abs(rows).max(axis=0), np.float32(1e-12)) / np.float32(LARGEST)
    return scale


def without_overflow(levels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Integer ``levels`` (..., inputs, outputs), the heavier of two neighbours nearer to zero where they overflow.

    For weights rounded one by one at a scale of `pair_safe_scale`, which foresees rounding to the nearest level only.
    """
    safe = np.array(levels).reshape(-1, levels.shape[-1])
    places = np.arange(len(safe)).reshape(-1, levels.shape[-2])
    pairs = [order.reshape(-1)[: len(safe) // 2 * 2].reshape(-1, 2).T for order in (places, places.T)]
    before: npt.NDArray[Any] | None = None
    while before is None or not np.array_equal(before, safe):
        before = safe.copy()
        for first, second in pairs:
            a, b = safe[first], safe[second]
            over = np.where(np.sign(a) == np.sign(b), np.abs(a) + np.abs(b) - LEVEL_LIMIT, 0).clip(0)
            heavier = np.abs(a) >= np.abs(b)
            safe[first] -= np.where(heavier, np.sign(a) * over, 0)
            safe[second] -= np.where(heavier, 0, np.sign(b) * over)
    return safe.reshape(levels.shape)


def weight_overrides(model: Any, known: Mapping[str, Sequence[float]]) -> dict[str, list[dict[str, Any]]]:
    """ONNX Runtime's ``TensorQuantOverrides`` for the weights of convolutions and dense layers of an ONNX ``model``.

    ``known`` holds the scales of weights that are on their levels already, by tensor name.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    overrides: dict[str, list[dict[str, Any]]] = {}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in weights:
            continue
        values = numpy_helper.to_array(weights[node.input[1]])
        if node.op_type == "Conv":
            axis, scales = 0, conv_scales(values, groups_of(node))
        elif values.ndim == 2:
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            axis, scales = (0, pair_safe_scale(values.T)) if transposed else (1, pair_safe_scale(values))
        else:
            continue
        scales = np.asarray(known.get(node.input[1], scales))
        zero_point = np.array(0, np.int8)
        overrides[node.input[1]] = [{"scale": s, "zero_point": zero_point} for s in scales.astype(np.float32)]
        overrides[node.input[1]][0]["axis"] = axis
    return overrides


def groups_of(node: Any) -> int:
    """The number of groups of an ONNX convolution."""
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def summed_orders(values: Weights, groups: int) -> tuple[Weights, ...]:
    """A kernel (output channels, input channels of a group, ...) as (inner, output channels), in the order of addition.

    Channels come first or last, by the layout that the engine has chosen. None for a depthwise one: it adds no pairs.
    An ordinary convolution of one channel, as of grey images, does.
    """
    outputs = len(values)
    if groups == outputs > 1 and values.shape[1] == 1:
        return ()
    return values.reshape(outputs, -1).T, np.moveaxis(values, 1, -1).reshape(outputs, -1).T


def conv_scales(values: Weights, groups: int = 1) -> Weights:
    """Scales for a kernel (output channels, input channels of a group, ...)."""
    whole = full_scale(values.reshape(len(values), -1).T)
    scale: Weights = np.maximum.reduce([whole, *map(pair_safe_scale, summed_orders(values, groups))])
    return scale
