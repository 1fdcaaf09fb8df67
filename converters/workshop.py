"""The child processes of one conversion: started when first needed, ended with it."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from edgekit.artifact import Format
from edgekit.measure.host import allowed_cpus
from edgekit.workers import Json, Progress, Worker, WorkerCrashError

_TF_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_ENABLE_ONEDNN_OPTS": "1",  # by default on some CPUs only; it halves the memory of convolutions
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",  # tf2onnx walks sets of names
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Two things run at a time, and operators that divide themselves over cores would wait for their slower part.
    "TF_NUM_INTRAOP_THREADS": str(max(1, allowed_cpus() // 2)),
}

_THREADS = 8  # lowering and a chain for each of two formats, and three looks at the source

P = ParamSpec("P")
R = TypeVar("R")

_TENSORFLOW = "tf_worker"
_ENGINES = {Format.TFLITE: "litert_worker", Format.ONNX: "onnx_worker"}


class Workshop:
    """Workers by name, the folder in which they exchange files, and threads that wait for several of them at once."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self._progress = progress
        self._stack = contextlib.ExitStack()
        self._workers: dict[str, Worker] = {}
        self._passing: set[Worker] = set()
        self._ended = False
        self._lock = threading.Lock()  # of what is started and ended

    def __enter__(self) -> Self:
        # Closed after the workers, whose end is what the threads wait for.
        self._pool = self._stack.enter_context(ThreadPoolExecutor(_THREADS))
        return self

    def beside(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """``function`` in a thread of its own; for work that waits for processes."""
        return self.after(None, function, *args, **kwargs)

    def after(
        self, previous: Future[Any] | None, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]:
        """Like `beside`, when ``previous`` has ended; if that failed, so does this."""

        def call() -> R:
            if previous is not None:
                previous.result()
            return function(*args, **kwargs)

        return self._pool.submit(call)

    def start(self, formats: Iterable[Format], *, tensorflow: bool) -> None:
        """Start the processes that will be needed: loading their libraries takes seconds."""
        for module in (*((_TENSORFLOW,) if tensorflow else ()), *(_ENGINES[fmt] for fmt in formats)):
            self._worker(module)

    def tensorflow(self, operation: str, request: Json) -> Json:
        """Call the process that holds the source."""
        return self._call(_TENSORFLOW, operation, request)

    def engine(self, fmt: Format, operation: str, request: Json) -> Json:
        """Call the process that reads and quantizes files of ``fmt``, without TensorFlow."""
        return self._call(_ENGINES[fmt], operation, request)

    def once(self, module: str, operation: str, request: Json) -> Json:
        """Call a fresh process that ends with its answer."""
        with Worker(f"edgekit.converters.{module}") as worker:
            with self._lock:
                self._require_open()
                self._passing.add(worker)
            try:
                return worker.call(operation, request, progress=self._progress)
            finally:
                with self._lock:
                    self._passing.discard(worker)

    def _call(self, module: str, operation: str, request: Json) -> Json:
        return self._worker(module).call(operation, request, progress=self._progress)

    def _worker(self, module: str) -> Worker:
        with self._lock:
            self._require_open()
            if module not in self._workers:
                worker = Worker(f"edgekit.converters.{module}", env=_TF_ENVIRONMENT if module == _TENSORFLOW else None)
                self._workers[module] = self._stack.enter_context(worker)
            return self._workers[module]

    def _require_open(self) -> None:
        """A thread that goes on while the conversion is ended starts nothing any more."""
        if self._ended:
            raise WorkerCrashError("the conversion was ended.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
            for worker in self._passing:
                worker.kill()
        self._stack.close()
