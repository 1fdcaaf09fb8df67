"""How a benchmark is done, and what it gives: the words that every device shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgekit.artifact import Artifact
from edgekit.errors import InputError
from edgekit.measure.conditions import Conditions
from edgekit.measure.profile import Profile
from edgekit.measure.stats import Latency, Ratio
from edgekit.runtimes.base import Delegation

TIMED = "set inputs, invoke, get outputs; inputs prepared beforehand, one item a run"
"""What lies between the two readings of edgekit's own clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSettings:
    """At least ``runs`` timed runs *and* ``min_duration_s`` seconds for each model and number of threads.

    They are spread over ``rounds``: in every round each model has its turn, in an order shuffled with ``seed``.
    ``warmup`` runs come before the first timed one; ``settle`` untimed runs begin every turn, since the turn before it
    has left another model's weights in the caches.
    """

    threads: tuple[int, ...] = (1,)
    runs: int = 50
    warmup: int = 5
    min_duration_s: float = 1.0
    rounds: int = 20
    settle: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.threads or min(self.threads) < 1 or len(set(self.threads)) != len(self.threads):
            raise InputError(f"The numbers of threads are {list(self.threads)}; expected different ones of at least 1.")
        for name, least in (
            ("runs", 1),
            ("warmup", 0),
            ("min_duration_s", 0),
            ("rounds", 1),
            ("settle", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(f"A benchmark's {name} is {least} or more; got {getattr(self, name)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A file to be timed in ``engine``, or where that is None in the one that the device runs such files with."""

    artifact: Artifact
    engine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFigures:
    """What a tool that keeps its single runs to itself tells of those of one round. None: it does not tell."""

    runs: int
    mean_ms: float
    min_ms: float
    max_ms: float
    stdev_ms: float | None = None
    p5_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Everything measured of one model file in one engine at one number of threads on one device.

    ``rounds_ms`` holds the timed runs of each round in order; ``runs`` counts all of them, of which very fast models
    keep an evenly spaced part. ``delegation`` is what LiteRT's XNNPACK really ran; None in other engines.

    ``timed`` says what lies between the two readings of the clock. Where a tool tells of no single run, ``figures`` has
    what it tells of each round, and the one sample of a round in ``rounds_ms`` is the mean of its runs;
    ``footprint_bytes`` is what the model adds to the peak memory of a process whose own peak is not told.
    """

    artifact: Artifact
    threads: int
    device: str
    runtime_name: str
    runtime_version: str
    first_ms: float
    init_ms: float
    rounds_ms: tuple[tuple[float, ...], ...]
    runs: int
    peak_rss_bytes: int | None
    base_rss_bytes: int | None
    delegation: Delegation | None = None
    timed: str = TIMED
    figures: tuple[RoundFigures, ...] = ()
    footprint_bytes: int | None = None

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """The kept runs of all rounds, in order."""
        return tuple(sample for block in self.rounds_ms for sample in block)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRun:
    """What a device gives back: timings, its state before, between the rounds and after, and the order of the turns.

    ``order`` has one list of indices into ``timings`` a round. ``others_cpus`` is how many CPUs other work kept busy
    meanwhile, on average; None where the device does not tell. ``notes`` are sentences on how it was measured.
    """

    timings: tuple[Timing, ...]
    conditions: tuple[Conditions, ...]
    order: tuple[tuple[int, ...], ...]
    others_cpus: float | None
    host: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """One line of a benchmark's table: a timing, its figures, and whether to believe it."""

    timing: Timing
    latency_ms: Latency
    ratio_to_first: Ratio
    valid: bool
    flags: tuple[str, ...]
    conditions: tuple[Conditions, ...]
    others_cpus: float | None
    settings: BenchmarkSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """All results of a benchmark, the sentences that may be said about them, and the machines' facts by device.

    ``profiles`` are by (path, threads); ``notes`` says what a reader should know of files, such as why one could not be
    profiled.
    """

    results: tuple[BenchmarkResult, ...]
    verdicts: tuple[str, ...]
    hosts: Mapping[str, Mapping[str, Any]]
    profiles: Mapping[tuple[str, int], Profile] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
