"""The machine that edgekit runs on."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgekit.artifact import Artifact
from edgekit.data import npy
from edgekit.errors import ArtifactError, InputError
from edgekit.files import scratch_folder
from edgekit.measure.conditions import busy_cpu_s, read_conditions
from edgekit.measure.host import host_facts
from edgekit.measure.interleave import State, interleave
from edgekit.measure.sample_inputs import Array
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.runtimes import Runtime, open_checked_runtime
from edgekit.runtimes.probe import patience_s
from edgekit.workers import Json, Progress, Worker, WorkerCrashError

WORKER = "edgekit.measure.bench_worker"


class LocalDevice:
    """This machine; it has no address."""

    def __init__(self, uri: str = "local") -> None:
        if uri != "local":
            raise InputError(f"The device {uri!r} has an address; this machine is called just local.")
        self.uri = uri

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def host(self) -> dict[str, Any]:
        """Facts of this machine."""
        return host_facts()

    def state(self) -> State:
        """How this machine is now."""
        return State(
            conditions=read_conditions(), busy_s=busy_cpu_s(), own_s=time.process_time(), clock_s=time.monotonic()
        )

    @contextlib.contextmanager
    def bench(self) -> Iterator["LocalBench"]:
        """A process of its own for one model."""
        with scratch_folder() as folder, Worker(WORKER) as worker:
            yield LocalBench(worker, Path(folder) / "inputs.npz")

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do ``jobs`` here, each in a process of its own."""
        return interleave(jobs, settings, self, progress=progress)

    def open(self, artifact: Artifact, *, threads: int = 1, engine: str | None = None) -> Runtime:
        """The model in this process, after it has run once in another."""
        return open_checked_runtime(artifact.path, threads=threads, engine=engine)


class LocalBench:
    """A child process that times one model."""

    def __init__(self, worker: Worker, inputs: Path) -> None:
        self._worker, self._inputs = worker, inputs
        self._path: Path | None = None

    def load(self, job: Job, feed: Mapping[str, Array], *, threads: int, warmup: int) -> Json:
        """As `edgekit.measure.interleave.Bench.load`."""
        self._path = path = job.artifact.path
        npy.write_npz(self._inputs, feed)
        request = {
            "path": str(path),
            "engine": job.engine,
            "threads": threads,
            "inputs": str(self._inputs),
            "warmup": warmup,
        }
        return self._call("load", request, limit_s=patience_s(path) * (1 + warmup))

    def turn(self, *, runs: int, min_duration_s: float, settle: int) -> Json:
        """As `edgekit.measure.interleave.Bench.turn`."""
        return self._call("turn", {"runs": runs, "min_duration_s": min_duration_s, "settle": settle})

    def answers(self, _feeds: Sequence[Mapping[str, Array]]) -> None:
        """Nothing: what others' answers are compared with are this machine's own."""

    def _call(self, operation: str, request: Json, *, limit_s: float | None = None) -> Json:
        try:
            return self._worker.call(operation, request, limit_s=limit_s)
        except WorkerCrashError as error:
            raise ArtifactError(f"{self._path} cannot be timed: {error}.") from None
