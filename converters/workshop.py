"""The child processes of one conversion: started when first needed, ended with it."""

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from edgekit.artifact import Format
from edgekit.workers import Json, Progress, Worker

_TF_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",  # tf2onnx walks sets of names
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

_ENGINES = {Format.TFLITE: "litert_worker", Format.ONNX: "onnx_worker"}


class Workshop:
    """Workers by name, and the folder in which they exchange files."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self._progress = progress
        self._stack = contextlib.ExitStack()
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def tensorflow(self, operation: str, request: Json) -> Json:
        """Call the process that holds the source."""
        return self._kept("tf_worker").call(operation, request, progress=self._progress)

    def engine(self, fmt: Format, operation: str, request: Json) -> Json:
        """Call the process that reads and quantizes files of ``fmt``, without TensorFlow."""
        return self._kept(_ENGINES[fmt]).call(operation, request, progress=self._progress)

    def once(self, module: str, operation: str, request: Json) -> Json:
        """Call a fresh process that ends with its answer."""
        with Worker(f"edgekit.converters.{module}") as worker:
            return worker.call(operation, request, progress=self._progress)

    def _kept(self, module: str) -> Worker:
        if module not in self._workers:
            worker = Worker(f"edgekit.converters.{module}", env=_TF_ENVIRONMENT if module == "tf_worker" else None)
            self._workers[module] = self._stack.enter_context(worker)
        return self._workers[module]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
