"""The real command line, many commands in one process: what the engines run in stays in edgekit's own child processes.

Parent: ``Host().run(arguments)``. Child: ``python -m fuzz.host`` answers lines of JSON. A crash of the child is a crash
of edgekit, and is told as one.
"""

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MEMORY_BYTES = 8 << 30
"""Address space of a command and of each of its children, so that no damaged file takes the machine's memory."""
KEPT = 40
"""A host is replaced after so many commands: TensorFlow and others never give memory back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended: ``code`` is None where it did not end by itself, ``how`` says what happened then."""

    code: int | None
    stderr: str
    seconds: float
    how: str = ""


class Host:
    """A child process that runs commands, started anew when one took it down."""

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0

    def __enter__(self) -> Self:
        return self

    def run(self, arguments: list[str]) -> Outcome:
        """The outcome of one edgekit command."""
        if self._runs >= KEPT:
            self.stop()
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        start = time.monotonic()
        self._runs += 1
        try:
            process.stdin.write(json.dumps(arguments).encode() + b"\n")
            process.stdin.flush()
            line = self._answer(process)
        except BrokenPipeError:
            line = b""
        seconds = time.monotonic() - start
        if line is None:
            self.stop()
            return Outcome(code=None, stderr="", seconds=seconds, how="hang")
        if not line:
            code = process.wait()
            self.stop()
            return Outcome(code=None, stderr="", seconds=seconds, how=f"crash: the process ended with {code}")
        return Outcome(**json.loads(line), seconds=seconds)

    def _answer(self, process: "subprocess.Popen[bytes]") -> bytes | None:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], self._limit_s)
        return process.stdout.readline() if ready else None

    def _start(self) -> "subprocess.Popen[bytes]":
        self._runs = 0
        return subprocess.Popen([sys.executable, "-m", "fuzz.host"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self) -> None:
        """End the child; its own children notice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _run(arguments: list[str]) -> dict[str, Any]:
    """Code, standard error, and how it went wrong where an exception got out of the command line."""
    from edgekit.cli import main

    for kind in (signal.SIGINT, signal.SIGTERM):  # a command leaves them ignored
        signal.signal(kind, signal.default_int_handler)
    how, code = "", None
    with tempfile.TemporaryFile("w+", errors="replace") as errors, tempfile.TemporaryFile() as output:
        saved = [os.dup(1), os.dup(2)]
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException:  # noqa: BLE001 - whatever gets out is a bug
            how = f"traceback: {traceback.format_exc()}"
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, kept in zip((1, 2), saved, strict=True):
                os.dup2(kept, number)
                os.close(kept)
        errors.seek(0)
        return {"code": code, "stderr": errors.read()[-20_000:], "how": how}


def _serve() -> None:
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    if "FUZZ_CANARY" in os.environ:
        import edgekit.cli

        edgekit.cli.VERBS["canary"] = ("fuzz.canary_verb", "Go wrong.")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # nothing is meant to be written here
        for line in sys.stdin:
            answer = _run(json.loads(line))
            if left := sorted(p.name for p in Path(folder).iterdir()):
                answer["how"] = answer["how"] or f"left in the working folder: {left}"
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    _serve()
