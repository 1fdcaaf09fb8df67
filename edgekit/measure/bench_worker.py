"""The process that times one model file: it holds one engine with one model, and nothing else."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.artifact import Format, find_model
from edgekit.errors import ArtifactError
from edgekit.measure.memory import peak_rss_bytes
from edgekit.measure.timing import thinned, time_calls
from edgekit.workers import Json, Progress, serve

# Importing an engine is not loading a model; done beforehand, it stays out of the time to load. The first engine that
# is there is the one that runs; which are needed, and what to do without, `open_runtime` says.
_ENGINES: dict[Format, tuple[str, ...]] = {
    Format.TFLITE: ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"),
    Format.ONNX: ("onnxruntime",),
    Format.KERAS: ("keras",),
}
_WRAPPERS: dict[Format, str] = {
    Format.TFLITE: "edgekit.runtimes.litert",
    Format.ONNX: "edgekit.runtimes.ort",
    Format.KERAS: "edgekit.runtimes.keras",
}


class Bench:
    """One loaded model with its inputs."""

    def __init__(self) -> None:
        self._call: Callable[[], object] | None = None

    def load(self, request: Json, _progress: Progress) -> Json:
        """Load ``path`` with ``threads`` and the arrays in ``inputs`` (.npz); the first run and ``warmup`` more."""
        from edgekit.runtimes import open_runtime

        path, kind = find_model(Path(request["path"]))
        base = peak_rss_bytes()
        _import_engine(kind)
        with np.load(request["inputs"]) as arrays:
            feed = dict(arrays)
        start = time.perf_counter_ns()
        runtime = open_runtime(path, threads=request["threads"])
        call = runtime.bind(feed)
        init_ms = (time.perf_counter_ns() - start) / 1e6
        (first,) = time_calls(call, runs=1, min_duration_s=0, settle=0)
        for _ in range(request["warmup"]):
            call()
        self._call = call
        return {
            "init_ms": init_ms,
            "first_ms": first / 1e6,
            "runtime": runtime.name,
            "version": runtime.version,
            "base_rss_bytes": base,
            "cpu_s": time.process_time(),
        }

    def turn(self, request: Json, _progress: Progress) -> Json:
        """One turn of timed runs: the kept times in ms, how many were run, peak memory and CPU time so far."""
        if self._call is None:
            raise ArtifactError("A turn was asked for before a model was loaded; load one first.")
        times = time_calls(
            self._call, runs=request["runs"], min_duration_s=request["min_duration_s"], settle=request["settle"]
        )
        return {
            "samples_ms": [t / 1e6 for t in thinned(times)],
            "runs": len(times),
            "peak_rss_bytes": peak_rss_bytes(),
            "cpu_s": time.process_time(),
        }


def _import_engine(kind: Format) -> None:
    importlib.import_module(_WRAPPERS[kind])
    for module in _ENGINES[kind]:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        return


if __name__ == "__main__":
    bench = Bench()
    serve({"load": bench.load, "turn": bench.turn})
