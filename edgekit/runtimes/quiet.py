"""Keeping what native libraries print away from the user's terminal."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Native code's standard error goes nowhere inside the block; Python's errors are raised as ever.

    Engines announce themselves there ("Created TensorFlow Lite XNNPACK delegate for CPU") and offer no switch.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
