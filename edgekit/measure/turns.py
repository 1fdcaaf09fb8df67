"""One at a time on every machine, in the order of asking."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any


class Turns:
    """Machines by their names, on each of which one thread works at a time; whoever waits the longest is the next."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, list[threading.Lock]] = {}

    @contextlib.contextmanager
    def on(self, machine: str) -> Iterator[None]:
        """Inside the block no other thread is in such a block with this ``machine``."""
        mine = threading.Lock()
        mine.acquire()
        waiting = self._waiting.setdefault(machine, [])
        try:
            with self._guard:
                waiting.append(mine)
                first = waiting[0] is mine
            if not first:
                mine.acquire()  # until the one before lets go
            yield
        finally:
            with self._guard:
                if mine in waiting:  # an interrupt may have come before
                    was_first = waiting[0] is mine
                    waiting.remove(mine)
                    if was_first and waiting:
                        waiting[0].release()


def machine_of(host: Mapping[str, Any], name: str) -> str:
    """What tells the machine with the facts ``host`` from others: a container on it is no other; else its ``name``."""
    return str(host.get("boot_id") or name)
