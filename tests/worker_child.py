"""The child of test_workers.py: python worker_child.py serves operations that go wrong in every way."""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from typing import Any

from edgekit.errors import DataError
from edgekit.workers import Json, Progress, serve


def echo(request: Json, progress: Progress) -> Json:
    progress("echoing", 1, 2)
    progress("echoing", 2, 2)
    return request


def chatter(request: Json, progress: Progress) -> Json:
    for step in range(200):
        progress("x" * 5_000, step, 200)
    return request


def garble(_request: Json, _progress: Progress) -> Json:
    for number in range(3, 20):  # one of them is the pipe to the parent
        with contextlib.suppress(OSError):
            os.write(number, b"no message\n")
    time.sleep(60)
    return {}


def refuse(request: Json, _progress: Progress) -> Json:
    raise DataError(f"No {request['what']} here.")


def noise(request: Json, _progress: Progress) -> Json:
    sys.stdout.write("noise from Python\n")
    sys.stdout.flush()
    os.write(1, b"noise from C\n")
    return request


def kill(_request: Json, _progress: Progress) -> Json:
    sys.stderr.write("about to fall\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)  # another thread may take the signal
    return {}


def leave(_request: Json, _progress: Progress) -> Json:
    os._exit(3)


def sleep(request: Json, _progress: Progress) -> Json:
    time.sleep(request["seconds"])
    return {}


def leave_file(_request: Json, _progress: Progress) -> Json:
    number, path = tempfile.mkstemp()
    os.close(number)
    return {"path": path}


def environment(_request: Json, _progress: Progress) -> Json:
    return dict(os.environ)


def stumble(request: Json, _progress: Progress) -> Any:
    raise ZeroDivisionError(request.get("words", "a bug"))


def meet(_request: Json, _progress: Progress) -> Json:
    """Ends when two calls are here at the same time."""
    return {"place": _MEETING.wait(timeout=30)}


_MEETING = threading.Barrier(2)

if __name__ == "__main__":
    serve(
        {
            "meet": meet,
            "echo": echo,
            "chatter": chatter,
            "garble": garble,
            "refuse": refuse,
            "noise": noise,
            "kill": kill,
            "leave": leave,
            "leave_file": leave_file,
            "sleep": sleep,
            "environment": environment,
            "stumble": stumble,
        },
        at_once=int(os.environ.get("CALLS_AT_ONCE", "1")),
    )
