"""Work in threads that end with whoever waits for them, and that never keep the program from ending."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

from edgekit.workers import Progress

STOPPING_S = 5.0
"""For so long all threads are waited for where the work ends early; what they run ends with this process anyway."""

T = TypeVar("T")


class _StoppedError(BaseException):
    """Ends the work of a thread that nobody waits for any more."""


def side_by_side(works: Sequence[Callable[[Progress], Iterable[T]]], *, progress: Progress) -> Generator[T]:
    """What each of ``works`` gives, as soon as it does; each is called in a thread of its own, with its progress.

    What one of them raises is raised here. That, another exception such as the one of Ctrl-C, or closing the iterator
    ends the others the next time that they tell of progress.
    """
    stop = threading.Event()
    answers: queue.SimpleQueue[tuple[T] | BaseException | None] = queue.SimpleQueue()

    def told(what: str, done: int, total: int) -> None:
        if stop.is_set():
            raise _StoppedError
        progress(what, done, total)

    def run(work: Callable[[Progress], Iterable[T]]) -> None:
        try:
            for answer in work(told):
                answers.put((answer,))
            answers.put(None)
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            answers.put(error)

    # Daemons: a device that hangs must not keep the program from ending.
    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    try:
        for thread in threads:
            thread.start()
        ended = 0
        while ended < len(threads):
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                ended += 1
            else:
                yield answer[0]
    finally:
        stop.set()
        until_s = time.monotonic() + STOPPING_S
        for thread in threads:
            if thread.ident is not None:  # an interrupt may come before it was started
                thread.join(max(0.0, until_s - time.monotonic()))
