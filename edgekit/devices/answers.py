"""What a device may answer, whoever speaks at its end: values of the right kinds, or one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from edgekit.codec import from_jsonable
from edgekit.errors import CardError, DeviceError
from edgekit.measure.conditions import Conditions
from edgekit.measure.settings import TIMED
from edgekit.runtimes.base import Delegation

T = TypeVar("T")

_FACTS: Mapping[str, tuple[type, ...]] = {
    "cores": (int, type(None)),
    "allowed_cpus": (int,),
    "emulated": (bool,),
    "throttled": (list,),
    "packages": (dict,),
}
"""Of the facts of a machine, those that decide what is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model is loaded: see `edgekit.devices.agent.operations.Operations.load`."""

    init_ms: float
    engine: str
    version: str
    delegation: Delegation | None
    base_rss_bytes: int | None
    threads_actual: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """It has run for the first time; ``timed`` says what its times contain."""

    first_ms: float
    cpu_s: float
    threads_actual: int | None = None
    timed: str = TIMED


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """It has run ``runs`` times, of which ``samples_ms`` are kept."""

    samples_ms: tuple[float, ...]
    runs: int
    peak_rss_bytes: int | None
    cpu_s: float

    def __post_init__(self) -> None:
        if not self.samples_ms or min(self.samples_ms) < 0 or self.runs < len(self.samples_ms):
            raise CardError(f"{self.runs} runs with {len(self.samples_ms)} times are no turn.")
        if not any(self.samples_ms):
            raise CardError(f"All times of {self.runs} runs are 0 ms.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """How the device is: see `edgekit.measure.interleave.State`."""

    conditions: Conditions
    busy_s: float | None
    own_s: float
    clock_s: float


def read_answer(kind: type[T], told: Any, *, device: str) -> T:
    """What the device ``told``, as ``kind``; `DeviceError` where it is something else."""
    try:
        return from_jsonable(kind, told, where=f"The answer {kind.__name__}")
    except CardError as error:
        raise DeviceError(f"{device} gives what is no answer; try again. {error}") from None


def read_facts(told: Mapping[str, Any], *, device: str) -> dict[str, Any]:
    """The facts of a device's machine; `DeviceError` where those are missing that decide what is believed."""
    for name, kinds in _FACTS.items():
        if type(told.get(name, ...)) not in kinds:
            raise DeviceError(f"{device} tells of itself without {name!r}, or tells nonsense of it; try again.")
    return dict(told)
