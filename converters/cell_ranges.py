"""How large the cell states of fused LSTMs become. It runs in the process of TensorFlow.

TFLiteConverter looks at a state after the last time step alone, and gives it a range from that: a cell that counts up
and comes back would be cut off.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.converters.tflite_rnn import CELL_STATE, lstms
from edgekit.errors import ConversionError

Array = npt.NDArray[np.float32]

LARGEST_CELL = 64.0
"""An int16 with six integer bits, the most for which TFLite's integer tanh has a table (`PortableApplyTanh`)."""
_KERNELS, _RECURRENT, _BIASES = slice(1, 5), slice(5, 9), slice(12, 16)
"""Inputs of UNIDIRECTIONAL_SEQUENCE_LSTM: of the gates that write, keep, make what is new, and show."""


def widen_cells(calibrated: Any, content: bytes, feeds: Iterable[Mapping[str, Array]]) -> None:
    """Let the ranges of all cell states in the ``calibrated`` model hold what they are over the time of ``feeds``.

    ``content`` is the same model as it runs, in float, one item at a time.
    """
    import tensorflow as tf

    found = lstms(calibrated)
    run = tf.lite.Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    run.allocate_tensors()
    runner = run.get_signature_runner()
    weights = [_weights(run, operator) for _, operator in found]
    largest = [0.0] * len(found)
    for feed in feeds:
        run.reset_all_variables()
        runner(**feed)
        for place, (_, operator) in enumerate(found):
            cells = cell_states(run.get_tensor(int(operator.inputs[0]))[0], *weights[place])
            largest[place] = max(largest[place], float(np.abs(cells).max()))
    require_room(max(largest, default=0.0))
    for (graph, operator), most in zip(found, largest, strict=True):
        range_ = graph.tensors[operator.inputs[CELL_STATE]].quantization
        range_.min, range_.max = [min(float(range_.min[0]), -most)], [max(float(range_.max[0]), most)]


def require_room(largest: float) -> None:
    """`ConversionError` for a cell state beyond what the int8 kernel knows the tanh of: it computes nothing there."""
    if largest > LARGEST_CELL:
        raise ConversionError(
            f"cell states of fused LSTMs reach {largest:.3g} here, and in int8 their kernel knows those up to "
            f"{LARGEST_CELL:g}; take the recipe dynamic."
        )


def cell_states(sequence: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """The cell state (steps, units) of an LSTM after each step of ``sequence`` (steps, inputs), from zero.

    ``kernel`` (4 * units, inputs), ``recurrent`` (4 * units, units) and ``bias`` (4 * units) have the gates in TFLite's
    order.
    """
    hidden = cell = np.zeros(recurrent.shape[1], np.float32)
    found = []
    for sums in sequence @ kernel.T + bias:
        write, keep, new, show = np.split(sums + recurrent @ hidden, 4)
        cell = _sigmoid(keep) * cell + _sigmoid(write) * np.tanh(new)
        hidden = _sigmoid(show) * np.tanh(cell)
        found.append(cell)
    return np.stack(found)


def _weights(run: Any, operator: Any) -> tuple[Array, Array, Array]:
    kernel, recurrent, bias = (
        np.concatenate([run.get_tensor(int(index)) for index in operator.inputs[part]])
        for part in (_KERNELS, _RECURRENT, _BIASES)
    )
    return kernel, recurrent, bias


def _sigmoid(values: Array) -> Array:
    half = np.float32(0.5)
    result: Array = half * np.tanh(half * values) + half
    return result
