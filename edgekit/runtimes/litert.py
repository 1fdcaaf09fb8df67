"""TFLite files in LiteRT (``ai-edge-litert``), or in ``tflite-runtime`` where only that is installed."""

import importlib.metadata
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError
from edgekit.formats.graph import Graph
from edgekit.formats.tflite import read_graph
from edgekit.runtimes.base import Array, Delegation, Feed, Inputs, by_name, first_line
from edgekit.runtimes.delegation import delegated_operators
from edgekit.runtimes.engines import ENGINES, load_engine
from edgekit.runtimes.quiet import quiet_stderr
from edgekit.runtimes.smallest import RELU_TFLITE

_STATE_OPERATORS = frozenset({"VAR_HANDLE", "ASSIGN_VARIABLE", "READ_VARIABLE"})


class LiteRTRuntime:
    """One TFLite file. Tensors are addressed by the names of its signature; their order in the file means nothing.

    State that a recurrent layer keeps between calls is cleared before each run.
    """

    def __init__(self, path: Path, *, threads: int = 1, engine: str = "litert") -> None:
        self.name = engine
        interpreter = load_engine(engine)
        self.version = importlib.metadata.version(ENGINES[engine].distribution)
        graph = read_graph(path)
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs
        self._checks = Inputs(graph.inputs)
        self._input_index = tensor_indexes(graph, graph.input_tensors)
        self._output_index = tensor_indexes(graph, graph.output_tensors)
        self._stateful = keeps_state(graph)
        self._path = path
        self._allocated: tuple[tuple[int, ...], ...] | None = None
        self._module = interpreter
        with quiet_stderr():
            self._interpreter = _load(interpreter, path, threads)

    @property
    def delegation(self) -> Delegation:
        """What XNNPACK runs of this file, asked from the interpreter and not assumed."""
        if self._allocated is None:
            self._allocate(tuple(tuple(d or 1 for d in s.shape) for s in self.inputs))
        taken, total = delegated_operators(self._interpreter._get_ops_details())
        return Delegation(name="xnnpack", operators=taken, total=total, works=taken > 0 or _xnnpack_works(self._module))

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:
        """Outputs by name, as `Runtime.run`."""
        arrays = self._checks.checked(feed)
        return by_name(self._invoke(arrays, tuple([a.shape for a in arrays])), self.outputs, as_float=as_float)

    def bind(self, feed: Feed) -> Callable[[], list[Array]]:
        """As `Runtime.bind`; a call gives the outputs in the order of ``outputs``."""
        arrays = self._checks.checked(feed)
        shapes = tuple(a.shape for a in arrays)
        self._allocate(shapes)  # belongs to loading, so that the first call is timed without it
        return partial(self._invoke, arrays, shapes)

    def _invoke(self, arrays: list[Array], shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
        interpreter = self._interpreter
        if self._allocated != shapes:
            self._allocate(shapes)
        try:
            if self._stateful:
                interpreter.reset_all_variables()
            for index, array in zip(self._input_index, arrays, strict=True):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in self._output_index]
        except (RuntimeError, ValueError) as error:
            raise self._failure(error) from None

    def _allocate(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        if self._allocated == shapes:
            return
        try:
            with quiet_stderr():
                for index, shape in zip(self._input_index, shapes, strict=True):
                    self._interpreter.resize_tensor_input(index, shape)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise self._failure(error) from None
        self._allocated = shapes

    def _failure(self, error: Exception) -> ArtifactError:
        return ArtifactError(f"{self._path} failed in {self.name} {self.version}: {first_line(error)}.")


def tflite_runtime(path: Path, *, threads: int = 1) -> LiteRTRuntime:
    """The file in ``tflite-runtime``, whose interface is the same."""
    return LiteRTRuntime(path, threads=threads, engine="tflite-runtime")


def _xnnpack_works(module: ModuleType) -> bool:
    with quiet_stderr():
        interpreter = module.Interpreter(model_content=RELU_TFLITE, num_threads=1)
        interpreter.allocate_tensors()
    return delegated_operators(interpreter._get_ops_details())[0] > 0


def _load(module: ModuleType, path: Path, threads: int) -> Any:
    try:
        return module.Interpreter(model_path=str(path), num_threads=threads)
    except SystemError:
        raise ArtifactError(
            f"{path} cannot be loaded: this tflite-runtime does not work with numpy {np.__version__}. "
            "Run: pip install 'edgekit-ml[tflite-runtime]'"
        ) from None
    except (RuntimeError, ValueError) as error:
        engine = module.__name__.partition(".")[0]
        raise ArtifactError(f"{path} cannot be loaded in {engine}: {first_line(error)}.") from None


def keeps_state(graph: Graph) -> bool:
    """Whether something in the file remembers from call to call, as a recurrent layer does."""
    return any(t.variable for t in graph.tensors.values()) or any(n.op in _STATE_OPERATORS for n in graph.nodes)


def tensor_indexes(graph: Graph, names: Mapping[str, str]) -> tuple[int, ...]:
    """The numbers of the tensors that ``names``, inputs or outputs of ``graph``, stand for."""
    found = (graph.tensors[key].index for key in names.values())
    return tuple(index for index in found if index is not None)
