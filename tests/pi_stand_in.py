"""A Raspberry Pi for tests, reached by real SSH; where it cannot be had, the test is skipped with the reason."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from aarch64.pi import Pi, pi, wait
from aarch64.places import UnavailableError

__all__ = ["Pi", "UnavailableError", "pi", "start_pi", "wait"]


@contextmanager
def start_pi(*, with_engines: bool = False, home_bytes: int = 512 << 20) -> Iterator[Pi]:
    """A Pi of the test's own; it is built first, in a quarter of a minute, where that has not been done."""
    with ExitStack() as stack:
        try:
            board = stack.enter_context(pi(with_engines=with_engines, home_bytes=home_bytes))
        except UnavailableError as error:
            pytest.skip(str(error))
        yield board
