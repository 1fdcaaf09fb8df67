"""The machine that edgekit runs on."""

from collections.abc import Sequence
from typing import Any

from edgekit.errors import InputError
from edgekit.measure.host import host_facts
from edgekit.measure.interleave import interleave
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.workers import Progress


class LocalDevice:
    """This machine; it has no address."""

    def __init__(self, uri: str) -> None:
        if uri != "local":
            raise InputError(f"The device {uri!r} has an address; this machine is called just local.")
        self.uri = uri

    def host(self) -> dict[str, Any]:
        """Facts of this machine."""
        return host_facts()

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do ``jobs`` here, each in a process of its own."""
        return interleave(jobs, settings, device=self.uri, progress=progress)
