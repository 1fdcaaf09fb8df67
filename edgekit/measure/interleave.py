"""Several models timed on one machine in turns, so that a slow minute of the machine hits all of them alike."""

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from edgekit.measure.conditions import Conditions
from edgekit.measure.cooling import Rest, Sleep
from edgekit.measure.sample_inputs import Array, sample_feeds, sample_inputs
from edgekit.measure.settings import SAMPLES, TIMED, BenchmarkSettings, DeviceRun, Job, Timing
from edgekit.runtimes.base import Delegation
from edgekit.workers import Json, Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A machine at the moment ``clock_s`` of its own clock.

    ``busy_s`` are the CPU seconds that all work on it has taken, None where it does not tell; ``own_s`` those of the
    process that looks.
    """

    conditions: Conditions
    busy_s: float | None
    own_s: float
    clock_s: float


class Bench(Protocol):
    """A process on the machine that times one model."""

    def load(self, job: Job, feed: Mapping[str, Array], *, threads: int, warmup: int) -> Json:
        """Load the model, run ``feed`` once and ``warmup`` more times: what `_Lane.timing` needs of it.

        ``threads_actual`` may be missing where the machine does not tell, ``timed`` where it times as others do.
        """

    def turn(self, *, runs: int, min_duration_s: float, settle: int) -> Json:
        """One turn of timed runs: ``samples_ms``, ``runs``, ``peak_rss_bytes``, ``cpu_s``."""

    def answers(self, feeds: Sequence[Mapping[str, Array]]) -> tuple[Mapping[str, Array], ...] | None:
        """The outputs for ``feeds``, as the file has them; None of this very machine, or one that gives none."""


class Machine(Protocol):
    """What timing needs of a machine, at the desk or elsewhere."""

    @property
    def uri(self) -> str:
        """What the user calls it."""

    def host(self) -> dict[str, Any]:
        """Its facts."""

    def state(self) -> State:
        """How it is now."""

    def bench(self) -> AbstractContextManager[Bench]:
        """A new process there."""


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One job at one number of threads, its process, and what it has given so far."""

    job: Job
    threads: int
    bench: Bench
    loaded: Json
    rounds_ms: list[tuple[float, ...]] = field(default_factory=list)
    runs: int = 0
    peak_rss_bytes: int | None = None
    cpu_s: float = 0.0
    answers: tuple[Mapping[str, Array], ...] | None = None

    def turn(self, settings: BenchmarkSettings) -> None:
        answer = self.bench.turn(
            runs=math.ceil(settings.runs / settings.rounds),
            min_duration_s=settings.min_duration_s / settings.rounds,
            settle=settings.settle,
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
            threads_actual=self.loaded.get("threads_actual"),
            timed=self.loaded.get("timed", TIMED),
            answers=self.answers,
        )


def interleave(
    jobs: Sequence[Job],
    settings: BenchmarkSettings,
    machine: Machine,
    *,
    progress: Progress = silent,
    sleep: Sleep = time.sleep,
) -> DeviceRun:
    """Do every job at every number of threads, each in a process of its own, all alive at once.

    A round gives each of them one turn, in an order shuffled anew, after a rest where the settings have one; the
    machine is looked at before, after each round, and so after the last. Then each answers to the sample inputs.
    `ArtifactError` names a file whose process died.
    """
    host = machine.host()
    states, cooled_s = [machine.state()], []
    rest = Rest(machine=machine, start=states[0], most_s=settings.cool_down_s, sleep=sleep)
    orders = _orders(len(jobs) * len(settings.threads), settings)
    with contextlib.ExitStack() as stack:
        lanes: list[_Lane] = []
        for job in jobs:
            feed = sample_inputs(job.artifact.card, seed=settings.seed)
            for threads in settings.threads:
                progress("loading", len(lanes), len(jobs) * len(settings.threads))
                bench = stack.enter_context(machine.bench())
                loaded = bench.load(job, feed, threads=threads, warmup=settings.warmup)
                lanes.append(_Lane(job=job, threads=threads, bench=bench, loaded=loaded))
        start = machine.state()
        for done, order in enumerate(orders):
            cooled_s.append(rest.before(done, progress=progress))
            progress("timing", done, settings.rounds)
            for index in order:
                lanes[index].turn(settings)
            states.append(machine.state())
        progress("timing", settings.rounds, settings.rounds)
        for lane in lanes:
            lane.answers = lane.bench.answers(sample_feeds(lane.job.artifact.card, samples=SAMPLES, seed=settings.seed))
    return DeviceRun(
        timings=tuple(lane.timing(machine.uri) for lane in lanes),
        conditions=tuple(state.conditions for state in states),
        order=orders,
        others_cpus=_others_cpus(start, states[-1], sum(lane.cpu_s for lane in lanes)),
        host=host,
        cooled_s=tuple(cooled_s) if settings.cool_down_s else (),
    )


def _others_cpus(start: State, end: State, lanes_cpu_s: float) -> float | None:
    """CPUs that neither the lanes nor who looked at the machine kept busy; None where it does not tell."""
    if start.busy_s is None or end.busy_s is None or end.clock_s <= start.clock_s:
        return None
    own_s = lanes_cpu_s + end.own_s - start.own_s
    return max(0.0, end.busy_s - start.busy_s - own_s) / (end.clock_s - start.clock_s)


def _orders(lanes: int, settings: BenchmarkSettings) -> tuple[tuple[int, ...], ...]:
    generator = np.random.default_rng(settings.seed)
    return tuple(tuple(int(i) for i in generator.permutation(lanes)) for _ in range(settings.rounds))
