"""One at a time on a machine, in the order of asking."""

import subprocess
import sys
import threading
import time

import pytest

from edgekit.measure.turns import Turns


def test_whoever_waits_longest_for_a_machine_is_the_next() -> None:
    turns, order, queued = Turns(), [], threading.Semaphore(0)

    def work(number: int) -> None:
        queued.release()
        with turns.on("pi"):
            order.append(number)

    with turns.on("pi"), turns.on("another"):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for number, thread in enumerate(threads, 2):
            thread.start()
            queued.acquire()
            while len(turns._waiting["pi"]) < number:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
    assert turns._waiting == {"pi": [], "another": []}


INTERRUPTED_WAIT = """
import signal, threading, time
from edgekit.measure.turns import Turns

signal.signal(signal.SIGINT, signal.default_int_handler)  # as a terminal's Ctrl-C, whoever started this
turns, held, over = Turns(), threading.Event(), threading.Event()

def hold():
    with turns.on("pi"):
        held.set()
        over.wait()

def interrupt():
    while len(turns._waiting["pi"]) < 2:
        time.sleep(0.001)
    time.sleep(0.05)  # until the main thread is asleep
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

holder = threading.Thread(target=hold, daemon=True)
holder.start()
held.wait()
for _ in range(2):
    interrupting = threading.Thread(target=interrupt, daemon=True)
    interrupting.start()
    try:
        with turns.on("pi"):
            raise AssertionError("The machine was given to two at once.")
    except KeyboardInterrupt:
        interrupting.join()
over.set()
holder.join()
with turns.on("pi"):
    print("waiting:", len(turns._waiting["pi"]))
"""


def test_whoever_gives_up_waiting_disturbs_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WAIT], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "waiting: 1\n", "")


@pytest.mark.parametrize("when", ["__enter__", "__exit__"])
def test_an_interrupt_at_the_entrance_leaves_no_place_in_the_queue(when: str) -> None:
    turns = Turns()
    guard = turns._guard

    class Interrupted:
        def __enter__(self) -> None:
            self._at("__enter__")
            guard.acquire()

        def __exit__(self, *_: object) -> None:
            guard.release()
            self._at("__exit__")

        def _at(self, place: str) -> None:
            if when == place:
                turns._guard = guard  # once
                raise KeyboardInterrupt

    turns._guard = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt), turns.on("pi"):
        pytest.fail("Nobody was let in.")
    assert turns._waiting == {"pi": []}  # else the next one would wait for ever
    with turns.on("pi"):
        assert len(turns._waiting["pi"]) == 1
