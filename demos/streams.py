"""Streams over a network, which come back after they were lost."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgekit.demos.captures import opencv, pictures, stopwatch
from edgekit.demos.frames import Frame, LostSourceError, Tell
from edgekit.errors import InputError
from edgekit.urls import without_secrets

LONGEST_WAIT_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What FFmpeg plays from ``url``: MJPEG over HTTP, RTSP; and a clip on a server, none of whose frames is left out.

    A stream that gives nothing for ``silence_s`` is lost. It is opened again after ``first_wait_s``, then after twice
    as long, and so on, until it gave nothing for ``patience_s``.
    """

    url: str
    silence_s: float = 5.0
    first_wait_s: float = 0.5
    patience_s: float = 60.0
    moving = True
    live = True

    @property
    def name(self) -> str:
        """The address without passwords."""
        return without_secrets(self.url)

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame]:
        """As `Source.frames`."""
        clock = stopwatch()
        last_s: float | None = None
        wait_s, lost = self.first_wait_s, False
        while not stop.is_set():
            capture, endless = self._opened()
            try:
                for frame in pictures(capture, self.name, stop, clock=clock if endless else None):
                    if lost:
                        tell(f"{self.name} is back.")
                    last_s, wait_s, lost = time.monotonic(), self.first_wait_s, False
                    yield frame
            finally:
                capture.release()
            if stop.is_set() or (last_s is not None and not endless):
                return
            if last_s is None:
                raise InputError(
                    f"There is no stream at {self.name}; see whether the address is right and can be reached from here."
                )
            if time.monotonic() - last_s + wait_s > self.patience_s:
                raise LostSourceError(
                    f"{self.name} was lost and did not come back within {self.patience_s:g} s; see what became of it."
                )
            tell(f"{self.name} {'is not back' if lost else 'was lost'}; trying again in {wait_s:g} s.")
            lost = True
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _opened(self) -> tuple[Any, bool]:
        """The stream, and whether it has no end that it knows of."""
        cv2 = opencv()
        limit_ms = round(self.silence_s * 1000)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
        capture = cv2.VideoCapture(self.url, cv2.CAP_FFMPEG, limits)
        return capture, not (capture.isOpened() and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)
