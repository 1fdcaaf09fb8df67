"""A demo from its options to its report."""

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.demos.classify import Seen, classify, open_classifier
from edgekit.demos.drawing import labelled, saving, window
from edgekit.demos.frames import find_source
from edgekit.measure.subjects import Subject

TOLD_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is shown, where, and for how many ``frames`` (none: all). ``view`` is "auto", "window" or "none"."""

    source: str
    top: int = 5
    view: str = "auto"
    save: Path | None = None
    frames: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyReport:
    """What was seen: of photos each one; of a moving source how often each class came first."""

    subject: Subject
    moving: bool
    seen: tuple[Seen, ...]
    counts: Counter[str]
    latencies_ms: tuple[float, ...]

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each photo, or for the first frame of each second."""
        return [{**self.subject.describe(), **seen.to_json()} for seen in self.seen]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        p50, p90 = np.percentile(self.latencies_ms, [50, 90])
        count = len(self.latencies_ms)
        title = (
            f"{self.subject.given} on {self.subject.engine}: {count} {'frames' if self.moving else 'photos'}, "
            f"p50 {p50:.1f} ms, p90 {p90:.1f} ms with preprocessing"
        )
        if self.moving:
            rows = [[name, f"{n / count:.1%}"] for name, n in self.counts.most_common(10)]
            return title, ["class", "frames in which it is the best"], rows
        rows = [
            [seen.frame.name if row == 0 else "", guess.title, f"{guess.class_id}", f"{guess.probability:.4f}"]
            for seen in self.seen
            for row, guess in enumerate(seen.top)
        ]
        return title, ["photo", "class", "id", "probability"], rows


def run_classify(
    file: Path,
    options: Options,
    *,
    preprocess: str | None,
    labels: tuple[str, ...] | None,
    threads: int,
    engine: str | None,
    tell: Callable[[str], None],
) -> ClassifyReport:
    """Show what the classifier ``file`` sees until the source, the frames or the viewer's patience end; Ctrl-C too."""
    source = find_source(options.source)
    subject = open_classifier(file, preprocess=preprocess, labels=labels, threads=threads, engine=engine)
    kept: list[Seen] = []
    counts: Counter[str] = Counter()
    latencies_ms: list[float] = []
    wanted = {"auto": None, "window": True, "none": False}[options.view]
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(window(f"edgekit: {file.name}", wanted=wanted))
        save = stack.enter_context(saving(options.save, source, force=options.force))
        with contextlib.suppress(KeyboardInterrupt) if source.moving else contextlib.nullcontext():
            for seen in classify(subject, source, top=options.top):
                pixels = labelled(seen)
                save(pixels, seen)
                counts[seen.top[0].title] += 1
                latencies_ms.append(seen.latency_ms)
                now_s = seen.frame.time_s
                last_s = kept[-1].frame.time_s if kept else None
                if now_s is None or last_s is None or now_s - last_s >= TOLD_EVERY_S:
                    kept.append(seen.without_pixels())
                    if now_s is not None:
                        tell(f"{now_s:7.1f} s  {seen.words}")
                if not show(pixels, seen) or len(latencies_ms) == options.frames:
                    break
    if not latencies_ms:  # interrupted before the first frame
        raise KeyboardInterrupt
    return ClassifyReport(
        subject=subject, moving=source.moving, seen=tuple(kept), counts=counts, latencies_ms=tuple(latencies_ms)
    )
