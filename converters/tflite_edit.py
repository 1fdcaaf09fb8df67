"""Changing a float TFLite file: names of tensors, and weights. It runs in the process of LiteRT."""

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.accuracy.network import Kind
from edgekit.converters.accuracy.probe import Array, stacked
from edgekit.errors import need
from edgekit.formats import tflite
from edgekit.formats.tflite_objects import open_model as open_model
from edgekit.formats.tflite_objects import save_model as save_model
from edgekit.runtimes.litert import keeps_state

_KINDS = {"CONV_2D": Kind.CONV, "DEPTHWISE_CONV_2D": Kind.DEPTHWISE, "FULLY_CONNECTED": Kind.DENSE}


class WatchedInterpreter:
    """LiteRT with every float activation kept, whatever the engine would reuse its memory for."""

    def __init__(self, path: Path) -> None:
        litert = need("ai_edge_litert.interpreter", extra="convert")
        graph = tflite.read_graph(path)
        made = (out for node in graph.nodes if not node.subgraph for out in node.outputs)
        names = dict.fromkeys((*graph.input_tensors.values(), *made))
        watched = {n: graph.tensors[n] for n in names if graph.tensors[n].dtype == "float32"}
        self._watched = {n: info.index for n, info in watched.items() if not info.variable}
        self._inputs = {name: graph.tensors[tensor].index for name, tensor in graph.input_tensors.items()}
        with warnings.catch_warnings():
            # Keeping all tensors is the purpose; the interpreter's warning is about memory.
            warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
            self._interpreter = litert.Interpreter(
                str(path), experimental_preserve_all_tensors=True, num_threads=os.cpu_count()
            )
        self._interpreter.allocate_tensors()
        self._stateful = keeps_state(graph)

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Activations by tensor name for one item, inputs first, in the order of execution."""
        for name, values in feed.items():
            self._interpreter.set_tensor(self._inputs[name], values)
        if self._stateful:
            self._interpreter.reset_all_variables()
        self._interpreter.invoke()
        found: dict[str, Array] = {}
        for name, index in self._watched.items():
            # Results of loops that nobody reads have no memory, and the engine's error is the only sign of it.
            with contextlib.suppress(ValueError):
                found[name] = self._interpreter.get_tensor(index)
        return found


def activations(path: Path, feeds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Every float activation of the file by tensor name, (items, ...), inputs first, in the order of execution."""
    interpreter = WatchedInterpreter(path)
    return stacked([interpreter.run(feed) for feed in feeds])


def rename(model: Any, names: Mapping[str, str]) -> None:
    """Give tensors other names, where these are not taken by a tensor that keeps its own."""
    for graph in model.subgraphs:
        kept = {name_of(tensor) for tensor in graph.tensors} - set(names)
        for tensor in graph.tensors:
            wanted = names.get(name_of(tensor))
            if wanted is not None and wanted not in kept:
                tensor.name = wanted.encode()


def weighted_operators(model: Any) -> dict[str, tuple[Kind, Any]]:
    """Operators with a kernel and the kind of it, by the name of their output tensor."""
    builtin = {
        v: k for k, v in vars(need("ai_edge_litert.schema_py_generated", extra="convert").BuiltinOperator).items()
    }
    graph = model.subgraphs[0]
    found = {}
    for operator in graph.operators:
        code = builtin.get(model.operatorCodes[operator.opcodeIndex].builtinCode, "")
        if code in _KINDS:
            found[name_of(graph.tensors[operator.outputs[0]])] = (_KINDS[code], operator)
    return found


def kernel_of(model: Any, operator: Any) -> Array | None:
    """The float kernel of an operator as the file holds it, or ``None`` where it is no constant."""
    return _constant(model, operator.inputs[1])


def bias_of(model: Any, operator: Any) -> Array | None:
    """The float bias of an operator, or ``None`` where it has none, or no constant one."""
    has_one = len(operator.inputs) > 2 and operator.inputs[2] >= 0
    return _constant(model, operator.inputs[2]) if has_one else None


def _constant(model: Any, index: int) -> Array | None:
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    return (
        None if data is None or tensor.type != 0 else np.asarray(data, np.uint8).view(np.float32).reshape(tensor.shape)
    )


def file_order(kernel: Array, kind: Kind) -> Array:
    """A Keras kernel in the order of TFLite files."""
    match kind:
        case Kind.CONV:
            return np.ascontiguousarray(np.moveaxis(kernel, 3, 0))
        case Kind.DEPTHWISE:
            return np.ascontiguousarray(np.moveaxis(kernel, 2, 3).reshape(1, *kernel.shape[:2], -1))
        case _:
            return np.ascontiguousarray(kernel.T)


def set_weights(model: Any, operator: Any, kernel: Array, bias: Array, name: str) -> None:
    """Give an operator a kernel (in the order of the file) and a bias; other readers of the old ones keep them."""
    graph = model.subgraphs[0]
    operator.inputs = [int(i) for i in operator.inputs] + [-1] * (3 - len(operator.inputs))
    for position, array, part in ((1, kernel, "kernel"), (2, bias, "bias")):
        index = operator.inputs[position]
        readers = sum(int(i) == index for other in graph.operators for i in other.inputs)
        if index < 0 or readers > 1:
            graph.tensors.append(need("ai_edge_litert.schema_py_generated", extra="convert").TensorT())
            index = operator.inputs[position] = len(graph.tensors) - 1
        _fill(model, graph.tensors[index], array, f"{name}/{part}")


def _fill(model: Any, tensor: Any, array: Array, name: str) -> None:
    buffer = need("ai_edge_litert.schema_py_generated", extra="convert").BufferT()
    buffer.data = np.frombuffer(array.astype(np.float32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    old, tensor.buffer = tensor.buffer, len(model.buffers) - 1
    tensor.name, tensor.shape, tensor.type, tensor.hasRank = name.encode(), list(array.shape), 0, True
    if old and not any(t.buffer == old for graph in model.subgraphs for t in graph.tensors):
        model.buffers[old].data = None


def name_of(tensor: Any) -> str:
    """Its name as text."""
    return tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name)
