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
    """Whether `unrolled_loop` knows ``layer``; others are unrolled by Keras."""
    import keras

    return type(layer) in (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def unrolled_loop(
    self: Any, sequences: Any, initial_state: Any, mask: Any, *, starts_at_zero: bool, in_order: bool, **_training: Any
) -> Any:
    """What the ``inner_loop`` of a layer gives: last output, outputs, last states.

    A layer that goes backwards gives the output of the last time first, or with ``in_order`` that of the first. Where
    ``mask`` is false the states stay, and the output is the one before, or zero if the layer asks for that.
    """
    import tensorflow as tf

    make, gates = _STEPS[type(self).__name__]
    step = make(self.cell)
    times = list(range(sequences.shape[1]))
    times = times[::-1] if self.go_backwards else times
    state: State = None if starts_at_zero else list(initial_state)
    unread = _FORGETS if starts_at_zero and not _reads_all(self.cell, gates) else None
    projected = _projected(self.cell, sequences, gates, unread, times)
    outputs = []
    for time in times:
        new = step(projected[time], state)
        if mask is not None:
            old = state or [tf.zeros_like(value) for value in new]
            new = [tf.where(mask[:, time, None], value, before) for value, before in zip(new, old, strict=True)]
        state, output = new, new[0]
        if mask is not None and self.zero_output_for_mask:
            output = tf.where(mask[:, time, None], output, tf.zeros_like(output))
        outputs.append(output)
    last = outputs[-1]
    if not self.return_sequences:
        return last, last[:, None], state
    return last, tf.stack(outputs[::-1] if in_order and self.go_backwards else outputs, axis=1), state


_FORGETS = 1  # the gate between the state before and the new one, in LSTM and GRU


def _reads_all(cell: Any, gates: int) -> bool:
    """Whether a first step, before which the state is zero, has something to forget: a GRU that resets its bias."""
    return gates == 1 or (gates == 3 and cell.reset_after and cell.use_bias)


def _projected(cell: Any, sequences: Any, gates: int, unread: int | None, times: Sequence[int]) -> dict[int, list[Any]]:
    """By time step the inputs of each gate times its kernel, bias added; ``None`` for the gate that the first of
    ``times`` does not read.
    """
    import numpy as np
    import tensorflow as tf

    values = tf.convert_to_tensor(sequences)
    kernels = np.split(_array(cell.kernel), gates, axis=1)
    biases = np.split(_array(cell.bias).reshape(-1, gates * cell.units)[0], gates) if cell.use_bias else None
    found: dict[int, list[Any]] = {time: [None] * gates for time in times}
    for gate, kernel in enumerate(kernels):
        read = sorted(times[1:] if gate == unread else times)
        if not read:
            continue
        product = tf.matmul(values[:, read[0] : read[-1] + 1] if len(read) < len(times) else values, kernel)
        product = product if biases is None else product + biases[gate]
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
    "LSTM": (_lstm, 4),
    "GRU": (_gru, 3),
    "SimpleRNN": (_simple, 1),
}
"""What makes the step of a layer, and the number of its gates."""
