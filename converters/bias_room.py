"""Kernels of float TFLite files that leave room for their biases in int8.

A bias becomes a 32-bit integer of the scale of its input times that of its channel's weights. Where a channel has
hardly any weights, as one that was pruned or died in training, that scale is so small that the bias does not fit.
"""

from typing import Any

import numpy as np

from edgekit.converters import tflite_edit
from edgekit.converters.accuracy.network import Kind
from edgekit.converters.accuracy.probe import Array
from edgekit.converters.ranges import Ends

LARGEST_BIAS = 2**30
"""In steps: half of what 32 bits hold, as products are added to it."""
_LARGEST_WEIGHT = 127
_STEPS = 255


def make_room(model: Any, ends: Ends) -> bool:
    """Give channels of too little weight as much as their biases need, by the ranges ``ends``; whether there were any.

    The weight that is added changes no output by more than 255 * 127 / 2^30 of the bias.
    """
    graph, changed = model.subgraphs[0], False
    for name, (kind, operator) in tflite_edit.weighted_operators(model).items():
        kernel, bias = tflite_edit.kernel_of(model, operator), tflite_edit.bias_of(model, operator)
        source = tflite_edit.name_of(graph.tensors[operator.inputs[0]])
        if kernel is None or bias is None or source not in ends:
            continue
        low, high = ends[source]
        roomy = with_room(kernel, bias, (max(high, 0.0) - min(low, 0.0)) / _STEPS, kind)
        if not np.array_equal(roomy, kernel):
            tflite_edit.set_weights(model, operator, roomy, bias, name)
            changed = True
    return changed


def with_room(kernel: Array, bias: Array, input_scale: float, kind: Kind) -> Array:
    """``kernel``, in the order of TFLite files, whose largest weights leave room for ``bias`` (channels,)."""
    if input_scale <= 0:
        return kernel
    rows = (
        np.array(kernel).reshape(-1, len(bias)).T if kind is Kind.DEPTHWISE else np.array(kernel).reshape(len(bias), -1)
    )
    least = np.abs(bias) * np.float32(_LARGEST_WEIGHT / (LARGEST_BIAS * input_scale))
    places = np.abs(rows).argmax(axis=1)
    channels = np.flatnonzero(np.abs(rows[np.arange(len(rows)), places]) < least)
    heaviest = rows[channels, places[channels]]
    rows[channels, places[channels]] = np.where(heaviest < 0, -1, 1) * least[channels]
    roomy: Array = (rows.T if kind is Kind.DEPTHWISE else rows).reshape(kernel.shape)
    return roomy
