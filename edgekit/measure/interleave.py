"""Several models timed on one machine in turns, so that a slow minute of the machine hits all of them alike."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgekit.errors import ArtifactError
from edgekit.files import scratch_folder
from edgekit.measure.conditions import Conditions, busy_cpu_s, read_conditions
from edgekit.measure.host import host_facts
from edgekit.measure.sample_inputs import sample_inputs
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job, Timing
from edgekit.runtimes.base import Delegation
from edgekit.runtimes.probe import patience_s
from edgekit.workers import Json, Progress, Worker, WorkerCrashError, silent

WORKER = "edgekit.measure.bench_worker"


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One job at one number of threads, its process, and what it has given so far."""

    job: Job
    threads: int
    worker: Worker
    loaded: Json = field(default_factory=dict)
    rounds_ms: list[tuple[float, ...]] = field(default_factory=list)
    runs: int = 0
    peak_rss_bytes: int | None = None
    cpu_s: float = 0.0

    def call(self, operation: str, request: Json, *, limit_s: float | None = None) -> Json:
        try:
            return self.worker.call(operation, request, limit_s=limit_s)
        except WorkerCrashError as error:
            raise ArtifactError(f"{self.job.artifact.path} cannot be timed: {error}.") from None

    def load(self, inputs: Path, warmup: int) -> None:
        path = self.job.artifact.path
        request = {
            "path": str(path),
            "engine": self.job.engine,
            "threads": self.threads,
            "inputs": str(inputs),
            "warmup": warmup,
        }
        self.loaded = self.call("load", request, limit_s=patience_s(path) * (1 + warmup))

    def turn(self, settings: BenchmarkSettings) -> None:
        answer = self.call(
            "turn",
            {
                "runs": math.ceil(settings.runs / settings.rounds),
                "min_duration_s": settings.min_duration_s / settings.rounds,
                "settle": settings.settle,
            },
        )
        self.rounds_ms.append(tuple(answer["samples_ms"]))
        self.runs += answer["runs"]
        self.peak_rss_bytes = answer["peak_rss_bytes"]
        self.cpu_s = answer["cpu_s"] - self.loaded["cpu_s"]

    def timing(self, device: str) -> Timing:
        delegation = self.loaded["delegation"]
        return Timing(
            artifact=self.job.artifact,
            threads=self.threads,
            device=device,
            runtime_name=self.loaded["runtime"],
            runtime_version=self.loaded["version"],
            first_ms=self.loaded["first_ms"],
            init_ms=self.loaded["init_ms"],
            rounds_ms=tuple(self.rounds_ms),
            runs=self.runs,
            peak_rss_bytes=self.peak_rss_bytes,
            base_rss_bytes=self.loaded["base_rss_bytes"],
            delegation=None if delegation is None else Delegation(**delegation),
        )


class _Busy:
    """How busy the machine was with other work since this was made."""

    def __init__(self) -> None:
        self._busy_s, self._own_s, self._start_s = busy_cpu_s(), time.process_time(), time.monotonic()

    def others_cpus(self, workers_cpu_s: float) -> float | None:
        """CPUs that neither this process nor its workers kept busy; None where the machine does not tell."""
        now_s = busy_cpu_s()
        if now_s is None or self._busy_s is None:
            return None
        own_s = workers_cpu_s + time.process_time() - self._own_s
        return max(0.0, now_s - self._busy_s - own_s) / (time.monotonic() - self._start_s)


def interleave(
    jobs: Sequence[Job],
    settings: BenchmarkSettings,
    *,
    device: str,
    progress: Progress = silent,
    read: Callable[[], Conditions] = read_conditions,
) -> DeviceRun:
    """Do every job at every number of threads, each in a process of its own, all alive at once.

    A round gives each of them one turn, in an order shuffled anew; ``read`` looks at the machine before, after each
    round, and so after the last. `ArtifactError` names a file whose process died.
    """
    host = host_facts()
    conditions = [read()]
    orders = _orders(len(jobs) * len(settings.threads), settings)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(scratch_folder()))
        lanes: list[_Lane] = []
        for index, job in enumerate(jobs):
            inputs = folder / f"{index}.npz"
            np.savez(inputs, **sample_inputs(job.artifact.card, seed=settings.seed))  # type: ignore[arg-type]
            for threads in settings.threads:
                progress("loading", len(lanes), len(jobs) * len(settings.threads))
                lane = _Lane(job=job, threads=threads, worker=stack.enter_context(Worker(WORKER)))
                lane.load(inputs, settings.warmup)
                lanes.append(lane)
        busy = _Busy()
        for done, order in enumerate(orders):
            progress("timing", done, settings.rounds)
            for index in order:
                lanes[index].turn(settings)
            conditions.append(read())
        others_cpus = busy.others_cpus(sum(lane.cpu_s for lane in lanes))
        progress("timing", settings.rounds, settings.rounds)
    return DeviceRun(
        timings=tuple(lane.timing(device) for lane in lanes),
        conditions=tuple(conditions),
        order=orders,
        others_cpus=others_cpus,
        host=host,
    )


def _orders(lanes: int, settings: BenchmarkSettings) -> tuple[tuple[int, ...], ...]:
    generator = np.random.default_rng(settings.seed)
    return tuple(tuple(int(i) for i in generator.permutation(lanes)) for _ in range(settings.rounds))
