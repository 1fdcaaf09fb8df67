"""Memory that a step has used and no longer needs, given back before the next one asks for its own."""

import contextlib
import ctypes
import gc
import threading
from collections.abc import Iterator


def give_back() -> None:
    """Collect what only refers to itself, as graphs do, and return free pages to the system where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)


@contextlib.contextmanager
def collecting(every_s: float = 0.5) -> Iterator[None]:
    """Give back what becomes garbage inside the block while it runs."""
    over = threading.Event()

    def collect() -> None:
        while not over.wait(every_s):
            give_back()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
