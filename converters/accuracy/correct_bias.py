"""Biases that undo the mean shift which rounding the weights gives to every output channel.

Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2.
"""

from collections.abc import Mapping

import numpy as np

from edgekit.converters.accuracy.network import Kind, Network, Weights
from edgekit.converters.accuracy.observe import Observed

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
