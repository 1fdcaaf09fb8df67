"""ONNX files in ONNX Runtime, on the CPU."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError
from edgekit.formats.onnx import read_graph
from edgekit.runtimes.base import Array, Feed, Inputs, by_name, first_line
from edgekit.runtimes.engines import load_engine

_ERRORS_ONLY = 3


class OnnxRuntime:
    """One ONNX file, with all graph optimizations, an explicit number of threads, and one operator after the other."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        engine = load_engine("onnxruntime")
        self.name = "onnxruntime"
        self.delegation = None
        self.version: str = engine.__version__
        graph = read_graph(path)
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs
        self._checks = Inputs(graph.inputs)
        self._input_names = [s.name for s in graph.inputs]
        self._output_names = [s.name for s in graph.outputs]
        options = engine.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = engine.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = engine.ExecutionMode.ORT_SEQUENTIAL
        self._path = path
        binding = vars(engine.capi.onnxruntime_pybind11_state).values()
        own: list[type[Exception]] = [e for e in binding if isinstance(e, type) and issubclass(e, Exception)]
        self._errors: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
        try:
            self._session = engine.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except self._errors as error:
            raise ArtifactError(
                f"{path} cannot be loaded in onnxruntime {self.version}: {first_line(error)}."
            ) from None

    def run(self, feed: Feed, *, as_float: bool = False) -> dict[str, Array]:
        """Outputs by name, as `Runtime.run`."""
        return by_name(self.bind(feed)(), self.outputs, as_float=as_float)

    def bind(self, feed: Feed) -> Callable[[], list[Array]]:
        """As `Runtime.bind`; a call gives the outputs in the file's order."""
        return partial(self._invoke, dict(zip(self._input_names, self._checks.checked(feed), strict=True)))

    def _invoke(self, feed: dict[str, Array]) -> list[Array]:
        try:
            outputs: list[Array] = self._session.run(self._output_names, feed)
        except self._errors as error:
            raise ArtifactError(f"{self._path} failed in onnxruntime {self.version}: {first_line(error)}.") from None
        return outputs
