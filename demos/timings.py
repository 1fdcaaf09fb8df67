"""How long each stage of each frame took, in a memory that does not grow."""

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

STAGES = ("capture", "pre", "infer", "decode", "draw", "end_to_end")
"""Getting the frame; preprocessing; inference; decoding of outputs; drawing, saving and showing; and from the moment at
which the frame was there to that at which it was shown, waiting between the stages included."""

KEPT = 10_000
"""Frames whose times are kept: all of shorter runs, of others a fair sample (Vitter 1985, algorithm R)."""
WINDOW_S = 1.0
"""Frames a second are told over so long."""
NOTED_EVERY_S = 0.25
"""Figures on a picture that change more often cannot be read."""


@dataclass(slots=True, kw_only=True)
class Timings:
    """Times of frames in ms by stage, and how many were shown in how many ``seconds``, pauses left out."""

    count: int = 0
    seconds: float = 0.0
    _gaps: int = 0
    _rows: list[tuple[float, ...]] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - a sample, no secret

    def add(self, row_ms: tuple[float, ...], gap_s: float | None) -> None:
        """Count a frame whose times are ``row_ms``, in the order of `STAGES`, ``gap_s`` after the last one.

        None where that was a pause, or there is no last one.
        """
        self.count += 1
        if gap_s is not None:
            self.seconds += gap_s
            self._gaps += 1
        if len(self._rows) < KEPT:
            self._rows.append(row_ms)
        elif (place := self._random.randrange(self.count)) < KEPT:
            self._rows[place] = row_ms

    @property
    def fps(self) -> float | None:
        """Frames a second from the first frame to the last one, pauses left out; None where none followed another."""
        return self._gaps / self.seconds if self.seconds > 0 else None

    def percentiles_ms(self) -> dict[str, dict[str, float]]:
        """The p50 and p99 of each stage."""
        p50, p99 = np.percentile(np.array(self._rows), [50, 99], axis=0)
        return {
            stage: {"p50": float(half), "p99": float(most)} for stage, half, most in zip(STAGES, p50, p99, strict=True)
        }


class Pace:
    """Frames a second at the moment, and the line of figures on the picture."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._shown_s: deque[float] = deque()
        self._noted_s = -NOTED_EVERY_S
        self._note: tuple[str, ...] = ()

    def tick(self) -> float | None:
        """Count a frame that was shown now; the seconds since the last one, None for the first one."""
        now_s = self._clock()
        gap_s = now_s - self._shown_s[-1] if self._shown_s else None
        self._shown_s.append(now_s)
        while now_s - self._shown_s[0] > WINDOW_S and len(self._shown_s) > 2:
            self._shown_s.popleft()
        return gap_s

    def forget(self) -> None:
        """Leave out the time until the next frame, as after a pause."""
        self._shown_s.clear()

    @property
    def fps(self) -> float | None:
        """Frames a second over the last `WINDOW_S`; None before the second frame."""
        if len(self._shown_s) < 2 or self._shown_s[-1] <= self._shown_s[0]:
            return None
        return (len(self._shown_s) - 1) / (self._shown_s[-1] - self._shown_s[0])

    def note(self, row_ms: tuple[float, ...]) -> tuple[str, ...]:
        """Frames a second and the times ``row_ms`` of all stages but the last, in words that change now and then."""
        now_s = self._clock()
        if now_s - self._noted_s >= NOTED_EVERY_S:
            self._noted_s = now_s
            fps = "-" if self.fps is None else f"{self.fps:.1f}"
            self._note = (
                f"{fps} fps",
                *(f"{stage} {ms:.1f} ms" for stage, ms in zip(STAGES[:-1], row_ms, strict=True)),
            )
        return self._note
