"""What a page may answer: values of the right kinds and sizes, in the words of the core; anything else is an error.

A page is whatever opened the link, so that nothing it says is taken without a look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgekit.codec import from_jsonable, to_jsonable
from edgekit.devices.agent.frames import Array, Json
from edgekit.devices.link import revived
from edgekit.errors import CardError, DataError, DeviceError
from edgekit.measure.conditions import Conditions
from edgekit.measure.settings import TIMED
from edgekit.measure.timing import KEPT_PER_ROUND

MOST_TEXT = 1000
"""Characters of one text that a page says of itself."""
IN_BACKGROUND = "the page was in the background"

_MOST_MS = 1e9
_LARGEST = 1e300


class Told(Protocol):
    """The answer to one operation."""

    def told(self) -> Json:
        """It in the words of `edgekit.devices.agent.operations`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """Facts of a browser; None is what it does not tell. ``memory_gb`` is rounded, and capped by the browser."""

    user_agent: str
    brands: tuple[str, ...]
    platform: str | None
    platform_version: str | None
    architecture: str | None
    bitness: str | None
    model: str | None
    cores: int
    memory_gb: float | None
    isolated: bool
    secure: bool
    clock_step_ms: float

    def __post_init__(self) -> None:
        _within("cores", self.cores, 1, 4096)
        _within("clock_step_ms", self.clock_step_ms, 0, 1000)
        if len(self.brands) > 20:
            raise DataError(f"brands has {len(self.brands)} entries; expected 20 at most")

    def told(self) -> Json:
        """As `edgekit.measure.host.host_facts`, and all that the browser tells under ``browser``."""
        system = " ".join(part for part in (self.platform, self.platform_version) if part)
        browser = self.brands[-1] if self.brands else "a browser"
        return {
            "machine": f"{self.architecture} {self.bitness or '?'}-bit" if self.architecture else "unknown",
            "board": self.model,
            "cpu": None,
            "features": [],
            "cores": self.cores,
            "allowed_cpus": self.cores if self.isolated else 1,
            "memory_bytes": None,
            "governor": None,
            "frequency_mhz": [],
            "frequency_limits_mhz": [],
            "temperature_c": {},
            "throttled": [],
            "load_1min": None,
            "emulated": False,
            "virtual": False,
            "system": f"{browser} on {system}" if system else browser,
            "kernel": None,
            "python": None,
            "packages": {},
            "browser": to_jsonable(self),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """How the page is; ``hidden``: it is, or was since it was last asked."""

    hidden: bool
    clock_ms: float

    def told(self) -> Json:
        """As the operation ``state``."""
        conditions = Conditions(
            governor=None,
            frequency_mhz=(),
            temperature_c={},
            throttled=(IN_BACKGROUND,) if self.hidden else (),
            load_1min=None,
        )
        return {
            "conditions": to_jsonable(conditions),
            "busy_s": None,
            "own_s": 0.0,
            "clock_s": self.clock_ms / 1000,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Has:
    """Whether the page has a file."""

    has: bool

    def told(self) -> Json:
        """As the operation ``has``."""
        return {"has": self.has}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Done."""

    def told(self) -> Json:
        """As the operation ``put``."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model is loaded, in an engine that uses so many ``threads``."""

    init_ms: float
    threads: int

    def __post_init__(self) -> None:
        _within("init_ms", self.init_ms, 0, _MOST_MS)
        _within("threads", self.threads, 1, 4096)

    def told(self) -> Json:
        """As the operation ``load``, without the engine, which the desk has sent itself."""
        return {"init_ms": self.init_ms, "threads_actual": self.threads, "delegation": None, "base_rss_bytes": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run, whose outputs come with it."""

    run_ms: float

    def __post_init__(self) -> None:
        _within("run_ms", self.run_ms, 0, _MOST_MS)

    def told(self) -> Json:
        """As the operation ``run``."""
        return {"run_ms": self.run_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The first run, and of how many runs the page will give the mean as one sample."""

    first_ms: float
    runs_a_sample: int

    def __post_init__(self) -> None:
        _within("first_ms", self.first_ms, 0, _MOST_MS)
        _within("runs_a_sample", self.runs_a_sample, 1, 1e6)

    def told(self) -> Json:
        """As the operation ``bind``; ``timed`` is that of `edgekit.measure.settings.Timing`."""
        mean = f"; a sample is the mean of {self.runs_a_sample} runs, since the page's clock is coarse"
        return {"first_ms": self.first_ms, "cpu_s": 0.0, "timed": TIMED + (mean if self.runs_a_sample > 1 else "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Times of ``runs`` runs; where the clock is coarse, each is the mean of several."""

    samples_ms: tuple[float, ...]
    runs: int

    def __post_init__(self) -> None:
        _within("the number of samples_ms", len(self.samples_ms), 1, KEPT_PER_ROUND)
        _within("samples_ms", min(self.samples_ms), 0, _MOST_MS)
        _within("samples_ms", max(self.samples_ms), 0, _MOST_MS)
        if not any(self.samples_ms):
            raise DataError("all samples_ms are 0; expected times of runs")
        _within("runs", self.runs, len(self.samples_ms), 1e9)

    def told(self) -> Json:
        """As the operation ``turn``."""
        return {"samples_ms": list(self.samples_ms), "runs": self.runs, "peak_rss_bytes": None, "cpu_s": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error of the page; ``kind`` is the name of a class."""

    kind: str
    message: str


ANSWERS: dict[str, type[Any]] = {
    "host": Browser,
    "state": Now,
    "has": Has,
    "put": Nothing,
    "load": Loaded,
    "run": Ran,
    "bind": Bound,
    "turn": Turn,
}
"""What each operation gives."""


def checked(operation: str, header: Json, arrays: Sequence[Array], *, device: str) -> Json:
    """The value of a page's answer to ``operation``; `DeviceError` where it is none, or the error that it tells of."""
    try:
        answer = _read(operation, header, arrays)
    except (CardError, DataError) as error:
        raise DeviceError(f"{device} gave no answer to {operation!r}: {str(error).rstrip('.')}.") from None
    if isinstance(answer, Failure):
        raise revived({"class": answer.kind, "message": answer.message}, device=device)
    return answer.told()


def _read(operation: str, header: Json, arrays: Sequence[Array]) -> "Told | Failure":
    value = header.get("value")
    _require_short(value)
    if header.get("kind") == "error":
        return from_jsonable(Failure, value, where="the error")
    if arrays and operation != "run":
        raise DataError("it came with arrays, which nobody asked for")
    answer: Told = from_jsonable(ANSWERS[operation], value, where="it")
    return answer


def _require_short(value: Any) -> None:
    """Refuse long texts, which would go into messages and results."""
    texts = [value] if isinstance(value, str) else []
    if isinstance(value, dict):
        texts = [text for text in value.values() if isinstance(text, str)]
        texts += [text for each in value.values() if isinstance(each, list) for text in each if isinstance(text, str)]
    for text in texts:
        if len(text) > MOST_TEXT:
            raise DataError(f"a text of it has {len(text):,} characters; expected {MOST_TEXT} at most")


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        got = f"{value:g}" if abs(value) < _LARGEST else "too large"  # an integer may be more than a float can hold
        raise DataError(f"{name} is {got}; expected {least:g} to {most:g}")
