"""Objects that keep their number from frame to frame."""

import math
from functools import partial
from typing import Any

import numpy as np

from edgekit.demos.frames import Frame
from edgekit.errors import InputError, need
from edgekit.tasks.heads import Detections

LOST_AFTER_S = 1.0
"""An object that was not seen for so long gets a new number: ByteTrack's 30 frames at 30 Hz (Zhang et al. 2022)."""


class Tracker:
    """ByteTrack of the package `edgefirst-tracker`, which needs numpy alone and has wheels for a Raspberry Pi.

    Every object with a score from ``least_score`` on may begin a track.
    """

    def __init__(self, least_score: float) -> None:
        library = need("edgefirst.tracker", extra="track")
        self._anew = partial(library.ByteTrack, high_conf=least_score, lifespan_ns=round(LOST_AFTER_S * 1e9))
        self._tracker: Any = None
        self._first_s, self._last_s = 0.0, -math.inf
        self._numbers: dict[str, int] = {}

    def follow(self, found: Detections, frame: Frame) -> tuple[int | None, ...]:
        """The number of each of the objects ``found`` in ``frame``, from 1 on; None for one that is not followed."""
        if frame.time_s is None:
            raise InputError(f"{frame.name} is a photo, in which nothing moves; leave --track out.")
        if not 0 <= frame.time_s - self._last_s <= LOST_AFTER_S:
            # By itself it forgets objects only in frames without them, and it takes no time before its first one.
            self._tracker, self._first_s = self._anew(), frame.time_s
        self._last_s = frame.time_s
        boxes = np.ascontiguousarray(found.boxes, np.float32)
        scores = np.ascontiguousarray(found.scores, np.float32)
        labels = found.classes.astype(np.uintp)  # the one type that it takes
        tracks = self._tracker.update(boxes, scores, labels, round((frame.time_s - self._first_s) * 1e9))
        return tuple(
            None if track is None else self._numbers.setdefault(track.uuid, len(self._numbers) + 1) for track in tracks
        )
