"""Keras' recurrent layers as single operators of a TensorFlow graph, which tf2onnx then writes as those of ONNX.

Keras computes such layers by loops, in which their meaning is lost. While `trace_operators` looks, each
layer leaves one stand-in instead, which is never run. Its inputs and outputs are those of the ONNX operator:
X (time, batch, inputs), sequence_lens, initial_h, initial_c; Y (time, directions, batch, units), Y_h, Y_c.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from edgekit.converters.rnn_cells import OPERATORS, Cell, Operator, operator, read_cell, same_operator
from edgekit.errors import ConversionError

Handlers = dict[str, tuple[Callable[..., None], list[str]]]
"""tf2onnx's ``custom_op_handlers``."""

_STAND_IN = "PyFunc"  # TensorFlow's operator for code outside the graph: nothing folds, moves or merges it
_MASKED = " masked"  # ends the token of a stand-in that reads sequence_lens


@dataclass(slots=True)
class _Tracing:
    """The operators by the token that their stand-ins carry, and layers that have none, with the reason."""

    operators: dict[str, Operator] = field(default_factory=dict)
    refused: list[ConversionError] = field(default_factory=list)


# A thread that traces the same layers for another purpose sees none of it.
_tracing: ContextVar[_Tracing | None] = ContextVar("tracing of recurrent operators", default=None)


def trace_operators(trace: Callable[[], object]) -> Handlers:
    """Call ``trace``, which traces a TensorFlow function, with stand-ins; what writes their operators into tf2onnx's
    graph of it.
    """
    _teach()
    tracing = _Tracing()
    token = _tracing.set(tracing)
    try:
        trace()
    except ConversionError:
        if not tracing.refused:
            raise
    finally:
        _tracing.reset(token)
    for error in tracing.refused:  # not raised before, as Keras would put its own words around it
        raise error
    return {_STAND_IN: (functools.partial(_write, tracing.operators), [])}


@functools.cache
def _teach() -> None:
    """Let Keras' layers ask whether they are to leave stand-ins."""
    import keras

    # The generic RNN takes the three cells too, and SimpleRNN has its loop.
    for layer in (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU):
        layer.inner_loop = _either(layer.inner_loop, _inner_loop)
    keras.layers.Bidirectional.call = _either(keras.layers.Bidirectional.call, _bidirectional)


def _either(original: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(layer: Any, *args: Any, **kwargs: Any) -> Any:
        tracing = _tracing.get()
        if tracing is None or tracing.refused:
            return original(layer, *args, **kwargs)
        try:
            made = ours(tracing, layer, *args, **kwargs)
        except ConversionError as error:
            tracing.refused.append(error)
            made = None
        return original(layer, *args, **kwargs) if made is None else made

    return method


def _inner_loop(
    tracing: _Tracing, layer: Any, sequences: Any, initial_state: Any, mask: Any, training: bool = False
) -> Any:
    """Last output, all outputs in the order in which they are computed, and states; ``None`` for other cells."""
    import tensorflow as tf

    del training  # exported files infer
    stacked = hasattr(layer.cell, "cells")
    cells = list(layer.cell.cells) if stacked else [layer.cell]
    if any(type(cell).__name__ not in OPERATORS for cell in cells):
        return None
    backwards = bool(layer.go_backwards)
    values, finals = sequences, []
    for cell, given in zip(cells, initial_state if stacked else [initial_state], strict=True):
        made = operator([_read(cell, layer.name)], layer.name, backwards=backwards)
        states = [tf.expand_dims(state, 0) for state in _as_list(given)]
        every, *final = _run(tracing, made, values, states, mask, zero=layer.zero_output_for_mask)
        outputs = tf.squeeze(every, 1)
        values = tf.transpose(outputs, (1, 0, 2))
        finals.append([tf.squeeze(state, 0) for state in final])
    last = finals[-1][0]
    if mask is not None and layer.zero_output_for_mask:
        last = tf.where(mask[:, 0 if backwards else -1, None], last, tf.zeros_like(last))
    if backwards:
        values = tf.transpose(_turned(outputs), (1, 0, 2))
    return last, values, finals if stacked else finals[0]


def _bidirectional(
    tracing: _Tracing,
    layer: Any,
    sequences: Any,
    initial_state: Any = None,
    mask: Any = None,
    training: bool | None = None,
) -> Any:
    """The result of the wrapper by one operator for both directions; ``None`` where they differ too much for it."""
    import tensorflow as tf

    del training
    pair = (layer.forward_layer, layer.backward_layer)
    if any(type(getattr(one, "cell", None)).__name__ not in OPERATORS for one in pair) or pair[0].go_backwards:
        return None
    cells = [_read(one.cell, one.name) for one in pair]
    if not same_operator(*cells) or pair[0].zero_output_for_mask != pair[1].zero_output_for_mask:
        return None
    made = operator(cells, layer.name)
    given = _as_list(initial_state) if initial_state is not None else []
    half = len(given) // 2
    states = [tf.stack(both) for both in zip(given[:half], given[half:], strict=True)]
    every, *finals = _run(tracing, made, sequences, states, mask, zero=pair[0].zero_output_for_mask)
    if layer.return_sequences:
        sides = [tf.transpose(every[:, side], (1, 0, 2)) for side in (0, 1)]
        joined = tf.transpose(every, (2, 0, 1, 3))
    else:
        sides = [finals[0][side] for side in (0, 1)]
        joined = tf.transpose(finals[0], (1, 0, 2))
    width = 2 * cells[0].units
    match layer.merge_mode:
        case "concat":
            output = tf.reshape(joined, (*_shape(joined)[:-2], width))
        case "sum":
            output = sides[0] + sides[1]
        case "ave":
            output = (sides[0] + sides[1]) / 2
        case "mul":
            output = sides[0] * sides[1]
        case _:
            output = tuple(tf.cast(side, layer.compute_dtype) for side in sides)
    if layer.merge_mode is not None:
        output = tf.cast(output, layer.compute_dtype)
    if not layer.return_state:
        return output
    ends = (tf.cast(final[side], layer.compute_dtype) for side in (0, 1) for final in finals)
    return (*output, *ends) if layer.merge_mode is None else (output, *ends)


def _run(
    tracing: _Tracing, made: Operator, sequences: Any, states: Sequence[Any], mask: Any, *, zero: bool
) -> list[Any]:
    """All outputs (time, directions, batch, units) in the order of time, and the final states."""
    import tensorflow as tf

    sequence = tf.transpose(tf.cast(sequences, tf.float32), (1, 0, 2))
    states = [] if all(_is_zero(state) for state in states) else [tf.cast(state, tf.float32) for state in states]
    if mask is None:
        return _stand_in(tracing, made, sequence, states, None)
    valid = tf.transpose(tf.cast(mask, tf.int32))
    seen = tf.cumsum(valid, axis=0)
    steps = tf.range(_shape(sequence)[0])[:, None]
    # Valid steps come first, in their order: then their number is all that the operator must know.
    order = tf.argsort(steps + (1 - valid) * _shape(sequence)[0], axis=0)
    every, *finals = _stand_in(tracing, made, _pick(sequence, order), states, seen[-1])
    # A step that is left out repeats what was computed before it: the one before in time, or after it.
    sides = []
    for side, direction in enumerate(_directions(made)):
        place = seen - valid if direction == "reverse" else seen - 1
        known = (place < seen[-1]) if direction == "reverse" else (place >= 0)
        known = tf.cast(valid, tf.bool) if zero else known
        taken = _pick(every[:, side], tf.clip_by_value(place, 0, _shape(sequence)[0] - 1))
        sides.append(tf.where(known[..., None], taken, tf.zeros_like(taken)))
    return [tf.stack(sides, axis=1), *finals]


def _stand_in(tracing: _Tracing, made: Operator, sequence: Any, states: Sequence[Any], lengths: Any) -> list[Any]:
    import tensorflow as tf

    token = f"{len(tracing.operators)}{_MASKED if lengths is not None else ''}"
    tracing.operators[token] = made
    finals = 2 if made.op == "LSTM" else 1
    inputs = [sequence, *([] if lengths is None else [lengths]), *states]
    outputs = tf.raw_ops.PyFunc(input=inputs, token=token, Tout=[tf.float32] * (1 + finals), name=made.name)
    steps, batch = sequence.shape[:2]
    sides, units = len(_directions(made)), made.attributes["hidden_size"]
    shapes = [(steps, sides, batch, units), *[(sides, batch, units)] * finals]
    return [tf.ensure_shape(output, shape) for output, shape in zip(outputs, shapes, strict=True)]


def _write(operators: Mapping[str, Operator], context: Any, node: Any, _name: str, _args: Any) -> None:
    """Replace the stand-in ``node`` of tf2onnx's graph ``context`` by its operator."""
    token = node.get_attr("token").s.decode()
    made, masked = operators[token], token.endswith(_MASKED)
    inputs, outputs = list(node.input), list(node.output)
    shapes, dtypes = node.output_shapes, node.output_dtypes
    weights = [
        context.make_const(f"{node.name}/{part}", values).output[0]
        for part, values in zip("WRB", made.weights, strict=True)
    ]
    sequence, rest = inputs[0], inputs[1:]
    lengths = [rest.pop(0)] if masked else [""] if rest else []
    context.remove_node(node.name)
    name = made.name if context.get_node_by_name(made.name) is None else node.name  # a layer that is used twice
    context.make_node(
        made.op,
        [sequence, *weights, *lengths, *rest],
        attr=made.attributes,
        name=name,
        outputs=outputs,
        shapes=shapes,
        dtypes=dtypes,
    )


def drop_unread(model: Any) -> None:
    """Take away outputs of recurrent operators that nothing reads, which engines would compute all the same."""
    read = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    for node in model.graph.node:
        if node.op_type in OPERATORS.values():
            outputs = [name if name in read else "" for name in node.output]
            while not outputs[-1]:
                outputs.pop()
            node.output[:] = outputs


def _read(cell: Any, layer: str) -> Cell:
    import tensorflow as tf

    with tf.init_scope():  # values, not the graph's variables
        return read_cell(cell, layer)


def _directions(made: Operator) -> tuple[str, ...]:
    direction = made.attributes["direction"]
    return ("forward", "reverse") if direction == "bidirectional" else (direction,)


def _pick(values: Any, order: Any) -> Any:
    """``values`` (time, batch, ...) at the times ``order`` (time, batch)."""
    import tensorflow as tf

    taken = tf.gather(tf.transpose(values, (1, 0, 2)), tf.transpose(order), batch_dims=1, axis=1)
    return tf.transpose(taken, (1, 0, 2))


def _turned(values: Any) -> Any:
    import tensorflow as tf

    return tf.gather(values, list(range(values.shape[0]))[::-1], axis=0)


def _is_zero(state: Any) -> bool:
    """Whether the graph says that ``state`` is zeros: a constant, or one filled with them for any batch."""
    import tensorflow as tf

    filling = state.op.inputs[1] if state.op.type == "Fill" else state
    if state.op.type == "ExpandDims":
        return _is_zero(state.op.inputs[0])
    value = tf.get_static_value(filling)
    return value is not None and not value.any()


def _shape(values: Any) -> list[Any]:
    """The sizes of ``values``, as numbers where they are known."""
    import tensorflow as tf

    known, dynamic = values.shape.as_list(), tf.shape(values)
    return [dynamic[i] if size is None else size for i, size in enumerate(known)]


def _as_list(states: Any) -> list[Any]:
    return list(states) if isinstance(states, (list, tuple)) else [states]
