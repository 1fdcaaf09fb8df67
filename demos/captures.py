"""Clips and cameras, as OpenCV reads them."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.demos.frames import USUAL_RATE_HZ, Frame, LostSourceError, Tell
from edgekit.errors import DataError, InputError, need

CLIPS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
MOST_RATE_HZ = 1000.0
WHOLE = 0.9
"""A clip that ends before this part of what it says it holds was cut off; some containers can only estimate that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A file with moving pictures; none of them is left out."""

    path: Path
    moving = True
    live = False

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame]:  # noqa: ARG002 - as `Source.frames`
        """As `Source.frames`."""
        cv2 = opencv()
        capture = cv2.VideoCapture(str(self.path))
        try:
            if not capture.isOpened():
                raise DataError(
                    f"{self.name} cannot be decoded as a clip; expected one that ends in {', '.join(CLIPS)}."
                )
            empty = True
            for frame in pictures(capture, self.name, stop):
                empty = False
                yield frame
            if empty and not stop.is_set():
                raise DataError(f"{self.name} gave no picture; give another clip.")
        finally:
            capture.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera by its number."""

    number: int
    moving = True
    live = True

    @property
    def name(self) -> str:
        """Which one it is."""
        return f"camera {self.number}"

    def frames(self, stop: threading.Event, tell: Tell) -> Iterator[Frame]:  # noqa: ARG002 - as `Source.frames`
        """As `Source.frames`."""
        cv2 = opencv()
        capture = cv2.VideoCapture(self.number)
        try:
            if not capture.isOpened():
                raise InputError(
                    f"There is no {self.name}, or another program has it; give another number, "
                    "or a photo, folder, clip or stream."
                )
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            empty = True
            for frame in pictures(capture, self.name, stop, clock=stopwatch()):
                empty = False
                yield frame
            if not stop.is_set():
                raise gone(self.name, empty=empty)
        finally:
            capture.release()


def gone(name: str, *, empty: bool) -> DataError:
    """What is told of a camera that gives nothing any more, or that gave nothing at all where ``empty``."""
    if empty:
        return DataError(f"{name} gave no picture; give another one.")
    return LostSourceError(f"{name} gives no more pictures; see whether it is still plugged in.")


def stopwatch() -> Callable[[], float]:
    """A clock that starts when it is read for the first time."""
    first_s: float | None = None

    def read_s() -> float:
        nonlocal first_s
        now_s = time.monotonic()
        first_s = now_s if first_s is None else first_s
        return now_s - first_s

    return read_s


def opencv() -> Any:
    """OpenCV without its own messages, which say nothing to a user and may hold a password."""
    cv2 = need("cv2", extra="camera")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when a clip is opened
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def pictures(
    capture: Any, name: str, stop: threading.Event, *, clock: Callable[[], float] | None = None
) -> Iterator[Frame]:
    """What an open ``capture`` gives until it gives nothing any more, or ``stop`` is set.

    Live pictures are timed by ``clock``, those of a file by what it says. `LostSourceError` where a file was cut off.
    """
    cv2 = opencv()
    rate_hz = float(capture.get(cv2.CAP_PROP_FPS))
    if not 0 < rate_hz <= MOST_RATE_HZ:
        rate_hz = USUAL_RATE_HZ
    number, time_s = 0, 0.0
    while not stop.is_set():
        start_s = time.perf_counter()
        taken, pixels = capture.read()
        if not taken:
            promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            if clock is None and 0 < max(number, time_s * rate_hz) < WHOLE * promised:
                raise LostSourceError(f"{name} breaks off after {number} of {promised} frames; give the whole clip.")
            return
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        taken_s = time.perf_counter()
        if clock is None:
            told_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            time_s = told_s if told_s > 0 else number / rate_hz  # a bare row of JPEGs tells no times
        else:
            time_s = clock()
        number += 1
        yield Frame(
            name=name,
            pixels=pixels,
            time_s=time_s,
            rate_hz=rate_hz,
            live=clock is not None,
            capture_ms=(taken_s - start_s) * 1000,
            taken_s=taken_s,
        )
