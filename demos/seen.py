"""What a model makes of a frame, whatever kind of model it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from edgekit.demos.canvas import Canvas
from edgekit.demos.frames import Frame
from edgekit.measure.subjects import Subject


class Answer(Protocol):
    """What was seen."""

    @property
    def words(self) -> str:
        """A line for people."""

    @property
    def counted(self) -> frozenset[str]:
        """The names of which it is told in how many frames they were seen."""

    def rows(self, image_hw: tuple[int, int]) -> list[list[str]]:
        """Lines of a table, under the `Look.columns`."""

    def to_json(self) -> dict[str, Any]:
        """What is added to the frame's object."""

    def draw(self, canvas: Canvas) -> None:
        """Write it on the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How long the parts of one look took, in ms: preprocessing, inference, and decoding of the outputs."""

    pre: float
    infer: float
    decode: float

    @classmethod
    def between(cls, start_s: float, fed_s: float, ran_s: float, end_s: float) -> Self:
        """The parts between four readings of a clock."""
        return cls(pre=(fed_s - start_s) * 1000, infer=(ran_s - fed_s) * 1000, decode=(end_s - ran_s) * 1000)

    @property
    def latency_ms(self) -> float:
        """All of it."""
        return self.pre + self.infer + self.decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen in a frame of ``image_hw`` pixels, and how long the model took for it."""

    frame: Frame
    answer: Answer
    split: Split
    image_hw: tuple[int, int]

    def without_pixels(self) -> "Seen":
        """The same without the picture, which would fill the memory where many are kept."""
        return replace(self, frame=replace(self.frame, pixels=np.empty((0, 0, 3), np.uint8)))

    def to_json(self) -> dict[str, Any]:
        """One object of ``--json``."""
        split = {"pre": self.split.pre, "infer": self.split.infer, "decode": self.split.decode}
        return {
            "input": self.frame.name,
            "time_s": self.frame.time_s,
            **self.answer.to_json(),
            "latency_ms": self.split.latency_ms,
            "split_ms": {"capture": self.frame.capture_ms, **split},
        }


class Look(Protocol):
    """A model at work on frames."""

    @property
    def subject(self) -> Subject:
        """The file, and what runs it."""

    @property
    def columns(self) -> Sequence[str]:
        """Heads of `Answer.rows`."""

    @property
    def share(self) -> str:
        """What the share of frames of a name means."""

    @property
    def rule(self) -> str:
        """What decides, for the title; '' where nothing is to be said."""

    def __call__(self, frame: Frame) -> tuple[Answer, Split]:
        """What is in ``frame``, and how long its parts took."""
