"""A link through the standard input and output of a command, such as ``ssh``, that runs Python on the device."""

import contextlib
import itertools
import os
import queue
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import IO, Self

from edgekit.devices.agent.frames import MOST_HEADER, Array, Json, read_arrays, read_header, write_frame
from edgekit.devices.link import LIMIT_S, SLOWEST_BYTES_PER_S, Answer, revived
from edgekit.devices.parcel import START, parcel
from edgekit.errors import DataError, DeviceError

BEAT_S = 10.0
"""How often the device hears from the desk; it gives up after `edgekit.devices.agent.serve.PATIENCE_S`."""
START_S = 120.0
"""How long connecting, sending the runner and importing may take."""

Explain = Callable[[str, int | None], str]
"""From what the command wrote to standard error and its exit code, None while it runs, to one sentence."""


def start_arguments(python: str) -> list[str]:
    """The words that run the device's side with its interpreter ``python``."""
    return [python, "-c", START, parcel().sha256]


def start_words(python: str) -> str:
    """The same as a command line for a POSIX shell."""
    return shlex.join(start_arguments(python))


class PipeLink:
    """Runs ``command`` on this machine; its standard input and output lead to the device's side."""

    def __init__(self, command: Sequence[str], *, device: str, explain: Explain) -> None:
        self._command, self._device, self._explain = list(command), device, explain
        self._numbers = itertools.count()
        self._answers: queue.SimpleQueue[tuple[Json, list[Array]] | None] = queue.SimpleQueue()
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._late_s: float | None = None
        self._refused: str | None = None

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C reaches this process, which ends the device's
        )
        try:
            with self._limit(START_S):
                self._greet()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        for work in (self._read, self._beat):
            threading.Thread(target=work, daemon=True).start()
        return self

    def call(
        self, operation: str, value: Json, arrays: Sequence[Array] = (), *, limit_s: float | None = None
    ) -> Answer:
        """As `edgekit.devices.link.Link.call`."""
        with self._limit(LIMIT_S if limit_s is None else limit_s):
            return self._call(operation, value, arrays)

    def send(self, sha256: str, data: bytes) -> None:
        """As `edgekit.devices.link.Link.send`."""
        known, _ = self.call("has", {"sha256": sha256})
        if known.get("has") is not True:
            with self._limit(LIMIT_S + len(data) / SLOWEST_BYTES_PER_S):
                self._call("put", {"sha256": sha256}, more=data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._writing.acquire(timeout=1):  # held where the device takes nothing any more
            with contextlib.suppress(BrokenPipeError):  # what a device that is gone did not take
                self._stdin.close()
        else:
            self._kill()
        try:
            self._process.wait(timeout=5)  # a device that reads the end of its input ends by itself
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self._stdout.close()
        self._log.close()

    def _call(self, operation: str, value: Json, arrays: Sequence[Array] = (), more: bytes = b"") -> Answer:
        number = next(self._numbers)
        try:
            with self._writing:
                write_frame(self._stdin, {"number": number, "operation": operation, "value": value}, arrays, more)
        except (BrokenPipeError, ValueError):  # the reader has seen the end too
            pass
        answer = self._answers.get()
        if answer is None:
            raise self._lost()
        header, outputs = answer
        told = header.get("value")
        if (
            header.get("number") != number
            or header.get("kind") not in ("result", "error")
            or not isinstance(told, dict)
            or header["more"]
        ):
            raise DeviceError(f"{self._device} answers what was not asked; try again.")
        if header["kind"] == "error":
            raise revived(told, device=self._device)
        return told, outputs

    def _greet(self) -> None:
        """Send the runner where the device asks for it; afterwards what is in it answers."""
        word = self._stdout.readline(100)
        if word == b"send\n":
            packed = parcel()
            with contextlib.suppress(BrokenPipeError):
                self._stdin.write(b"%d\n" % len(packed.data) + packed.data)
                self._stdin.flush()
            word = self._stdout.readline(100)
        if word != b"ready\n":
            self._refused = word.decode(errors="replace")
            raise self._lost()

    def _read(self) -> None:
        try:
            while line := self._stdout.readline(MOST_HEADER):
                header = read_header(line)
                self._answers.put((header, read_arrays(header, self._stdout.read)))
        except (DataError, ValueError):  # of a device that has gone astray, or a stream that was closed
            self._kill()
        finally:
            self._over.set()
            self._answers.put(None)

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with contextlib.suppress(BrokenPipeError, ValueError), self._writing:
                write_frame(self._stdin, {"number": -1, "operation": "ping", "value": {}})

    @contextlib.contextmanager
    def _limit(self, limit_s: float) -> Iterator[None]:
        timer = threading.Timer(limit_s, self._late, [limit_s])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _late(self, limit_s: float) -> None:
        self._late_s = limit_s
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _lost(self) -> DeviceError:
        """Why the device does not answer."""
        if self._late_s is not None:
            self._process.wait()
            return DeviceError(f"{self._device} did not answer within {self._late_s:g} s; see whether it is busy.")
        try:
            code: int | None = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        size = os.fstat(self._log.fileno()).st_size
        told = os.pread(self._log.fileno(), min(size, 1 << 16), max(0, size - (1 << 16))).decode(errors="replace")
        return DeviceError(self._explain(f"{self._refused or ''}\n{told}".strip(), code))

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        return self._process.stdout
