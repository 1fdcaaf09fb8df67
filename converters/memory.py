"""Memory that a step has used and no longer needs, given back before the next one asks for its own."""

import ctypes
import gc


def give_back() -> None:
    """Collect what only refers to itself, as graphs do, and return free pages to the system where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
