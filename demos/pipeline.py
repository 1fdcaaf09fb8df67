"""Capture and inference in threads of their own, so that they work at the same time as drawing and display do.

    source --- captured ---> look --- seen ---> whoever draws

Live sources go on while the model is at work: of theirs only the newest frame waits. Of files none is left out, and few
wait, so that memory stays flat. Whatever ends one thread ends the others; an error comes out where frames are taken.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from edgekit.demos.frames import Frame, Source, Tell, Unreadable
from edgekit.demos.seen import Look, Seen

Thing = TypeVar("Thing")

ROOM = 2
"""Things that wait between two threads: one more than is being taken, so that neither waits for the other's turn."""
ENDING_S = 1.0
"""For so long a thread is waited for at the end; one that hangs in a library, as on a silent network, is left alone."""


class Drained(Exception):
    """Nothing more will come."""


class Lane(Generic[Thing]):
    """Things in order from one thread to the next one."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._things: deque[Thing] = deque()
        self._changed = threading.Condition()
        self._closed = self._abandoned = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, thing: Thing, *, newest: bool = False) -> bool:
        """Add ``thing`` once there is room, or in place of all that wait where it is the ``newest``.

        False when nobody takes anything any more.
        """
        with self._changed:
            if newest:
                self.dropped += len(self._things)
                self._things.clear()
            else:
                self._changed.wait_for(lambda: len(self._things) < self._room or self._abandoned)
            if self._abandoned:
                return False
            self._things.append(thing)
            self._changed.notify_all()
            return True

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more comes; ``error``, where that is why, is raised when the rest has been taken."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that nothing more is taken."""
        with self._changed:
            self._abandoned = True
            self._things.clear()
            self._changed.notify_all()

    def take(self, wait_s: float | None = None) -> Thing | None:
        """The next thing; None where none came within ``wait_s``. `Drained` at the end, or the error that made it."""
        with self._changed:
            self._changed.wait_for(lambda: self._things or self._closed or self._abandoned, wait_s)
            if self._things:
                thing = self._things.popleft()
                self._changed.notify_all()
                return thing
            if self._error is not None:
                raise self._error
            if self._closed or self._abandoned:
                raise Drained
            return None


@contextlib.contextmanager
def looking(source: Source, look: Look, tell: Tell) -> Iterator[Lane[Seen | Unreadable]]:
    """What ``look`` sees in the frames of ``source``, while the block lasts; its ``dropped`` counts those left out."""
    stop = threading.Event()
    captured: Lane[Frame | Unreadable] = Lane()
    seen: Lane[Seen | Unreadable] = Lane()
    threads = [
        threading.Thread(target=_capture, args=(source, captured, stop, tell), name="capture", daemon=True),
        threading.Thread(target=_look, args=(look, captured, seen), name="inference", daemon=True),
    ]
    try:
        for thread in threads:
            thread.start()
        yield seen
    finally:
        stop.set()
        captured.abandon()
        seen.abandon()
        end_s = time.monotonic() + ENDING_S
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))


def _capture(source: Source, out: Lane[Frame | Unreadable], stop: threading.Event, tell: Tell) -> None:
    try:
        for thing in source.frames(stop, tell):
            if not out.put(thing, newest=isinstance(thing, Frame) and thing.live):
                break
    except BaseException as error:  # noqa: BLE001 - raised anew in the thread that takes
        out.close(error)
    else:
        out.close()


def _look(look: Look, frames: Lane[Frame | Unreadable], out: Lane[Seen | Unreadable]) -> None:
    try:
        while True:
            frame = frames.take()
            out.dropped = frames.dropped
            if isinstance(frame, Frame):
                answer, split = look(frame)
                size = (frame.pixels.shape[0], frame.pixels.shape[1])
                going = out.put(Seen(frame=frame, answer=answer, split=split, image_hw=size))
            else:
                going = frame is None or out.put(frame)
            if not going:
                break
    except Drained:
        out.close()
    except BaseException as error:  # noqa: BLE001 - raised anew in the thread that takes
        out.close(error)
