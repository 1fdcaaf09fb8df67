"""A machine that answers over SSH, such as a Raspberry Pi, through the OpenSSH client and its configuration."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from edgekit.codec import from_jsonable
from edgekit.devices.agent.frames import Array, Json
from edgekit.devices.link import Answer
from edgekit.devices.linked import LinkedDevice
from edgekit.devices.look import LOOK, Look
from edgekit.devices.openssh import Connection, kill, limited, ssh_target
from edgekit.devices.pipe import Explain, PipeLink, start_arguments
from edgekit.devices.ssh_errors import explain_working
from edgekit.errors import DeviceError, MissingExtraError
from edgekit.files import scratch_folder

LOOK_S = 60
_MOST_TOLD = 1 << 16


class SSHDevice(LinkedDevice):
    """The device at ``ssh://[user@]host[:port]``; whatever the address leaves out is in ``~/.ssh/config``.

    ``python`` is the interpreter there, see `edgekit.devices.openssh.Connection`.
    """

    def __init__(self, uri: str, *, python: str | None = None) -> None:
        self._target, self._python = ssh_target(uri), python
        self._connection: Connection | None = None
        super().__init__(uri, self._link)

    @property
    def connection(self) -> Connection:
        """The connection that all links share, made at the first use."""
        if self._connection is None:
            self._connection = self.enter_context(Connection(self.uri, self._target, python=self._python))
            self.callback(self._disconnected)
        return self._connection

    def __enter__(self) -> Self:
        _ = self.connection
        return self

    def look(self) -> Look:
        """What the device says of itself with nothing but its Python; `DeviceError` where it has none."""
        command = self.connection.command(self.connection.python, "-c", LOOK, limit_s=LOOK_S)
        with scratch_folder() as folder, (Path(folder) / "log").open("w+b") as log:
            words = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
            with words, limited(LOOK_S, lambda: kill(words)) as late:
                assert words.stdout is not None  # noqa: S101 - it is a pipe
                told = words.stdout.read(_MOST_TOLD)
                words.stdout.close()  # whoever says more is not listened to
                code = words.wait()
            log.seek(0)
            failed = log.read(_MOST_TOLD).decode(errors="replace")
        if late.is_set():
            raise DeviceError(f"{self.uri} did not answer within {LOOK_S} s; see whether it is busy.")
        if code:
            raise DeviceError(self.explain(failed, code))
        try:
            return from_jsonable(Look, json.loads(told), where=f"What {self.uri} says of itself")
        except (ValueError, RecursionError):
            raise DeviceError(f"{self.uri} says of itself what is no JSON: {told[:60]!r}; try again.") from None

    def explain(self, told: str, code: int | None) -> str:
        """One sentence for what the device's side said before it ended."""
        return explain_working(self.uri, self.connection.python, told, code)

    def _disconnected(self) -> None:
        self._connection = None

    def _link(self) -> PipeLink:
        command = self.connection.command(*start_arguments(self.connection.python))
        return SSHLink(command, device=self.uri, explain=self.explain)


class SSHLink(PipeLink):
    """A link whose device can be given what it lacks by a command."""

    def __init__(self, command: Sequence[str], *, device: str, explain: Explain) -> None:
        super().__init__(command, device=device, explain=explain)
        self._uri = device

    def call(
        self, operation: str, value: Json, arrays: Sequence[Array] = (), *, limit_s: float | None = None
    ) -> Answer:
        """As `edgekit.devices.link.Link.call`."""
        try:
            return super().call(operation, value, arrays, limit_s=limit_s)
        except MissingExtraError as error:
            missing = str(error).partition(" Run: ")[0].rstrip(".")
            raise MissingExtraError(f"{missing}; run: edgekit device provision {self._uri}") from None
