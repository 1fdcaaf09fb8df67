"""What TFLiteConverter leaves to be mended in files of recurrent layers, which are open as objects."""

import copy
from typing import Any

import numpy as np

from edgekit.converters.tflite_edit import name_of
from edgekit.errors import need

_LISTED = 8  # names in the name of a tensor; layers that were made one operator have up to 5
_OUTPUT_STATE = 18  # inputs of UNIDIRECTIONAL_SEQUENCE_LSTM
CELL_STATE = 19
_LEAST_CELL_SCALE = 2.0**-15
_STATE_BYTES = 4  # a state that a loop reads is float: integer files have no loops
_HIDDEN = 4  # its intermediates: what the kernel rounds an output to


def shorten_names(model: Any) -> None:
    """Cut the names of tensors that list more than a few others down to the first of them, and number these.

    The converter calls each result of an UNPACK after all of them: the names grow with the square of the time steps,
    and soon are most of the file.
    """
    for graph in model.subgraphs:
        taken = {name_of(tensor) for tensor in graph.tensors}
        for number, tensor in enumerate(graph.tensors):
            first, *others = name_of(tensor).split(";")
            short = f"{first}/{number}"
            if len(others) >= _LISTED and short not in taken:
                tensor.name = short.encode()


def unclip(model: Any) -> None:
    """Let the cell states of LSTMs be as large as they are.

    The converter has the kernel clip them at 10, which neither Keras nor TensorFlow does.
    """
    for _, operator in lstms(model):
        operator.builtinOptions.cellClip = 0.0


def part_states(model: Any) -> None:
    """Give operators that read the state of an LSTM a zero of their own.

    The converter keeps one constant for all zeros of a shape, and makes the LSTM's state of it: a loop behind the LSTM,
    of as many units, would start from where the LSTM ended.
    """
    schema = need("ai_edge_litert.schema_py_generated", extra="convert")
    for graph in model.subgraphs:
        for operator in graph.operators:
            if _is_lstm(model, operator):
                continue
            for position, index in enumerate(operator.inputs):
                if index >= 0 and graph.tensors[index].isVariable:
                    zero = copy.deepcopy(graph.tensors[index])
                    buffer = schema.BufferT()
                    buffer.data = np.zeros(int(np.prod(zero.shape)) * _STATE_BYTES, np.uint8)
                    model.buffers.append(buffer)
                    zero.name = f"{name_of(zero)}/zero{len(graph.tensors)}".encode()
                    zero.isVariable, zero.buffer = False, len(model.buffers) - 1
                    graph.tensors.append(zero)
                    operator.inputs[position] = len(graph.tensors) - 1


def shared_outputs(model: Any) -> list[str]:
    """Names of outputs of a model of one signature that an operator reads too."""
    graph = model.subgraphs[0]
    read = {int(index) for operator in graph.operators for index in operator.inputs}
    return [entry.name.decode() for entry in model.signatureDefs[0].outputs if int(entry.tensorIndex) in read]


def agree_on_states(model: Any) -> None:
    """Give the state of an integer LSTM the scale of its output, as the kernel writes the same bytes to both.

    The converter gives the output the scale of what it is joined with (the other direction of a Bidirectional layer),
    and leaves the state its own: the answers are then those of another network. It also gives cell states that stay
    below 1 a scale for whose values the kernel has no tanh.
    """
    for graph, operator in lstms(model):
        output = graph.tensors[operator.outputs[0]].quantization
        inner = operator.intermediates
        if output is None or output.scale is None or inner is None or len(inner) <= _HIDDEN:
            continue
        for index in (operator.inputs[_OUTPUT_STATE], inner[_HIDDEN]):
            graph.tensors[index].quantization = copy.deepcopy(output)
        cell = graph.tensors[operator.inputs[CELL_STATE]].quantization
        cell.scale = np.maximum(cell.scale, _LEAST_CELL_SCALE).astype(np.float32)


def lstms(model: Any) -> list[tuple[Any, Any]]:
    """(graph, operator) of every fused LSTM, in the order of the file."""
    return [(graph, each) for graph in model.subgraphs for each in graph.operators if _is_lstm(model, each)]


def _is_lstm(model: Any, operator: Any) -> bool:
    builtin = need("ai_edge_litert.schema_py_generated", extra="convert").BuiltinOperator
    code = model.operatorCodes[operator.opcodeIndex].builtinCode
    return bool(code == builtin.UNIDIRECTIONAL_SEQUENCE_LSTM)
