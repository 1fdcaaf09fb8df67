"""Recurrent Keras layers in the form that a file asks for. It runs in the process of TensorFlow.

Keras runs a recurrent layer as a loop that no converter recognises. TensorFlow Lite's converter makes one operator of a
function that says it is an LSTM (``api_implements``) and has the arguments and results of TensorFlow's own.
"""

import functools
import types
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edgekit.converters.cell_ranges import widen_cells
from edgekit.converters.rnn_forms import Form
from edgekit.converters.rnn_unrolled import unrolled_loop, writes_out
from edgekit.converters.tflite_rnn import unclip
from edgekit.formats.tflite_objects import pack_model, parse_model
from edgekit.workers import Json


def describe(model: Any, trace: Callable[[], object]) -> list[Json]:
    """Every recurrent layer of ``model``, as `RecurrentLayer` has it, in the order in which `shape` takes forms.

    ``trace`` calls the model: masks and lengths inside models and wrappers are known only then.
    """
    layers = _recurrent(model)
    if not layers:
        return []
    runs = _runs(layers, trace)
    graphs = list(_graphs(model))
    read = {id(tensor) for graph in graphs for node in _nodes(graph) for tensor in node.input_tensors}
    read |= {id(tensor) for graph in graphs for tensor in graph.outputs}
    wrappers = _wrappers(model)
    return [
        {
            "name": _title(layer, wrappers),
            "kind": _kind(layer),
            "steps": sum(steps for steps, _ in runs[id(layer)]),
            "unfused": _unfused(layer, wrappers.get(id(layer), layer), read, any(mask for _, mask in runs[id(layer)])),
        }
        for layer in layers
    ]


def _runs(layers: Sequence[Any], trace: Callable[[], object]) -> dict[int, list[tuple[int, bool]]]:
    """By identity of a layer, for each time that ``trace`` runs it, the time steps and whether there is a mask."""
    found: dict[int, list[tuple[int, bool]]] = {id(layer): [] for layer in layers}

    def watch(layer: Any) -> None:
        original = layer.inner_loop

        def inner_loop(sequences: Any, initial_state: Any, mask: Any, **training: Any) -> Any:
            found[id(layer)].append((int(sequences.shape[1] or 1), mask is not None))
            return original(sequences=sequences, initial_state=initial_state, mask=mask, **training)

        layer.inner_loop = inner_loop

    for layer in layers:
        watch(layer)
    try:
        trace()
    finally:
        for layer in layers:
            del layer.inner_loop
    return found


def shape(model: Any, forms: Sequence[Form]) -> None:
    """Give every recurrent layer of ``model`` its form. The model computes what it did, and is for lowering alone."""
    wrappers = _wrappers(model)
    for layer, form in zip(_recurrent(model), forms, strict=True):
        layer.unroll = form is Form.UNROLLED
        if form is Form.FUSED:
            layer.inner_loop = types.MethodType(_fused_loop, layer)
        elif form is Form.UNROLLED and writes_out(layer):
            wrapper: Any = wrappers.get(id(layer))
            turned = wrapper is not None and layer is wrapper.backward_layer
            if turned:  # the wrapper would turn the outputs round by REVERSE_V2, which litert-quantizer leaves in float
                wrapper.return_sequences = False
            zero = not _gets_state(wrapper or layer)
            loop = functools.partial(unrolled_loop, starts_at_zero=zero, in_order=turned)
            layer.inner_loop = types.MethodType(loop, layer)


def calibrate_as_run() -> None:
    """Make TFLiteConverter calibrate fused LSTMs as files run, from here on in this process.

    It runs all items one after the other without a reset, so that the ranges of states would be those of one endless
    sequence: preparing the interpreter anew clears its state and keeps what was recorded. And it clips cell states, and
    looks at their ends alone.
    """
    from tensorflow.lite.python.optimize import calibrator

    class AsRun(calibrator.Calibrator):  # type: ignore[misc]
        def __init__(self, model_content: bytes, *registerers: Any) -> None:
            model = parse_model(model_content)
            unclip(model)
            super().__init__(pack_model(model), *registerers)

        def calibrate(self, dataset_gen: Any) -> bytes:
            model = parse_model(super().calibrate(dataset_gen))
            widen_cells(model, self._model_content, dataset_gen())
            return pack_model(model)

        def _feed_tensors(self, dataset_gen: Any, resize_input: bool) -> None:
            for item in dataset_gen():
                super()._feed_tensors(lambda item=item: [item], resize_input)

    if calibrator.Calibrator.__name__ != AsRun.__name__:
        calibrator.Calibrator = AsRun


def _fused_loop(self: Any, sequences: Any, initial_state: Any, mask: Any, **_training: Any) -> Any:
    """What an LSTM's ``inner_loop`` gives: last output, outputs, and the two last states.

    The last cell state has no place in the operator: who reads it gets a loop, so that `_unfused` refuses it.
    """
    import tensorflow as tf

    assert mask is None  # noqa: S101 - `_unfused` has looked
    cell = self.cell
    values = tf.convert_to_tensor(sequences)
    if self.go_backwards:
        values = tf.reverse(values, [1])
    bias = cell.bias if cell.use_bias else tf.zeros((4 * self.units,))
    weights = map(tf.convert_to_tensor, (*initial_state, cell.kernel, cell.recurrent_kernel, bias))
    last, outputs, _, cell_state, _ = _composite()(values, *weights)
    return last, outputs if self.return_sequences else last[:, None], [last, cell_state]


def _composite() -> Any:
    """The function that the converter recognises, each time another one, as two of one name would be one."""
    import tensorflow as tf

    def lstm(values: Any, hidden: Any, cell: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        steps, units = values.shape[1], hidden.shape[-1]

        def step(time: Any, hidden: Any, cell: Any, written: Any) -> Any:
            sums = tf.matmul(values[:, time], kernel) + tf.matmul(hidden, recurrent) + bias
            take, keep, candidate, give = tf.split(sums, 4, axis=1)
            cell = tf.sigmoid(keep) * cell + tf.sigmoid(take) * tf.tanh(candidate)
            hidden = tf.sigmoid(give) * tf.tanh(cell)
            return time + 1, hidden, cell, written.write(time, hidden)

        written = tf.TensorArray(values.dtype, steps, element_shape=(values.shape[0], units))
        _, hidden, cell, written = tf.while_loop(
            lambda time, *_: time < steps, step, (tf.constant(0), hidden, cell, written)
        )
        outputs = tf.transpose(written.stack(), [1, 0, 2])
        return outputs[:, -1], outputs, hidden, cell, tf.constant(1.0)

    attributes = {"api_implements": f"lstm_{uuid.uuid4()}", "time_major": False, "go_backwards": False}
    return tf.function(lstm, autograph=False, experimental_attributes=attributes)


def _unfused(layer: Any, called: Any, read: set[int], masked: bool) -> str:
    """Why no kernel stands for ``layer``, which the model calls as ``called``; empty where one does."""
    import keras

    if type(layer) is not keras.layers.LSTM:
        return f"TFLite has no kernel for a {type(layer).__name__}"
    if layer.activation is not keras.activations.tanh or layer.recurrent_activation is not keras.activations.sigmoid:
        return "the kernel has the activations tanh and sigmoid only"
    if _gets_state(called):
        return "the kernel always starts from a state of zero"
    if masked:
        return "the kernel knows no mask"
    for node in called._inbound_nodes:
        cell_states = (-1,) if called is layer else (-3, -1)
        if layer.return_state and any(id(node.output_tensors[i]) in read for i in cell_states):
            return "the kernel does not give its cell state"
    return ""


def _gets_state(called: Any) -> bool:
    """Whether the model gives a layer its first state."""
    return any(_argument(node, 1, "initial_state") is not None for node in called._inbound_nodes)


def _argument(node: Any, position: int, name: str) -> Any:
    arguments = node.arguments
    return arguments.args[position] if len(arguments.args) > position else arguments.kwargs.get(name)


def _recurrent(model: Any) -> list[Any]:
    """Layers whose time steps `shape` can write out, each once."""
    import keras

    found = (layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN))
    return list({id(layer): layer for layer in found}.values())


def _wrappers(model: Any) -> dict[int, Any]:
    """What the model calls instead of a layer, by the identity of the layer."""
    import keras

    found = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Bidirectional)]
    return {id(inner): layer for layer in found for inner in (layer.forward_layer, layer.backward_layer)}


def _title(layer: Any, wrappers: dict[int, Any]) -> str:
    return f"{wrappers[id(layer)].name}/{layer.name}" if id(layer) in wrappers else str(layer.name)


def _kind(layer: Any) -> str:
    cells = getattr(layer.cell, "cells", [layer.cell])
    kinds = [type(cell).__name__.removesuffix("Cell") for cell in cells]
    return next((kind for kind in kinds if kind != "LSTM"), "LSTM")


def _graphs(model: Any) -> Iterator[Any]:
    """The graphs of layers that ``model`` is made of, itself among them."""
    import keras

    for layer in filter(_is_graph, model._flatten_layers()):
        yield layer._functional if isinstance(layer, keras.Sequential) else layer


def _is_graph(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.Function | keras.Sequential)


def _nodes(graph: Any) -> list[Any]:
    return [node for operation in graph.operations for node in operation._inbound_nodes]
