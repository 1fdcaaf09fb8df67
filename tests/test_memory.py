"""Memory that a step no longer needs is given back while others run."""

import gc
import time
import weakref

from edgekit.converters.memory import collecting, give_back


class Loop:
    """What only refers to itself: nothing frees it but a collection."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_that_refers_to_itself_is_given_back() -> None:
    gc.disable()
    try:
        kept = weakref.ref(Loop())
        assert kept() is not None
        give_back()
        assert kept() is None
    finally:
        gc.enable()


def test_garbage_is_given_back_while_a_step_still_runs() -> None:
    gc.disable()
    try:
        with collecting(every_s=0.01):
            kept, end = weakref.ref(Loop()), time.monotonic() + 30
            while kept() is not None:
                assert time.monotonic() < end
                time.sleep(0.01)
        later = weakref.ref(Loop())
        time.sleep(0.1)
        assert later() is not None  # and no longer than that
    finally:
        gc.enable()
