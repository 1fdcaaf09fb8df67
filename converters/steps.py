"""Running the steps of a conversion, from several threads too: a failure names its step, and each is timed."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from edgekit.errors import ConversionError
from edgekit.workers import WorkerCrashError

P = ParamSpec("P")
R = TypeVar("R")


class Steps:
    """Runs functions as named steps and keeps their durations.

    What the user can mend (bad input, bad data, a check that said no) passes unchanged: its sentence stands by itself.
    """

    def __init__(self) -> None:
        self._done: dict[str, float] = {}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by step, in the order in which they ended."""
        return dict(self._done)

    def run(self, name: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The value of ``function``; a crash or failure inside it becomes a `ConversionError` that names ``name``."""
        start = time.perf_counter()
        try:
            value = function(*args, **kwargs)
        except (ConversionError, WorkerCrashError) as error:
            raise ConversionError(f"The step {name!r} failed: {error}") from error
        self._done[name] = time.perf_counter() - start
        return value
