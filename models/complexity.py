"""How large a model is and how much it computes, read from its Keras graph."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.errors import InputError
from edgekit.models.framework import load_keras

CAPSULE_VOTES = "bni,nijo->bnjo"
"""The product of each capsule of a layer with its own weights for each capsule of the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complexity:
    """Figures of one item through a model.

    ``parameters`` counts trained values, ``statistics`` the moving means and variances beside them. ``macs`` counts
    multiply-accumulate operations of convolutions, dense and recurrent layers, as the papers do. ``peak_activations``
    is the largest number of elements alive at once when the layers run in order: a tensor lives from the layer that
    makes it until the last that reads it, and normalisation, activation, padding, dropout and reshaping work in place,
    as they do once fused. Weights are not in it.
    """

    parameters: int
    statistics: int
    macs: int
    peak_activations: int

    @property
    def activation_bytes_fp32(self) -> int:
        """Activation memory with four bytes an element."""
        return self.peak_activations * 4

    @property
    def activation_bytes_int8(self) -> int:
        """Activation memory with one byte an element."""
        return self.peak_activations


def complexity(model: Any) -> Complexity:
    """The figures of a functional Keras ``model`` with fixed input sizes, for a batch of one."""
    return Complexity(
        parameters=sum(math.prod(w.shape) for w in model.trainable_weights),
        statistics=sum(math.prod(w.shape) for w in model.non_trainable_weights),
        macs=sum(_layer_macs(layer) for layer in model.layers),
        peak_activations=_peak_activations(model),
    )


def of_layers(model: Any, pattern: str) -> tuple[int, int]:
    """Trained parameters and multiply-accumulates of the layers whose whole name matches ``pattern``."""
    chosen = [layer for layer in model.layers if re.fullmatch(pattern, layer.name)]
    parameters = sum(math.prod(w.shape) for layer in chosen for w in layer.trainable_weights)
    return parameters, sum(_layer_macs(layer) for layer in chosen)


def _layer_macs(layer: Any) -> int:
    keras = load_keras()
    if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense):
        positions: int = math.prod(layer.output.shape[1:-1])
        return positions * int(math.prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.EinsumDense) and layer.equation == CAPSULE_VOTES:
        return int(math.prod(layer.kernel.shape))  # each position has weights of its own
    if isinstance(layer, keras.layers.Conv2DTranspose):  # each position of its input is spread with the whole kernel
        return int(math.prod(layer.input.shape[1:-1]) * math.prod(layer.kernel.shape))
    if isinstance(layer, keras.layers.Bidirectional):
        return _recurrent_macs(layer.forward_layer, layer.input) + _recurrent_macs(layer.backward_layer, layer.input)
    if isinstance(layer, keras.layers.RNN):
        return _recurrent_macs(layer, layer.input)
    if isinstance(layer, keras.layers.Embedding):
        return 0
    if layer.trainable_weights and not isinstance(layer, keras.layers.BatchNormalization):
        raise InputError(
            f"Multiplications of layer {layer.name!r} ({type(layer).__name__}) are not counted; "
            "known: Conv2D, Conv2DTranspose, DepthwiseConv2D, Dense, EinsumDense of capsules, SimpleRNN, LSTM, GRU."
        )
    return 0


def _recurrent_macs(layer: Any, sequence: Any) -> int:
    """Those of the two matrices of every step of ``sequence``."""
    steps: int = sequence.shape[1]
    return steps * sum(int(math.prod(weights.shape)) for weights in (layer.cell.kernel, layer.cell.recurrent_kernel))


def _peak_activations(model: Any) -> int:
    keras = load_keras()
    in_place = (
        keras.layers.BatchNormalization,
        keras.layers.ReLU,
        keras.layers.LeakyReLU,
        keras.layers.Activation,
        keras.layers.Dropout,
        keras.layers.Flatten,
        keras.layers.Reshape,
        keras.layers.ZeroPadding2D,
    )
    owner: dict[int, int] = {}  # tensor -> the tensor whose memory it shares
    elements: dict[int, int] = {}
    last_use: dict[int, int] = {}
    made: list[tuple[int, int]] = []  # (step, tensor)
    for step, layer in enumerate(model.layers):
        inputs = [] if isinstance(layer, keras.layers.InputLayer) else _tensors(layer.input)
        for tensor in inputs:
            last_use[owner[id(tensor)]] = step
        for output in _tensors(layer.output):
            if isinstance(layer, in_place):
                owner[id(output)] = owner[id(inputs[0])]
            else:
                owner[id(output)] = id(output)
                elements[id(output)] = math.prod(output.shape[1:])
                last_use[id(output)] = step
                made.append((step, id(output)))
    for output in model.outputs:
        last_use[owner[id(output)]] = len(model.layers)
    return max(
        sum(elements[tensor] for start, tensor in made if start <= step <= last_use[tensor])
        for step in range(len(model.layers))
    )


def _tensors(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]
