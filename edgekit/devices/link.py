"""A connection to one process on a device, which does what it is asked and nothing else."""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from edgekit import errors
from edgekit.devices.agent.frames import Array, Json
from edgekit.errors import DeviceError, EdgekitError

Answer = tuple[Json, list[Array]]

LIMIT_S = 60.0
"""How long a device may take for what is no work."""
SLOWEST_BYTES_PER_S = 100_000
"""Of a connection through which a file goes to a device."""


class Link(Protocol):
    """Use it as a context manager: the process on the device ends with it, whatever ends it.

    The operations are those of `edgekit.devices.agent.operations`, whatever language the device speaks.
    """

    def __enter__(self) -> Self:
        """Start the process on the device; `DeviceError` where that cannot be."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""

    def call(
        self, operation: str, value: Json, arrays: Sequence[Array] = (), *, limit_s: float | None = None
    ) -> Answer:
        """What the device answers.

        Errors of it are raised as what they were there; `DeviceError` where it is lost, or has no answer after
        ``limit_s``, or `LIMIT_S` where none is given.
        """

    def send(self, sha256: str, data: bytes) -> None:
        """Have the device keep a file by its digest, unless it has it; errors as those of `call`."""


def revived(failure: Json, *, device: str) -> EdgekitError:
    """The error that a device tells of, which names the device."""
    kind = getattr(errors, str(failure.get("class")), None)
    message = f"On {device}: {failure.get('message')}"
    if failure.get("class") == "OSError":
        return DeviceError(f"{message}; free space or rights there.")
    if isinstance(kind, type) and issubclass(kind, EdgekitError):
        return kind(message)
    return DeviceError(message if message.endswith(".") else f"{message}.")
