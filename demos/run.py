"""A demo from its options to its report."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.demos.drawing import labelled, saving, window
from edgekit.demos.frames import find_source, frames
from edgekit.demos.seen import Look, Seen

TOLD_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is shown, where, and for how many ``frames`` (none: all). ``view`` is "auto", "window" or "none"."""

    source: str
    view: str = "auto"
    save: Path | None = None
    frames: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What was seen: of photos each one; of a moving source in how many frames each name was."""

    look: Look
    moving: bool
    seen: tuple[Seen, ...]
    counts: Counter[str]
    latencies_ms: tuple[float, ...]

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each photo, or for the first frame of each second."""
        return [{**self.look.subject.describe(), **seen.to_json()} for seen in self.seen]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        p50, p90 = np.percentile(self.latencies_ms, [50, 90])
        count, subject = len(self.latencies_ms), self.look.subject
        title = (
            f"{subject.given} on {subject.engine}: {count} {'frames' if self.moving else 'photos'}, "
            f"p50 {p50:.1f} ms, p90 {p90:.1f} ms with preprocessing"
        )
        if self.moving:
            rows = [[name, f"{n / count:.1%}"] for name, n in self.counts.most_common(10)]
            return title, [self.look.columns[0], self.look.share], rows
        nothing = ["nothing", *[""] * (len(self.look.columns) - 1)]
        rows = [
            [seen.frame.name if row == 0 else "", *cells]
            for seen in self.seen
            for row, cells in enumerate(seen.answer.rows(seen.image_hw) or [nothing])
        ]
        return title, ["photo", *self.look.columns], rows


def run_demo(look: Look, options: Options, *, tell: Callable[[str], None]) -> DemoReport:
    """Show what ``look`` sees until the source, the frames or the viewer's patience end; Ctrl-C too."""
    source = find_source(options.source)
    kept: list[Seen] = []
    counts: Counter[str] = Counter()
    latencies_ms: list[float] = []
    wanted = {"auto": None, "window": True, "none": False}[options.view]
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(window(f"edgekit: {look.subject.given.name}", wanted=wanted))
        save = stack.enter_context(saving(options.save, source, force=options.force))
        with contextlib.suppress(KeyboardInterrupt) if source.moving else contextlib.nullcontext():
            for frame in frames(source):
                start = time.perf_counter()
                answer = look(frame)
                latency_ms = (time.perf_counter() - start) * 1000
                size = (frame.pixels.shape[0], frame.pixels.shape[1])
                seen = Seen(frame=frame, answer=answer, latency_ms=latency_ms, image_hw=size)
                pixels = labelled(seen)
                save(pixels, seen)
                counts.update(answer.counted)
                latencies_ms.append(latency_ms)
                now_s = frame.time_s
                last_s = kept[-1].frame.time_s if kept else None
                if now_s is None or last_s is None or now_s - last_s >= TOLD_EVERY_S:
                    kept.append(seen.without_pixels())
                    if now_s is not None:
                        tell(f"{now_s:7.1f} s  {answer.words}")
                if not show(pixels, seen) or len(latencies_ms) == options.frames:
                    break
    if not latencies_ms:  # interrupted before the first frame
        raise KeyboardInterrupt
    return DemoReport(
        look=look, moving=source.moving, seen=tuple(kept), counts=counts, latencies_ms=tuple(latencies_ms)
    )
