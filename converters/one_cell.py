"""One step of a recurrent layer, written out in stock layers: each gate has kernels, and so scales, of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

ARITHMETIC = "_cell_"
"""In the name of every layer of a cell that has no weights."""
CELL_STATES = rf"{ARITHMETIC}(c|kept|written|shown)(?![a-z])"
"""The ends of the names of those that compute the cell state of an LSTM, as a regular expression."""


class StateTensors(NamedTuple):
    """A state called ``name``, before a step and after it."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One step of the layer ``name``, what it answers, and its states."""

    name: str
    answer: Any
    states: tuple[StateTensors, ...]


class _Parts:
    """Makes the layers of one cell, whose names begin with its own."""

    def __init__(self, layer: Any, name: str, gates: int) -> None:
        self.name, self.units = name, layer.units
        kernel, recurrent, *bias = layer.get_weights()
        biases = bias[0] if bias else np.zeros((1, gates * layer.units), np.float32)
        rows = np.atleast_2d(biases)  # a GRU with reset_after has one for what it reads and one for its state
        self._weights = {"in": (kernel, rows[0]), "rec": (recurrent, rows[1] if len(rows) > 1 else None)}

    def state(self, which: str) -> Any:
        import keras

        return keras.Input((self.units,), name=f"{self.name}_{which}")

    def product(self, side: str, number: int, gate: str, values: Any) -> Any:
        """What ``values`` add to a gate: the kernel of one ``side``, "in" or "rec", and its bias if it has one."""
        import keras

        kernel, bias = self._weights[side]
        part = slice(number * self.units, (number + 1) * self.units)
        dense = keras.layers.Dense(self.units, use_bias=bias is not None, name=f"{self.name}_{gate}_{side}")
        result = dense(values)
        dense.set_weights([kernel[:, part], *([] if bias is None else [bias[part]])])
        return result

    def join(self, kind: str, what: str, *values: Any) -> Any:
        """``values`` through a layer without weights of the class ``kind``."""
        import keras

        return getattr(keras.layers, kind)(name=f"{self.name}{ARITHMETIC}{what}")(list(values))

    def activate(self, function: Any, what: str, values: Any) -> Any:
        import keras

        return keras.layers.Activation(function, name=f"{self.name}{ARITHMETIC}{what}")(values)

    def gate(self, number: int, gate: str, function: Any, values: Any, state: Any) -> Any:
        """``function`` of what is read and of the state."""
        read, known = self.product("in", number, gate, values), self.product("rec", number, gate, state)
        return self.activate(function, gate, self.join("Add", f"{gate}_sum", read, known))


def _lstm(layer: Any, values: Any, name: str) -> Cell:
    parts = _Parts(layer, name, 4)
    h, c = parts.state("h"), parts.state("c")
    inner, outer = layer.recurrent_activation, layer.activation
    write, keep = parts.gate(0, "write", inner, values, h), parts.gate(1, "keep", inner, values, h)
    new, show = parts.gate(2, "new", outer, values, h), parts.gate(3, "show", inner, values, h)
    kept, written = parts.join("Multiply", "kept", keep, c), parts.join("Multiply", "written", write, new)
    c_next = parts.join("Add", "c", kept, written)
    h_next = parts.join("Multiply", "h", show, parts.activate(outer, "shown", c_next))
    states = (StateTensors(f"{parts.name}_h", h, h_next), StateTensors(f"{parts.name}_c", c, c_next))
    return Cell(name=parts.name, answer=h_next, states=states)


def _gru(layer: Any, values: Any, name: str) -> Cell:
    parts = _Parts(layer, name, 3)
    h = parts.state("h")
    inner, outer = layer.recurrent_activation, layer.activation
    keep, reset = parts.gate(0, "keep", inner, values, h), parts.gate(1, "reset", inner, values, h)
    read = parts.product("in", 2, "new", values)
    if layer.reset_after:
        known = parts.join("Multiply", "known", reset, parts.product("rec", 2, "new", h))
    else:
        known = parts.product("rec", 2, "new", parts.join("Multiply", "reset_h", reset, h))
    new = parts.activate(outer, "new", parts.join("Add", "new_sum", read, known))
    kept = parts.join("Multiply", "kept", keep, parts.join("Subtract", "gone", h, new))
    h_next = parts.join("Add", "h", new, kept)
    return Cell(name=parts.name, answer=h_next, states=(StateTensors(f"{parts.name}_h", h, h_next),))


def _simple(layer: Any, values: Any, name: str) -> Cell:
    parts = _Parts(layer, name, 1)
    h = parts.state("h")
    h_next = parts.gate(0, "new", layer.activation, values, h)
    return Cell(name=parts.name, answer=h_next, states=(StateTensors(f"{parts.name}_h", h, h_next),))


CELLS: Mapping[str, Callable[[Any, Any, str], Cell]] = {"LSTM": _lstm, "GRU": _gru, "SimpleRNN": _simple}
"""By the class of the layer: what makes a cell of it, of what it reads at one step, and of a name."""
