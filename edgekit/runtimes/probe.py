"""Running a file once in a process of its own, since a damaged or unfit model can end the process it runs in."""

from pathlib import Path

import numpy as np

from edgekit.artifact import find_model
from edgekit.card import TensorSpec
from edgekit.errors import ArtifactError
from edgekit.runtimes.base import Array
from edgekit.workers import Json, Progress, Worker, WorkerCrashError, serve

LIMIT_S = 120.0
"""Time to load a file and run it once, and `LIMIT_S_PER_MB` more for each megabyte of it, on the slowest of boards."""
LIMIT_S_PER_MB = 2.0


def patience_s(path: Path) -> float:
    """For so long a process that loads and runs the file ``path`` once is waited for."""
    return LIMIT_S + LIMIT_S_PER_MB * path.stat().st_size / 1e6


def probe(path: Path, *, threads: int = 1, engine: str | None = None) -> None:
    """Load the file and run zeros through it in a child process; `ArtifactError` when that fails, crashes or hangs."""
    path, _ = find_model(path)
    request = {"path": str(path), "threads": threads, "engine": engine}
    with Worker("edgekit.runtimes.probe") as worker:
        try:
            worker.call("probe", request, limit_s=patience_s(path))
        except WorkerCrashError as crash:
            raise ArtifactError(f"{path} cannot be run: {crash}.") from None


def zero_feed(specs: tuple[TensorSpec, ...], *, batch: int = 1) -> dict[str, Array]:
    """Zeros for every input; a free axis has length ``batch``. An integer zero is a valid index and a valid pixel."""
    return {s.name: np.zeros([batch if d is None else d for d in s.shape], s.dtype) for s in specs}


def _run_once(request: Json, _progress: Progress) -> Json:
    from edgekit.runtimes import open_runtime

    runtime = open_runtime(Path(request["path"]), threads=request["threads"], engine=request["engine"])
    runtime.run(zero_feed(runtime.inputs))
    return {}


if __name__ == "__main__":
    serve({"probe": _run_once})
