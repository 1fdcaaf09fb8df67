"""The process that times one model file: it holds one engine with one model, and nothing else."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.artifact import find_model
from edgekit.codec import to_jsonable
from edgekit.errors import ArtifactError
from edgekit.measure.memory import peak_rss_bytes
from edgekit.measure.system import own_threads, threads_at_work
from edgekit.measure.timing import thinned, time_calls
from edgekit.workers import Json, Progress, serve


class Bench:
    """One loaded model with its inputs."""

    def __init__(self) -> None:
        self._call: Callable[[], object] | None = None

    def load(self, request: Json, _progress: Progress) -> Json:
        """Load ``path`` in ``engine`` with ``threads``; run ``inputs`` (.npz) once, and ``warmup`` more times.

        Importing an engine is not loading a model: it comes first, and stays out of the time to load.
        """
        from edgekit.runtimes import choose_engines, open_runtime

        path, kind = find_model(Path(request["path"]))
        base = peak_rss_bytes()
        engine, *_ = choose_engines(kind, [request["engine"]] if request["engine"] else [], file=str(path))
        _import_engine(engine)
        with np.load(request["inputs"]) as arrays:
            feed = dict(arrays)
        threads = own_threads()
        start = time.perf_counter_ns()
        runtime = open_runtime(path, threads=request["threads"], engine=engine)
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
            "delegation": to_jsonable(runtime.delegation),
            "base_rss_bytes": base,
            "threads_actual": threads_at_work(threads, own_threads()),
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


def _import_engine(name: str) -> None:
    from edgekit.runtimes import load_engine, opener

    opener(name)
    # TensorFlow, which Keras needs, may be missing: `open_runtime` says so with the line that mends it.
    with contextlib.suppress(ModuleNotFoundError):
        load_engine(name)


if __name__ == "__main__":
    bench = Bench()
    serve({"load": bench.load, "turn": bench.turn})
