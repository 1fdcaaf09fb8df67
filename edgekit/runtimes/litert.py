"""TFLite files in LiteRT (``ai-edge-litert``), or in ``tflite-runtime`` where only that is installed."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError, need
from edgekit.formats.graph import Graph
from edgekit.formats.tflite import read_graph
from edgekit.runtimes.base import Array, Feed, checked_feed, finished, first_line
from edgekit.runtimes.quiet import quiet_stderr

# engine's name: (module, distribution, extra)
_ENGINES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", "litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime", "tflite-runtime"),
}
_STATE_OPERATORS = frozenset({"VAR_HANDLE", "ASSIGN_VARIABLE", "READ_VARIABLE"})


def installed_engine() -> str:
    """The engine that runs TFLite files here: ``tflite-runtime`` when only that is installed, else ``litert``."""
    only_old = importlib.util.find_spec("ai_edge_litert") is None and importlib.util.find_spec("tflite_runtime")
    return "tflite-runtime" if only_old else "litert"


class LiteRTRuntime:
    """One TFLite file. Tensors are addressed by the names of its signature; their order in the file means nothing.

    State that a recurrent layer keeps between calls is cleared before each run.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self.name = installed_engine()
        module, distribution, extra = _ENGINES[self.name]
        interpreter = need(module, extra=extra)
        self.version = importlib.metadata.version(distribution)
        graph = read_graph(path)
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs
        self._input_index = _indexes(graph, graph.input_tensors)
        self._output_index = _indexes(graph, graph.output_tensors)
        self._stateful = any(t.variable for t in graph.tensors.values()) or any(
            n.op in _STATE_OPERATORS for n in graph.nodes
        )
        self._path = path
        self._allocated: dict[str, tuple[int, ...]] = {}
        with quiet_stderr():
            self._interpreter = _load(interpreter, path, threads)

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:
        """Outputs by name, as `Runtime.run`."""
        outputs = self.bind(feed)()
        return {s.name: finished(v, s, as_float=as_float) for s, v in zip(self.outputs, outputs, strict=True)}

    def bind(self, feed: Feed) -> Callable[[], list[Array]]:
        """As `Runtime.bind`; a call gives the outputs in the order of ``outputs``."""
        values = checked_feed(feed, self.inputs)
        settings = [(self._input_index[n], np.ascontiguousarray(v)) for n, v in values.items()]
        wanted = [self._output_index[s.name] for s in self.outputs]
        shapes = {n: v.shape for n, v in values.items()}
        interpreter, stateful = self._interpreter, self._stateful
        self._allocate(shapes)  # belongs to loading, so that the first call is timed without it

        def call() -> list[Array]:
            try:
                if self._allocated is not shapes:  # another bound feed ran in between
                    self._allocate(shapes)
                if stateful:
                    interpreter.reset_all_variables()
                for index, array in settings:
                    interpreter.set_tensor(index, array)
                interpreter.invoke()
                return [interpreter.get_tensor(index) for index in wanted]
            except (RuntimeError, ValueError) as error:
                raise self._failure(error) from None

        return call

    def _allocate(self, shapes: dict[str, tuple[int, ...]]) -> None:
        if self._allocated != shapes:
            try:
                with quiet_stderr():
                    for name, shape in shapes.items():
                        self._interpreter.resize_tensor_input(self._input_index[name], shape)
                    self._interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                raise self._failure(error) from None
        self._allocated = shapes

    def _failure(self, error: Exception) -> ArtifactError:
        return ArtifactError(f"{self._path} failed in {self.name} {self.version}: {first_line(error)}.")


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


def _indexes(graph: Graph, names: Mapping[str, str]) -> dict[str, int]:
    found = {name: graph.tensors[key].index for name, key in names.items()}
    return {name: index for name, index in found.items() if index is not None}
