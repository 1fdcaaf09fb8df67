"""ONNX files in ONNX Runtime, on the CPU."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError, need
from edgekit.formats.onnx import read_graph
from edgekit.runtimes.base import Array, Feed, checked_feed, finished, first_line

_ERRORS_ONLY = 3


class OnnxRuntime:
    """One ONNX file, with all graph optimizations and an explicit number of threads."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read on import; it would report to its maker what is run
        engine = need("onnxruntime", extra="onnx")
        self.name = "onnxruntime"
        self.version: str = engine.__version__
        graph = read_graph(path)
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs
        options = engine.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.graph_optimization_level = engine.GraphOptimizationLevel.ORT_ENABLE_ALL
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
        outputs = self.bind(feed)()
        return {s.name: finished(v, s, as_float=as_float) for s, v in zip(self.outputs, outputs, strict=True)}

    def bind(self, feed: Feed) -> Callable[[], list[Array]]:
        """As `Runtime.bind`; a call gives the outputs in the file's order."""
        values = {n: np.ascontiguousarray(v) for n, v in checked_feed(feed, self.inputs).items()}
        names = [s.name for s in self.outputs]

        def call() -> list[Array]:
            try:
                outputs: list[Array] = self._session.run(names, values)
            except self._errors as error:
                raise ArtifactError(
                    f"{self._path} failed in onnxruntime {self.version}: {first_line(error)}."
                ) from None
            return outputs

        return call
