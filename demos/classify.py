"""What a classifier sees in photos, a clip or a camera."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.demos.frames import Frame, Source, frames
from edgekit.errors import InputError
from edgekit.measure.predict import Guess, top_guesses
from edgekit.measure.subjects import Subject, open_subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The best classes of a frame, and how long the model took for it, preprocessing included."""

    frame: Frame
    top: tuple[Guess, ...]
    latency_ms: float

    @property
    def words(self) -> str:
        """The classes with their probabilities, best first."""
        return ", ".join(f"{guess.title} {guess.probability:.2f}" for guess in self.top)

    def without_pixels(self) -> "Seen":
        """The same without the picture, which would fill the memory where many are kept."""
        return replace(self, frame=replace(self.frame, pixels=np.empty((0, 0, 3), np.uint8)))

    def to_json(self) -> dict[str, Any]:
        """One object of ``--json``."""
        return {
            "input": self.frame.name,
            "time_s": self.frame.time_s,
            "top": [guess.to_json() for guess in self.top],
            "latency_ms": self.latency_ms,
        }


def open_classifier(
    path: Path, *, preprocess: str | None, labels: tuple[str, ...] | None, threads: int, engine: str | None
) -> Subject:
    """The model file at ``path``, ready to run; `InputError` where nothing says how images become its input."""
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([path], preprocess=preprocess, labels=labels, threads=threads, engines=engines)
    if subject.feeder.preprocessing is None:
        raise InputError(f"Nothing says how images become the input of {path}: say it with --preprocess.")
    return subject


def classify(subject: Subject, source: Source, *, top: int) -> Iterator[Seen]:
    """What ``subject`` sees in every frame of ``source``."""
    for frame in frames(source):
        start = time.perf_counter()
        feed = {name: values[None] for name, values in subject.feeder.feed(frame.pixels).items()}
        outputs = {name: values[0] for name, values in subject.runtime.run(feed, as_float=True).items()}
        latency_ms = (time.perf_counter() - start) * 1000
        guesses = top_guesses(subject, outputs, top)
        if not guesses:
            raise InputError(f"{subject.given} is no classifier; expected one output with a score for each class.")
        yield Seen(frame=frame, top=guesses, latency_ms=latency_ms)
