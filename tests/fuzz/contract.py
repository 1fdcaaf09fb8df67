"""The promise of a reader on any bytes: it returns or raises an `EdgekitError` of one line, in bounded time, memory."""

import contextlib
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from edgekit.errors import EdgekitError

TIME_S = 20.0
MEMORY_BYTES = 1 << 30
"""What one call may take beside what the process has: the inputs are of a few kilobytes."""

Reader = Callable[[Path], object]


class OverTimeError(BaseException):
    """The reader did not end in time; no reader can catch it by mistake."""


def broken_promise(reader: Reader, path: Path, *, time_s: float = TIME_S) -> str | None:
    """None when ``reader`` keeps its promise on the file ``path``, else what happened instead, with the traceback."""
    try:
        with _memory(MEMORY_BYTES), _time(time_s):  # the alarm must not keep the limit of memory from being lifted
            reader(path)
    except EdgekitError as error:
        lines = str(error).splitlines()
        return None if len(lines) == 1 and lines[0].strip() else f"an error of {len(lines)} lines: {error!r}"
    except OverTimeError:
        return f"no end within {time_s} s\n{traceback.format_exc()}"
    except Exception:  # noqa: BLE001 - whatever else it is, it is what is looked for
        return traceback.format_exc()
    return None


@contextlib.contextmanager
def _time(time_s: float) -> Iterator[None]:
    def over(_signum: int, _frame: FrameType | None) -> None:
        raise OverTimeError

    before = signal.signal(signal.SIGALRM, over)
    try:
        signal.setitimer(signal.ITIMER_REAL, time_s)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _memory(more_bytes: int) -> Iterator[None]:
    """Only Linux tells and keeps the size of a process; elsewhere there is no bound."""
    if sys.platform != "linux":
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + more_bytes
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
