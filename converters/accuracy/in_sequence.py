"""Kernels and biases corrected operator by operator, each for the rounding of all before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.converters.accuracy.kernel_scales import WeightBits, kernel_scales
from edgekit.converters.accuracy.network import Kind, Network, Weights, last_use
from edgekit.converters.accuracy.observe import Observed, item_means
from edgekit.converters.accuracy.round_weights import adapted_kernel
from edgekit.converters.accuracy.simulate import Ranges, linear, rectified, rounded, with_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """By operator, the kernel as it will be rounded, and the bias that fits it."""

    kernels: Mapping[str, Weights]
    biases: Mapping[str, Weights]


def correct(
    network: Network,
    kernels: Mapping[str, Weights],
    ranges: Ranges,
    observed: Mapping[str, Observed],
    batches: Sequence[Mapping[str, Any]],
    *,
    adapt: WeightBits | None,
) -> Corrected:
    """What makes each operator's output on ``batches`` as it is in float, as far as a bias and rounding can.

    ``kernels`` are rounded already; with ``adapt`` they are rounded anew for the inputs that the operator gets. The
    batches are the items of which ``observed`` knows the means. A bias moves by the median over the items of the mean
    error over positions: the mean over the items would follow the few of which a range clips much.
    """
    import tensorflow as tf

    values: dict[str, list[Any]] = {}
    ranges = with_zero(ranges)
    last = last_use(network.ops, network.outputs)
    used, biases = dict(kernels), {}
    for op in network.ops:
        if op.kind is Kind.INPUT:
            values[op.name] = [rounded(tf.constant(batch[op.name]), ranges.get(op.name)) for batch in batches]
            continue
        inputs = [values[name] for name in op.inputs]
        free = op.name in kernels and op.name not in network.fixed
        if free and adapt is not None:
            scales = kernel_scales(op, adapt, per_channel=True)
            adapted = adapted_kernel(op, scales, inputs[0], pairs=adapt is WeightBits.PAIRS)
            used[op.name] = kernels[op.name] if adapted is None else adapted
        found = [linear(op, batch, used.get(op.name, op.kernel)) for batch in zip(*inputs, strict=True)]
        shift = np.zeros(1, np.float32)
        if free and op.bias is not None:
            shift = _median_shift(observed[op.name], found)
            biases[op.name] = op.bias + shift
        del inputs
        for name in op.inputs:
            if last.get(name) == op.name:
                values.pop(name, None)
        for number, value in enumerate(found):  # one after the other, so that each frees its memory for the next
            moved = value + shift if op.name in biases else value
            found[number] = rounded(rectified(op, moved), ranges.get(op.name))
        values[op.name] = found
    return Corrected(kernels=used, biases=biases)


def _median_shift(seen: Observed, found: Sequence[Any]) -> Weights:
    means = np.concatenate([item_means(value).numpy() for value in found])
    shift: Weights = np.median(seen.item_means[: len(means)] - means, axis=0).astype(np.float32)
    return shift
