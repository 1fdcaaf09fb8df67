"""The stopwatch: calls a function again and again and keeps the time of every call."""

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator

Clock = Callable[[], int]
"""Nanoseconds since some fixed moment."""

KEPT_PER_ROUND = 500
"""How many times of one round are kept; of more, an evenly spaced part."""


def time_calls(
    call: Callable[[], object], *, runs: int, min_duration_s: float, settle: int, clock: Clock = time.perf_counter_ns
) -> list[int]:
    """Nanoseconds of each call: at least ``runs`` of them *and* for ``min_duration_s``, after ``settle`` untimed ones.

    Python's garbage collector rests meanwhile.
    """
    times: list[int] = []
    with collector_off():
        for _ in range(settle):
            call()
        end = clock() + round(min_duration_s * 1e9)
        while len(times) < runs or clock() < end:
            start = clock()
            call()
            times.append(clock() - start)
    return times


def thinned(times: list[int], most: int = KEPT_PER_ROUND) -> list[int]:
    """Every k-th of ``times``, the smallest k that leaves at most ``most``.

    >>> thinned([1, 2, 3, 4, 5], 3)
    [1, 3, 5]
    """
    return times[:: max(1, math.ceil(len(times) / most))]


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """Collect once, then leave the garbage collector off inside the block."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
