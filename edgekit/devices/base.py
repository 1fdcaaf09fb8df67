"""Where a measurement happens."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from edgekit.artifact import Artifact
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.runtimes import Runtime
from edgekit.workers import Progress


class Device(Protocol):
    """A machine that runs model files. One file per kind in this folder, listed in `edgekit.devices.SCHEMES`.

    Use it as a context manager: what it has opened ends with it.
    """

    @property
    def uri(self) -> str:
        """What the user calls it, such as ``local``."""

    def __enter__(self) -> Self:
        """Connect."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what was opened."""

    def host(self) -> dict[str, Any]:
        """Facts of the machine, see `edgekit.measure.host.host_facts`."""

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do all ``jobs`` together, taking turns: their ratios are only comparable within one such run."""

    def open(self, artifact: Artifact, *, threads: int = 1, engine: str | None = None) -> Runtime:
        """The model file, loaded there in ``engine`` or in what the device runs such files with."""
