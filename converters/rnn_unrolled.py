"""The time steps of a recurrent Keras layer written out. It runs in the process of TensorFlow.

Keras can do so too, but multiplies a first state of zero: what remains of that when constants are folded, a SPLIT of a
constant or of which a part is not read, has no integer form. Here the first step has no state to multiply, and the
inputs of all steps are multiplied at once, which saves two operators for each.
"""

from collections.abc import Callable
from typing import Any

State = list[Any] | None
"""The states before a step; ``None`` is zero."""


def writes_out(layer: Any) -> bool:
    """Whether `unrolled_loop` knows ``layer``; others are unrolled by Keras."""
    import keras

    return type(layer) in (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def unrolled_loop(
    self: Any, sequences: Any, initial_state: Any, mask: Any, *, starts_at_zero: bool, **_training: Any
) -> Any:
    """What the ``inner_loop`` of a layer gives: last output, outputs, last states.

    Where ``mask`` is false the states stay, and the output is the one before.
    """
    import tensorflow as tf

    step = _STEPS[type(self).__name__]
    times = list(range(sequences.shape[1]))
    projected = tf.unstack(_projected(self.cell, sequences), axis=1)
    state: State = None if starts_at_zero else list(initial_state)
    outputs = []
    for time in reversed(times) if self.go_backwards else times:
        new = step(self.cell, projected[time], state)
        if mask is not None:
            old = state or [tf.zeros_like(value) for value in new]
            new = [tf.where(mask[:, time, None], value, before) for value, before in zip(new, old, strict=True)]
        state = new
        outputs.append(new[0])
    return outputs[-1], tf.stack(outputs, axis=1) if self.return_sequences else outputs[-1][:, None], state


def _projected(cell: Any, sequences: Any) -> Any:
    """The inputs of all time steps times the kernel, the bias of the inputs added."""
    import tensorflow as tf

    product = tf.matmul(tf.convert_to_tensor(sequences), tf.convert_to_tensor(cell.kernel))
    if not cell.use_bias:
        return product
    return product + (cell.bias[0] if len(cell.bias.shape) == 2 else tf.convert_to_tensor(cell.bias))


def _times(state: Any, kernel: Any) -> Any:
    import tensorflow as tf

    return tf.matmul(state, tf.convert_to_tensor(kernel))


def _array(variable: Any) -> Any:
    """The values, in the middle of building a graph too."""
    import tensorflow as tf

    with tf.init_scope():
        return variable.numpy()


def _parts(values: Any, count: int, *, first: bool) -> list[Any]:
    """``values`` in ``count`` parts: by one operator, or by one each in the first step, which does not read all."""
    import tensorflow as tf

    if not first:
        return list(tf.split(values, count, axis=-1))
    size = values.shape[-1] // count
    return [values[..., i * size : (i + 1) * size] for i in range(count)]


def _simple(cell: Any, projected: Any, state: State) -> list[Any]:
    return [cell.activation(projected if state is None else projected + _times(state[0], cell.recurrent_kernel))]


def _lstm(cell: Any, projected: Any, state: State) -> list[Any]:
    sums = projected if state is None else projected + _times(state[0], cell.recurrent_kernel)
    take, keep, candidate, give = _parts(sums, 4, first=state is None)
    memory = cell.recurrent_activation(take) * cell.activation(candidate)
    if state is not None:
        memory = cell.recurrent_activation(keep) * state[1] + memory
    return [cell.recurrent_activation(give) * cell.activation(memory), memory]


def _gru(cell: Any, projected: Any, state: State) -> list[Any]:
    import numpy as np

    update, reset, candidate = _parts(projected, 3, first=state is None)
    if state is None:
        if cell.reset_after and cell.use_bias:
            # Constants of their own, which need no operator to be taken apart.
            bias_update, bias_reset, bias = np.split(_array(cell.bias)[1], 3)
            gate = cell.recurrent_activation(update + bias_update)
            hidden = cell.activation(candidate + cell.recurrent_activation(reset + bias_reset) * bias)
            return [hidden - gate * hidden]
        hidden = cell.activation(candidate)
        return [hidden - cell.recurrent_activation(update) * hidden]
    before = state[0]
    if cell.reset_after:
        sums = _times(before, cell.recurrent_kernel)
        sums = sums + cell.bias[1] if cell.use_bias else sums
        of_update, of_reset, of_candidate = _parts(sums, 3, first=False)
        gate = cell.recurrent_activation(update + of_update)
        hidden = cell.activation(candidate + cell.recurrent_activation(reset + of_reset) * of_candidate)
    else:
        both, own = np.split(_array(cell.recurrent_kernel), [2 * cell.units], axis=1)
        of_update, of_reset = _parts(_times(before, both), 2, first=False)
        gate = cell.recurrent_activation(update + of_update)
        hidden = cell.activation(candidate + _times(cell.recurrent_activation(reset + of_reset) * before, own))
    return [gate * before + (hidden - gate * hidden)]


_STEPS: dict[str, Callable[[Any, Any, State], list[Any]]] = {"LSTM": _lstm, "GRU": _gru, "SimpleRNN": _simple}
