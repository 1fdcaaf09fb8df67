"""The time steps of a recurrent Keras layer written out. It runs in the process of TensorFlow.

Keras can do so too, but splits the sums of all gates, and multiplies a first state of zero: a SPLIT of a constant, of
which a part is not read, or among masks is left in float by all engines. Here each gate has weights of its own, the
inputs of all steps are multiplied at once, and the first step has no state to multiply.
"""

from collections.abc import Callable, Sequence
from typing import Any

State = list[Any] | None
"""The states before a step; ``None`` is zero."""


def writes_out(layer: Any) -> bool:
    """Whether `unrolled_loop` knows ``layer``, of one cell or several; others are unrolled by Keras."""
    import keras

    known = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN, keras.layers.RNN)
    return type(layer) in known and all(type(cell).__name__ in _STEPS for cell in _cells(layer))


def unrolled_loop(
    self: Any, sequences: Any, initial_state: Any, mask: Any, *, starts_at_zero: bool, in_order: bool, **_training: Any
) -> Any:
    """What the ``inner_loop`` of a layer gives: last output, outputs, last states.

    A layer that goes backwards gives the output of the last time first, or with ``in_order`` that of the first. Where
    ``mask`` is false the states stay, and the output is the one before, or zero if the layer asks for that.
    """
    import tensorflow as tf

    times = list(range(sequences.shape[1]))
    times = times[::-1] if self.go_backwards else times
    stack = [_Written(cell, starts_at_zero=starts_at_zero) for cell in _cells(self)]
    several = hasattr(self.cell, "cells")
    given = [None] * len(stack) if starts_at_zero else initial_state if several else [initial_state]
    states: list[State] = [None if state is None else _listed(state) for state in given]
    projected = _projected(stack[0], sequences, times)
    outputs = []
    for time in times:
        kept = None if mask is None else mask[:, time, None]
        output: Any = None
        for place, written in enumerate(stack):
            before = states[place]
            new = written.step(projected[time] if output is None else written.project(output, before), before)
            output = new[0]
            if kept is not None:
                old = before or [tf.zeros_like(value) for value in new]
                new = [tf.where(kept, value, stays) for value, stays in zip(new, old, strict=True)]
            states[place] = new
        if kept is not None:
            output = tf.where(kept, output, tf.zeros_like(output) if self.zero_output_for_mask else new[0])
        outputs.append(output)
    last = outputs[-1]
    after = [_like(state, asked) for state, asked in zip(states, initial_state, strict=True)] if several else states[0]
    if not self.return_sequences:
        return last, last[:, None], after
    return last, tf.stack(outputs[::-1] if in_order and self.go_backwards else outputs, axis=1), after


def _cells(layer: Any) -> list[Any]:
    return list(getattr(layer.cell, "cells", [layer.cell]))


def _listed(state: Any) -> list[Any]:
    return list(state) if isinstance(state, list | tuple) else [state]


def _like(state: State, asked: Any) -> Any:
    """The ``state`` of a cell as Keras keeps it: alone or as a list, as ``asked`` is."""
    return state if isinstance(asked, list | tuple) or state is None else state[0]


_FORGETS = 1  # the gate between the state before and the new one, in LSTM and GRU


class _Written:
    """A cell whose gates are apart."""

    def __init__(self, cell: Any, *, starts_at_zero: bool) -> None:
        import numpy as np

        make, gates = _STEPS[type(cell).__name__]
        self.step = make(cell)
        self.unread = _FORGETS if starts_at_zero and not _reads_all(cell, gates) else None
        self.kernels = np.split(_array(cell.kernel), gates, axis=1)
        own = np.split(_array(cell.bias).reshape(-1, gates * cell.units)[0], gates) if cell.use_bias else [None] * gates
        self.biases: list[Any] = own

    def product(self, values: Any, gate: int) -> Any:
        """``values`` times the kernel of ``gate``, bias added."""
        import tensorflow as tf

        product = tf.matmul(values, self.kernels[gate])
        return product if self.biases[gate] is None else product + self.biases[gate]

    def project(self, values: Any, state: State) -> list[Any]:
        """The `product` of the values of one time for each gate, ``None`` for one that is not read."""
        gates = range(len(self.kernels))
        return [None if state is None and gate == self.unread else self.product(values, gate) for gate in gates]


def _reads_all(cell: Any, gates: int) -> bool:
    """Whether a first step, before which the state is zero, has something to forget: a GRU that resets its bias."""
    return gates == 1 or (gates == 3 and cell.reset_after and cell.use_bias)


def _projected(written: _Written, sequences: Any, times: Sequence[int]) -> dict[int, list[Any]]:
    """By time step what `_Written.project` gives, all times of a gate at once."""
    import tensorflow as tf

    values = tf.convert_to_tensor(sequences)
    gates = len(written.kernels)
    found: dict[int, list[Any]] = {time: [None] * gates for time in times}
    for gate in range(gates):
        read = sorted(times[1:] if gate == written.unread else times)
        if not read:
            continue
        product = written.product(values[:, read[0] : read[-1] + 1] if len(read) < len(times) else values, gate)
        for time, part in zip(read, tf.unstack(product, axis=1, name=f"gate{gate}"), strict=True):
            found[time][gate] = part
    return found


def _array(variable: Any) -> Any:
    """The values, in the middle of building a graph too."""
    import tensorflow as tf

    with tf.init_scope():
        return variable.numpy()


def _recurrent(cell: Any, gates: int) -> tuple[list[Any], list[Any]]:
    """The weights and biases by which each gate multiplies the state; biases of zero where there are none."""
    import numpy as np

    kernels = np.split(_array(cell.recurrent_kernel), gates, axis=1)
    own = cell.use_bias and len(cell.bias.shape) == 2
    biases = _array(cell.bias)[1] if own else np.zeros(gates * cell.units, np.float32)
    return kernels, np.split(biases, gates)


def _simple(cell: Any) -> Callable[[list[Any], State], list[Any]]:
    import tensorflow as tf

    (kernel,), _ = _recurrent(cell, 1)

    def step(projected: list[Any], state: State) -> list[Any]:
        return [cell.activation(projected[0] if state is None else projected[0] + tf.matmul(state[0], kernel))]

    return step


def _lstm(cell: Any) -> Callable[[list[Any], State], list[Any]]:
    import tensorflow as tf

    kernels, _ = _recurrent(cell, 4)

    def step(projected: list[Any], state: State) -> list[Any]:
        sums = projected
        if state is not None:
            sums = [part + tf.matmul(state[0], kernel) for part, kernel in zip(projected, kernels, strict=True)]
        take, keep, candidate, give = sums
        memory = cell.recurrent_activation(take) * cell.activation(candidate)
        if state is not None:
            memory = cell.recurrent_activation(keep) * state[1] + memory
        return [cell.recurrent_activation(give) * cell.activation(memory), memory]

    return step


def _gru(cell: Any) -> Callable[[list[Any], State], list[Any]]:
    import tensorflow as tf

    kernels, biases = _recurrent(cell, 3)

    def step(projected: list[Any], state: State) -> list[Any]:
        of_state: list[Any] = biases
        if state is not None:
            of_state = [tf.matmul(state[0], kernel) + bias for kernel, bias in zip(kernels, biases, strict=True)]
        update = cell.recurrent_activation(projected[0] + of_state[0])
        if state is None and not _reads_all(cell, 3):
            new = cell.activation(projected[2])
            return [new - update * new]
        reset = cell.recurrent_activation(projected[1] + of_state[1])
        if cell.reset_after:
            hidden = cell.activation(projected[2] + reset * of_state[2])
        else:
            assert state is not None  # noqa: S101 - else not all gates are read
            hidden = cell.activation(projected[2] + tf.matmul(reset * state[0], kernels[2]))
        new = hidden - update * hidden
        return [new if state is None else update * state[0] + new]

    return step


_STEPS: dict[str, tuple[Callable[[Any], Callable[[list[Any], State], list[Any]]], int]] = {
    "LSTMCell": (_lstm, 4),
    "GRUCell": (_gru, 3),
    "SimpleRNNCell": (_simple, 1),
}
"""What makes the step of a cell, and the number of its gates."""
