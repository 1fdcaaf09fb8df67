"""Work in a process of its own: a crash, an abort or a runaway library there is an error here, not the end.

The parent holds a `Worker` and calls operations by name; the child serves a table of functions::

    with Worker("edgekit.runtimes.probe") as worker:          # parent
        facts = worker.call("probe", {"path": "model.tflite"})

    if __name__ == "__main__":                                # child, edgekit/runtimes/probe.py
        serve({"probe": probe})

Requests and results are JSON objects, one a line. Arrays travel as ``.npy`` files in a folder that both know. Threads
of the parent may call at the same time; the child takes the calls in turn, or several at once where it serves so.
"""

import contextlib
import itertools
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import IO, Any, Self

from edgekit import errors
from edgekit.errors import MACHINE_ERRORS, EdgekitError
from edgekit.files import scratch_folder

Json = dict[str, Any]
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all); all = 0 where it is unknown."""

Operation = Callable[[Json, Progress], Json]


_TRACEBACK = "Traceback (most recent call last):"


def silent(_what: str, _done: int, _total: int) -> None:
    """The `Progress` that shows nothing."""


class WorkerCrashError(EdgekitError):
    """The child ended without an answer: killed by a signal, out of memory, or too slow."""


class Worker:
    """A child process running ``python -m module``; use it as a context manager, so that it never outlives its user."""

    def __init__(self, module: str, *, env: Mapping[str, str] | None = None) -> None:
        self._module = module
        self._numbers = itertools.count()
        self._calls: dict[int, queue.SimpleQueue[Json | None]] = {}
        self._lock = threading.Lock()  # of the calls that wait
        self._writing = threading.Lock()  # of the pipe to the child, which may be full: answers come in nevertheless
        self._ended = False
        self._late_s: float | None = None
        # ONNX Runtime would report to its maker what it runs, from a thread of its own beside what is measured.
        self._env = {"ORT_DISABLE_TELEMETRY": "1", **os.environ, **(env or {})}

    def __enter__(self) -> Self:
        self._folder = scratch_folder()
        # Libraries leave files behind where a child is killed, or even where it is not.
        self._env["TMPDIR"] = self._folder.name
        self._log = tempfile.TemporaryFile(dir=self._folder.name)
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=self._env,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the parent, which ends the child
        )
        self._ended, self._late_s = False, None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def call(self, operation: str, request: Json, *, progress: Progress = silent, limit_s: float | None = None) -> Json:
        """The result of ``operation``; errors of the child are raised here as what they were there.

        These are `EdgekitError`, `MemoryError`, and `OSError` of a machine that refuses, such as a full disk. A child
        that has no result after ``limit_s`` is killed, which is a `WorkerCrashError` as any other end of it.
        """
        if limit_s is None:
            return self._call(operation, request, progress)
        timer = threading.Timer(limit_s, self._over, [limit_s])
        timer.daemon = True
        timer.start()
        try:
            return self._call(operation, request, progress)
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End the child at once; calls that wait for it end with a `WorkerCrashError`."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended in between
                os.killpg(self._process.pid, signal.SIGKILL)

    def _over(self, limit_s: float) -> None:
        self._late_s = limit_s
        self.kill()

    def _call(self, operation: str, request: Json, progress: Progress) -> Json:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        number, answers = next(self._numbers), queue.SimpleQueue[Json | None]()
        with self._lock:
            if self._ended:
                raise self._crash()
            self._calls[number] = answers
        try:
            with self._writing, contextlib.suppress(BrokenPipeError):  # the reader sees the end too
                line = json.dumps({"number": number, "operation": operation, "request": request})
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            while (message := answers.get()) is not None:
                match message["kind"]:
                    case "progress":
                        progress(*message["value"])
                    case "result":
                        return dict(message["value"])
                    case "error":
                        raise _revived(message["value"])
                    case "memory":
                        raise MemoryError(message["value"])
                    case "machine":
                        raise OSError(*message["value"])
        finally:
            with self._lock:
                self._calls.pop(number, None)
        raise self._crash()

    def _read(self) -> None:
        """Hand the child's messages to the calls that wait for them; None for its end.

        What is no message is the rest of one whose writer was killed, or of a child that has gone astray.
        """
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            for line in self._process.stdout:
                message = json.loads(line)
                with self._lock:
                    waiting = self._calls.get(message["number"])  # none where the caller was interrupted
                if waiting is not None:
                    waiting.put(message)
        except (ValueError, KeyError):
            self.kill()
        finally:
            with self._lock:
                self._ended = True
                for waiting in self._calls.values():
                    waiting.put(None)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines that the child wrote to its standard error."""
        return "\n".join(self._log_text().splitlines()[-lines:])

    def _log_text(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), size, 0)  # not by seeking: the child, and other threads, share the position
        return text.decode(errors="replace")

    def _crash(self) -> WorkerCrashError:
        code = self._process.wait()
        if self._late_s is not None:
            return WorkerCrashError(f"the process of {self._module} had no result after {self._late_s:g} s")
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        # An engine that aborts says what happened in its last few lines.
        tail = " / ".join(self.log_tail().splitlines()) if code < 0 else _last_words(self._log_text())
        return WorkerCrashError(f"the process of {self._module} {how}" + (f"; its last words: {tail}" if tail else ""))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # unsent bytes of a request to a child that is gone
                    stream.close()
        self._log.close()
        self._folder.cleanup()


def _last_words(text: str) -> str:
    """The line of the exception in the last traceback of ``text``, else its last line; none that is empty."""
    lines = text.rpartition(_TRACEBACK)[2].splitlines() if _TRACEBACK in text else []
    said = next((line for line in lines if line.strip() and not line.startswith(" ")), "")
    return said or next((line for line in reversed(text.splitlines()) if line.strip()), "")


def serve(operations: Mapping[str, Operation], *, at_once: int = 1) -> None:
    """Answer the parent's requests until it closes the pipe. What libraries print to standard output goes to stderr.

    A parent that was killed has closed it too: then the process ends at once, in the middle of an operation as well.
    With ``at_once`` above 1 as many operations run beside each other, in threads.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers = _Answers(os.fdopen(os.dup(1), "w", encoding="utf-8"), operations)
    os.dup2(2, 1)
    if at_once == 1:  # in the main thread, where libraries are at home
        for line in sys.stdin:
            answers.give(json.loads(line))
        return
    with ThreadPoolExecutor(at_once) as pool:
        for line in sys.stdin:
            pool.submit(answers.give_or_end, json.loads(line))


class _Answers:
    """Runs what is asked for and writes what comes of it, a line at a time."""

    def __init__(self, stream: IO[str], operations: Mapping[str, Operation]) -> None:
        self._stream = stream
        self._operations = operations
        self._lock = threading.Lock()

    def give(self, call: Json) -> None:
        def send(kind: str, value: Any) -> None:
            with self._lock:
                self._stream.write(json.dumps({"number": call["number"], "kind": kind, "value": value}) + "\n")
                self._stream.flush()

        try:
            result = self._operations[call["operation"]](call["request"], lambda *step: send("progress", step))
        except EdgekitError as error:
            send("error", {"class": type(error).__name__, "message": str(error)})
        except MemoryError as error:
            send("memory", str(error))
        except OSError as error:
            if error.errno not in MACHINE_ERRORS:
                raise
            name = None if error.filename is None else str(error.filename)
            send("machine", [error.errno, error.strerror, name])
        else:
            send("result", result)

    def give_or_end(self, call: Json) -> None:
        """Like `give`, for threads, whose unforeseen errors would pass unheard: they end the process."""
        try:
            self.give(call)
        except BaseException:  # noqa: BLE001 - whatever it is
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)


def _end_with_parent() -> None:
    hangup = select.poll()
    hangup.register(0, 0)  # that the other end has closed is told always
    hangup.poll()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with what it has started
    os._exit(0)


def _revived(error: Json) -> EdgekitError:
    kind = getattr(errors, error["class"], EdgekitError)
    return kind(error["message"]) if issubclass(kind, EdgekitError) else EdgekitError(error["message"])
