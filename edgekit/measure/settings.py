"""How a benchmark is done, and what it gives: the words that every device shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from edgekit.artifact import Artifact
from edgekit.errors import InputError
from edgekit.measure.conditions import Conditions
from edgekit.measure.profile import Profile
from edgekit.measure.stats import Latency, Ratio
from edgekit.runtimes.base import Array, Delegation

TIMED = "set inputs, invoke, get outputs; inputs prepared beforehand, one item a run"
"""What lies between the two readings of edgekit's own clock."""


SAMPLES = 8
"""So many seeded inputs a device answers to, beside those that it is timed with."""
MOST_THREADS = 1024
"""More than any engine makes good use of, and fewer than what an engine or a system chokes on."""
MOST_S = 86_400.0
"""A day: longer runs and rests are slips of the pen."""


class Mode(StrEnum):
    """How much is measured: to see something, to compare, and by the rules of MLPerf Mobile."""

    QUICK = "quick"
    NORMAL = "normal"
    SUBMISSION = "submission"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a mode measures where nothing else is said; see `BenchmarkSettings`."""

    runs: int
    min_duration_s: float
    cool_down_s: float


EXTENTS: Mapping[Mode, Extent] = {
    Mode.QUICK: Extent(runs=10, min_duration_s=0.2, cool_down_s=0.0),
    Mode.NORMAL: Extent(runs=50, min_duration_s=1.0, cool_down_s=0.0),
    # Single stream: 1,024 queries and 60 s, the 90th percentile (mlcommons.org/benchmarks/inference-mobile). Between
    # tests its app may rest for 0 to 5 minutes (Reddi et al., MLSys 2022); here there is a rest before each round.
    Mode.SUBMISSION: Extent(runs=1024, min_duration_s=60.0, cool_down_s=60.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSettings:
    """At least ``runs`` timed runs *and* ``min_duration_s`` seconds for each model and number of threads.

    They are spread over ``rounds``: in every round each model has its turn, in an order shuffled with ``seed``.
    ``warmup`` runs come before the first timed one; ``settle`` untimed runs begin every turn, since the turn before it
    has left another model's weights in the caches. Before each round the machine may rest for up to ``cool_down_s``,
    see `edgekit.measure.cooling`. ``mode`` says by whose rules; `in_mode` makes settings of one.
    """

    threads: tuple[int, ...] = (1,)
    runs: int = 50
    warmup: int = 5
    min_duration_s: float = 1.0
    rounds: int = 20
    settle: int = 2
    seed: int = 0
    mode: Mode = Mode.NORMAL
    cool_down_s: float = 0.0

    @classmethod
    def in_mode(
        cls,
        mode: Mode,
        *,
        runs: int | None = None,
        min_duration_s: float | None = None,
        cool_down_s: float | None = None,
        **others: Any,
    ) -> Self:
        """The settings of ``mode``, with those that are given in place of its own."""
        own = EXTENTS[mode]
        return cls(
            mode=mode,
            runs=own.runs if runs is None else runs,
            min_duration_s=own.min_duration_s if min_duration_s is None else min_duration_s,
            cool_down_s=own.cool_down_s if cool_down_s is None else cool_down_s,
            **others,
        )

    @property
    def figure(self) -> str:
        """The percentile that counts, by its name in `Latency`."""
        return "p90" if self.mode is Mode.SUBMISSION else "p50"

    def __post_init__(self) -> None:
        if not self.threads or min(self.threads) < 1 or len(set(self.threads)) != len(self.threads):
            raise InputError(f"The numbers of threads are {list(self.threads)}; expected different ones of at least 1.")
        if max(self.threads) > MOST_THREADS:
            raise InputError(f"The numbers of threads are {list(self.threads)}; expected {MOST_THREADS:,} at most.")
        for name, least in (
            ("runs", 1),
            ("warmup", 0),
            ("min_duration_s", 0),
            ("rounds", 1),
            ("settle", 0),
            ("seed", 0),
            ("cool_down_s", 0),
        ):
            if not getattr(self, name) >= least:  # so NaN is refused too
                raise InputError(f"A benchmark's {name} is {least} or more; got {getattr(self, name)}.")
        for name in ("min_duration_s", "cool_down_s"):
            if getattr(self, name) > MOST_S:
                raise InputError(f"A benchmark's {name} is {MOST_S:,.0f} at most; got {getattr(self, name):g}.")
        rules = EXTENTS[Mode.SUBMISSION]
        if self.mode is Mode.SUBMISSION and (self.runs < rules.runs or self.min_duration_s < rules.min_duration_s):
            raise InputError(
                f"The mode submission has {rules.runs:,} runs and {rules.min_duration_s:g} s or more; got {self.runs} "
                f"and {self.min_duration_s:g}: raise them, or choose another mode."
            )


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
    ``threads_actual`` are those of the operating system that the engine works with. ``answers`` are the outputs, as the
    file has them, for those of `edgekit.measure.sample_inputs.sample_feeds`. Both are None where the device, or this
    machine of itself, does not tell.

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
    threads_actual: int | None = None
    answers: tuple[Mapping[str, Array], ...] | None = None

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """The kept runs of all rounds, in order."""
        return tuple(sample for block in self.rounds_ms for sample in block)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRun:
    """What a device gives back: timings, its state before, between the rounds and after, and the order of the turns.

    ``order`` has one list of indices into ``timings`` a round. ``others_cpus`` is how many CPUs other work kept busy
    meanwhile, on average; None where the device does not tell. ``cooled_s`` are the rests before the rounds; ``notes``
    are sentences on how it was measured.
    """

    timings: tuple[Timing, ...]
    conditions: tuple[Conditions, ...]
    order: tuple[tuple[int, ...], ...]
    others_cpus: float | None
    host: Mapping[str, Any]
    cooled_s: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a device answered to ``count`` sample inputs beside this machine's ``engine``.

    ``max_abs`` and ``sqnr_db`` are of real numbers; ``agreement`` is the share of inputs with the same largest value,
    None for outputs that are no vectors. ``within_limits`` is None for files that cannot be judged so, and ``why`` says
    why, or which limit was exceeded.
    """

    engine: str
    count: int
    identical: bool
    max_abs: float | None
    sqnr_db: float | None
    agreement: float | None
    within_limits: bool | None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """One line of a benchmark's table: a timing, its figures, and whether to believe it.

    ``comparable`` is False where the figures say nothing about the machine in its usual state: of an emulated or
    throttled one. Such are never ranked. ``answers`` are there of devices other than this machine.
    """

    timing: Timing
    latency_ms: Latency
    ratio_to_first: Ratio
    valid: bool
    flags: tuple[str, ...]
    conditions: tuple[Conditions, ...]
    others_cpus: float | None
    settings: BenchmarkSettings
    comparable: bool = True
    answers: Answers | None = None
    cooled_s: tuple[float, ...] = ()

    @property
    def figure_ms(self) -> float:
        """The latency that counts."""
        value: float = getattr(self.latency_ms, self.settings.figure)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """All results of a benchmark, the sentences that may be said about them, and the machines' facts by device.

    ``profiles`` are by (path, threads); ``notes`` says what a reader should know of files, such as why one could not be
    profiled. ``failed`` has a sentence for each device that gave nothing.
    """

    results: tuple[BenchmarkResult, ...]
    verdicts: tuple[str, ...]
    hosts: Mapping[str, Mapping[str, Any]]
    profiles: Mapping[tuple[str, int], Profile] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
