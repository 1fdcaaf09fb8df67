"""Kernels on the levels that each format's engine rounds them to."""

from collections.abc import Collection
from enum import StrEnum

import numpy as np

from edgekit.converters.accuracy.network import Kind, Network, Op, Weights
from edgekit.converters.weight_scales import LARGEST, conv_scales, full_scale, pair_safe_scale


class WeightBits(StrEnum):
    """How much of eight bits the weights use."""

    EIGHT = "eight"
    SEVEN = "seven"  # no pair of products can overflow 16 bits
    PAIRS = "pairs"  # eight, and less just where a pair would overflow


def rounded_kernels(
    network: Network, bits: WeightBits, per_channel: bool, float_ops: Collection[str]
) -> dict[str, Weights]:
    """The rounded kernel of every weighted operator that is not in ``float_ops``."""
    rounded: dict[str, Weights] = {}
    for op in network.ops:
        if op.kernel is not None and op.name not in float_ops:
            scales = kernel_scales(op, bits, per_channel=per_channel)
            limit = 64 if bits is WeightBits.SEVEN else LARGEST
            steps = np.clip(np.rint(op.kernel / scales), -limit, limit)
            rounded[op.name] = (steps * scales).astype(np.float32)
    return rounded


def kernel_scales(op: Op, bits: WeightBits, *, per_channel: bool) -> Weights:
    """The scales of the weights of ``op``, shaped to broadcast against its kernel."""
    if op.kernel is None:
        raise ValueError(f"{op.name} has no kernel.")
    kernel = op.kernel
    halved = np.float32(LARGEST / 64 if bits is WeightBits.SEVEN else 1)
    if not per_channel:
        return full_scale(kernel.reshape(-1, 1)) * halved
    if op.kind is Kind.DEPTHWISE:
        return full_scale(kernel.reshape(-1, kernel.shape[2]))[:, None] * halved
    if bits is WeightBits.PAIRS and op.kind is Kind.CONV:
        return conv_scales(np.moveaxis(kernel, (3, 2), (0, 1)))
    rows = kernel.reshape(-1, kernel.shape[-1])
    return (pair_safe_scale(rows) if bits is WeightBits.PAIRS else full_scale(rows)) * halved


def output_scales(network: Network, bits: WeightBits) -> dict[str, Weights]:
    """One scale for each output channel of every weighted operator."""
    found: dict[str, Weights] = {}
    for op in network.ops:
        if op.kernel is not None:
            scales = kernel_scales(op, bits, per_channel=True)
            found[op.name] = np.broadcast_to(scales.reshape(-1), (op.channels,)).astype(np.float32)
    return found
