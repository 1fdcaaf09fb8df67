"""What a model makes of a frame, whatever kind of model it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.demos.frames import Frame
from edgekit.measure.subjects import Subject

Pixels = npt.NDArray[np.uint8]


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

    def draw(self, image: Any) -> None:
        """Write it on a Pillow ``image`` in RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen in a frame, and how long the model took for it, preprocessing and decoding included."""

    frame: Frame
    answer: Answer
    latency_ms: float
    image_hw: tuple[int, int]

    def without_pixels(self) -> "Seen":
        """The same without the picture, which would fill the memory where many are kept."""
        return replace(self, frame=replace(self.frame, pixels=np.empty((0, 0, 3), np.uint8)))

    def to_json(self) -> dict[str, Any]:
        """One object of ``--json``."""
        return {
            "input": self.frame.name,
            "time_s": self.frame.time_s,
            **self.answer.to_json(),
            "latency_ms": self.latency_ms,
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

    def __call__(self, frame: Frame) -> Answer:
        """What is in ``frame``."""
