"""What a demo tells at its end."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from edgekit.demos.frames import Unreadable
from edgekit.demos.seen import Look, Seen
from edgekit.demos.timings import STAGES, Timings

_TOLD = {"end_to_end": "end to end"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What was seen: of photos each one; of a moving source in how many frames each name was.

    ``dropped`` frames of a live source were passed over for newer ones. ``trouble`` is what ended it before the
    source's end, ``interrupted`` that somebody did not want more and said so by a signal.
    """

    look: Look
    source: str
    moving: bool
    seen: tuple[Seen, ...]
    counts: Counter[str]
    timings: Timings
    dropped: int = 0
    unreadable: tuple[Unreadable, ...] = ()
    trouble: str | None = None
    interrupted: bool = False

    @property
    def problem(self) -> str | None:
        """The sentence that says what went wrong, None where nothing did."""
        if self.trouble is None and self.unreadable:
            total = len(self.unreadable) + self.timings.count
            return f"{len(self.unreadable)} of {total} photos of {self.source} cannot be read and were left out."
        return self.trouble

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each photo, or for the first frame of each second."""
        return [{**self.look.subject.describe(), **seen.to_json()} for seen in self.seen]

    def summary(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return {
            "source": self.source,
            "frames": self.timings.count,
            "seconds": self.timings.seconds,
            "fps": self.timings.fps,
            "dropped": self.dropped,
            "counts": dict(self.counts.most_common()),
            "latency_ms": self.timings.percentiles_ms(),
            "unreadable": [{"input": each.name, "reason": each.reason} for each in self.unreadable],
            "trouble": self.problem,
            "interrupted": self.interrupted,
        }

    def tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """(title, columns, rows) for people: what was seen, and how long its stages took."""
        return [self._seen(), self._times()]

    def _seen(self) -> tuple[str, list[str], list[list[str]]]:
        count, subject, fps = self.timings.count, self.look.subject, self.timings.fps
        rule = f"; {self.look.rule}" if self.look.rule else ""
        what = "frame" if self.moving else "photo"
        title = f"{subject.given} on {subject.engine}: {count} {what}{'' if count == 1 else 's'}"
        if self.moving:
            title += f" of {self.source}" if fps is None else f" of {self.source}, {fps:.1f} frames/s"
            title += f", {self.dropped} dropped for newer ones" if self.dropped else ""
            rows = [[name, f"{n / count:.1%}"] for name, n in self.counts.most_common(10)]
            return title + rule, [self.look.columns[0], self.look.share], rows
        nothing = ["nothing", *[""] * (len(self.look.columns) - 1)]
        rows = [
            [seen.frame.name if row == 0 else "", *cells]
            for seen in self.seen
            for row, cells in enumerate(seen.answer.rows(seen.image_hw) or [nothing])
        ]
        return title + rule, ["photo", *self.look.columns], rows

    def _times(self) -> tuple[str, list[str], list[list[str]]]:
        figures = self.timings.percentiles_ms()
        rows = [[_TOLD.get(s, s), f"{figures[s]['p50']:.2f}", f"{figures[s]['p99']:.2f}"] for s in STAGES]
        return "", ["stage", "p50, ms", "p99, ms"], rows
