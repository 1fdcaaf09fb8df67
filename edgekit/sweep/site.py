"""Where the work of a sweep is done: here, or by whoever keeps the same interface."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.devices import open_device
from edgekit.errors import EdgekitError
from edgekit.measure.settings import BenchmarkSettings, DeviceRun, Job
from edgekit.workers import Progress

if TYPE_CHECKING:
    from edgekit.converters import ConversionReport, Request


class Measures(Protocol):
    """What a sweep needs of an open device; an `edgekit.devices.Device` is one."""

    def host(self) -> dict[str, Any]:
        """Facts of the machine, or `DeviceError`."""

    def measure(self, jobs: Sequence[Job], settings: BenchmarkSettings, *, progress: Progress) -> DeviceRun:
        """Do ``jobs``; stop where ``progress`` raises."""


class Site(Protocol):
    """Where models are converted, and from where devices are reached."""

    def convert(
        self, requests: "Sequence[Request]", *, progress: Progress
    ) -> "Iterator[tuple[Request, ConversionReport | EdgekitError]]":
        """Each request with what came of it, as it is finished."""

    def open(self, uri: str) -> AbstractContextManager[Measures]:
        """The device ``uri``, which is connected on entering; `InputError` for an address that is none."""


class Here:
    """This machine. One model after the other is converted, since a conversion uses all cores by itself."""

    def __init__(self, open_device: Callable[[str], AbstractContextManager[Measures]] = open_device) -> None:
        self.open = open_device

    def convert(
        self, requests: "Sequence[Request]", *, progress: Progress
    ) -> "Iterator[tuple[Request, ConversionReport | EdgekitError]]":
        """As `Site.convert`."""
        for request in requests:
            yield request, converted(request, progress=progress)


def converted(request: "Request", *, progress: Progress) -> "ConversionReport | EdgekitError":
    """What came of ``request``."""
    from edgekit.converters import convert

    try:
        return convert(request, progress=progress)
    except EdgekitError as error:
        return error
