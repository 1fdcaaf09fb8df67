"""The weights and activations of Keras' recurrent cells, as the ONNX operators LSTM, GRU and RNN take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ConversionError

Array = NDArray[np.float32]

OPERATORS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "RNN"}
"""The operator of each Keras cell."""
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}
"""Where an operator's gates are in Keras: i o f c from i f c o, and z r h as they are."""
# Name, alpha and beta of the ONNX activation.
_ACTIVATIONS: dict[str, tuple[str, float | None, float | None]] = {
    "tanh": ("Tanh", None, None),
    "sigmoid": ("Sigmoid", None, None),
    "relu": ("Relu", None, None),
    "linear": ("Affine", 1.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "elu": ("Elu", 1.0, None),
    "leaky_relu": ("LeakyRelu", 0.2, None),
    "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One direction: kernels (gates * units, inputs) and (gates * units, units), biases (2 * gates * units)."""

    op: str
    units: int
    kernel: Array
    recurrent: Array
    bias: Array
    activations: tuple[tuple[str, float | None, float | None], ...]
    linear_before_reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operator:
    """One ONNX operator: its weights W, R and B, direction first, and its attributes."""

    op: str
    name: str
    weights: tuple[Array, Array, Array]
    attributes: dict[str, Any]


def read_cell(cell: Any, layer: str) -> Cell:
    """The weights of a Keras ``cell``; `ConversionError` for an activation that ONNX operators lack."""
    op = OPERATORS[type(cell).__name__]
    kernel, recurrent, *biases = (np.asarray(weight, np.float32) for weight in cell.get_weights())
    rows = kernel.shape[1]
    # Keras gives a GRU that resets after the product a second bias; others have one, which is the input's.
    bias = np.atleast_2d(biases[0]) if biases else np.zeros((1, rows), np.float32)
    both = np.concatenate([bias, np.zeros((2 - len(bias), rows), np.float32)])
    return Cell(
        op=op,
        units=int(cell.units),
        kernel=_in_order(kernel.T, op),
        recurrent=_in_order(recurrent.T, op),
        bias=np.concatenate([_in_order(row, op) for row in both]),
        activations=_activations(cell, op, layer),
        linear_before_reset=op == "GRU" and bool(cell.reset_after),
    )


def operator(cells: Sequence[Cell], name: str, *, backwards: bool = False) -> Operator:
    """One operator for one direction, or for both where there are two ``cells``."""
    first = cells[0]
    functions = [function for cell in cells for function in cell.activations]
    attributes: dict[str, Any] = {
        "hidden_size": first.units,
        "direction": "bidirectional" if len(cells) > 1 else "reverse" if backwards else "forward",
        "activations": [function for function, _, _ in functions],
    }
    for key, values in (("alpha", [a for _, a, _ in functions]), ("beta", [b for _, _, b in functions])):
        if given := [value for value in values if value is not None]:
            attributes[f"activation_{key}"] = given
    if first.op == "GRU":
        attributes["linear_before_reset"] = int(first.linear_before_reset)
    weights = tuple(np.stack([getattr(c, part) for c in cells]) for part in ("kernel", "recurrent", "bias"))
    return Operator(op=first.op, name=name, weights=(weights[0], weights[1], weights[2]), attributes=attributes)


def same_operator(one: Cell, other: Cell) -> bool:
    """Whether one operator can hold both directions."""
    return all(getattr(one, part) == getattr(other, part) for part in ("op", "units", "linear_before_reset"))


def _in_order(rows: Array, op: str) -> Array:
    gates = np.split(rows, len(_GATES[op]))
    return np.concatenate([gates[place] for place in _GATES[op]])


def _activations(cell: Any, op: str, layer: str) -> tuple[tuple[str, float | None, float | None], ...]:
    main = _activation(cell.activation, layer)
    if op == "RNN":
        return (main,)
    gates = _activation(cell.recurrent_activation, layer)
    return (gates, main, main) if op == "LSTM" else (gates, main)


def _activation(function: Any, layer: str) -> tuple[str, float | None, float | None]:
    name = getattr(function, "__name__", type(function).__name__)
    if name not in _ACTIVATIONS:
        raise ConversionError(
            f"the recurrent layer {layer} has the activation {name}, which ONNX has not for such layers; it has "
            f"{', '.join(_ACTIVATIONS)}: train it with one of these."
        )
    return _ACTIVATIONS[name]
