"""Biases that undo the mean shift which rounding gives to every output channel (Nagel et al. 2019, section 4.2)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Kind, Network, Weights, last_use
from edgekit.converters.accuracy.observe import Observed
from edgekit.converters.accuracy.simulate import Ranges, linear, rectified, rounded

Biases = dict[str, Weights]


def shift_of_weights(network: Network, kernels: Mapping[str, Weights], observed: Mapping[str, Observed]) -> Biases:
    """Biases corrected for the rounding of weights alone, from the means of input channels; borders count as inner."""
    biases: Biases = {}
    for op in network.ops:
        if op.name not in kernels or op.kernel is None or op.bias is None or op.inputs[0] not in observed:
            continue
        mean = observed[op.inputs[0]].mean
        lost = op.kernel - kernels[op.name]
        if op.kind is Kind.DEPTHWISE:
            shift = lost[..., 0].sum(axis=(0, 1)) * mean
        else:
            shift = mean @ lost.reshape(-1, *lost.shape[-2:]).sum(axis=0)
        biases[op.name] = (op.bias + shift).astype(np.float32)
    return biases


def shift_in_sequence(
    network: Network, kernels: Mapping[str, Weights], ranges: Ranges, feed: Mapping[str, Any]
) -> Biases:
    """Biases corrected operator by operator, each for all rounding before it that is not corrected yet.

    An item's error of a channel is the mean over its positions; the correction is the median over the items, since the
    mean follows the few items of which a range clips much.
    """
    import tensorflow as tf

    exact: dict[str, Any] = {}
    coarse: dict[str, Any] = {}
    last = last_use(network.ops, network.outputs)
    biases: Biases = {}
    for op in network.ops:
        if op.kind is Kind.INPUT:
            exact[op.name] = tf.constant(feed[op.name])
            coarse[op.name] = rounded(exact[op.name], ranges.get(op.name))
            continue
        want = linear(op, [exact[n] for n in op.inputs], op.kernel)
        have = linear(op, [coarse[n] for n in op.inputs], kernels.get(op.name, op.kernel))
        if op.name in kernels and op.bias is not None:
            shift = _median_shift(want, have)
            biases[op.name] = op.bias + shift
            have = have + shift
        exact[op.name] = rectified(op, want)
        coarse[op.name] = rounded(rectified(op, have), ranges.get(op.name))
        for name in op.inputs:
            if last.get(name) == op.name:
                exact.pop(name, None)
                coarse.pop(name, None)
    return biases


def _median_shift(want: Any, have: Any) -> Weights:
    import tensorflow as tf

    inner = list(range(1, len(want.shape) - 1))
    lost = want - have
    by_item = tf.reduce_mean(lost, inner) if inner else lost
    shift: Weights = np.median(by_item.numpy(), axis=0).astype(np.float32)
    return shift
