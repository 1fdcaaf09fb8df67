"""Where a measurement happens."""

from collections.abc import Sequence
from typing import Any, Protocol

from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.workers import Progress


class Device(Protocol):
    """A machine that runs model files. One file per kind in this folder, listed in `edgekit.devices.SCHEMES`."""

    @property
    def uri(self) -> str:
        """What the user calls it, such as ``local``."""

    def host(self) -> dict[str, Any]:
        """Facts of the machine, see `edgekit.measure.host.host_facts`."""

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do all ``jobs`` together, taking turns: their ratios are only comparable within one such run."""
