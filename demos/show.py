"""The part of a demo that people see: frames are drawn, saved and shown, and keys are heard."""

import time
from collections import Counter, deque
from pathlib import Path

from edgekit.demos.canvas import Canvas
from edgekit.demos.frames import Pixels, Source, Tell, Unreadable
from edgekit.demos.pipeline import Drained, looking
from edgekit.demos.report import DemoReport
from edgekit.demos.saving import Save, snapshot
from edgekit.demos.seen import Look, Seen
from edgekit.demos.timings import Pace, Timings
from edgekit.demos.views import Key, View

TOLD_EVERY_S = 1.0
KEPT = 10_000
"""Rows that are kept of a moving source, the newest ones: almost three hours."""
TICK_S = 0.05
"""So often keys are looked for where no frame comes."""


class Show:
    """Takes what was seen until the frames, ``max_frames`` or the viewer's patience end.

    It works in the thread that calls, as windows want it; capture and inference go on in theirs.
    """

    def __init__(self, *, source: Source, view: View, save: Save, tell: Tell, max_frames: int | None) -> None:
        self.timings = Timings()
        self._source, self._view, self._save, self._tell = source, view, save, tell
        self._max_frames = max_frames
        self._kept: deque[Seen] = deque(maxlen=KEPT if source.moving else None)
        self._unreadable: list[Unreadable] = []
        self._counts: Counter[str] = Counter()
        self._dropped = 0
        self._pace = Pace()
        self._draw_ms = 0.0
        self._picture: Pixels | None = None
        self._paused = self._over = self._next = False
        self._resumed_s = self._due_s = 0.0

    def run(self, look: Look) -> None:
        """Show all that ``look`` sees."""
        with looking(self._source, look, self._tell) as lane:
            while not self._over:
                self._hear(TICK_S if self._paused else 0.0)
                try:  # paused too: a camera that has gone would never be noticed
                    thing = lane.take(TICK_S)
                except Drained:
                    break
                finally:
                    self._dropped = lane.dropped
                if isinstance(thing, Seen):
                    self._take(thing)
                elif thing is not None:
                    self._unreadable.append(thing)

    def report(self, look: Look, *, trouble: str | None, interrupted: bool) -> DemoReport:
        """What there is to tell."""
        return DemoReport(
            look=look,
            source=self._source.name,
            moving=self._source.moving,
            seen=tuple(self._kept),
            counts=self._counts,
            timings=self.timings,
            dropped=self._dropped,
            unreadable=tuple(self._unreadable),
            trouble=trouble,
            interrupted=interrupted,
        )

    def _take(self, seen: Seen) -> None:
        frame, split = seen.frame, seen.split
        if frame.live and (self._paused or frame.taken_s < self._resumed_s):  # it came while nobody wanted it
            return
        self._await(seen)
        if self._over:
            return
        begin_s = time.perf_counter()
        canvas = Canvas(frame.pixels)
        seen.answer.draw(canvas)
        stages_ms = (frame.capture_ms, split.pre, split.infer, split.decode)
        if self._source.moving:
            canvas.note(*self._pace.note((*stages_ms, self._draw_ms)))
        self._picture = canvas.pixels
        self._save(self._picture, frame)
        self._view.show(self._picture, self._pace.fps)
        shown_s = time.perf_counter()
        self._draw_ms = (shown_s - begin_s) * 1000
        end_to_end_ms = (shown_s - max(frame.taken_s, self._resumed_s)) * 1000
        self.timings.add((*stages_ms, self._draw_ms, end_to_end_ms), self._pace.tick())
        self._note(seen)
        self._over = self.timings.count == self._max_frames
        if self._view.watched and not self._source.moving:
            self._hold()

    def _note(self, seen: Seen) -> None:
        """Count what was seen; keep and tell it where a second has gone since this was done last."""
        self._counts.update(seen.answer.counted)
        now_s, last_s = seen.frame.time_s, self._kept[-1].frame.time_s if self._kept else None
        if now_s is None or last_s is None or now_s - last_s >= TOLD_EVERY_S:
            self._kept.append(seen.without_pixels())
            if now_s is not None:
                self._tell(f"{now_s:7.1f} s  {seen.answer.words}")

    def _await(self, seen: Seen) -> None:
        """Wait until a frame of a clip is due where somebody looks: a clip goes no faster than it went in life."""
        if not self._view.watched or not self._source.moving or seen.frame.live:
            return
        now_s = time.perf_counter()
        self._due_s = max(now_s, self._due_s + 1 / seen.frame.rate_hz)
        while not self._over and (self._paused or now_s < self._due_s):
            self._hear(TICK_S if self._paused else min(TICK_S, self._due_s - now_s))
            now_s = time.perf_counter()

    def _hold(self) -> None:
        """Leave a photo where it is until a key asks for the next one."""
        self._next = False
        while not self._over and not self._next:
            self._hear(TICK_S)
        self._waited()

    def _hear(self, wait_s: float) -> None:
        """Do what the viewer's keys ask for; wait for one up to ``wait_s``."""
        for key in self._view.keys(wait_s):
            match key:
                case Key.STOP:
                    self._over = True
                case Key.PAUSE if self._source.moving:
                    self._paused = not self._paused
                    self._waited()
                case Key.SAVE if self._picture is not None:
                    try:
                        self._tell(f"Saved {snapshot(self._picture, Path())}.")
                    except OSError as error:
                        self._tell(f"The picture cannot be saved in this folder: {error.strerror}.")
                case Key.PAUSE | Key.NEXT:
                    self._next = True

    def _waited(self) -> None:
        """Let the time that a viewer took be nobody's."""
        self._resumed_s = self._due_s = time.perf_counter()
        self._pace.forget()
