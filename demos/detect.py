"""What a detector sees."""

import colorsys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.demos.frames import Frame
from edgekit.measure.detect import detection_rows, detections_json
from edgekit.measure.detectors import Detector, open_detectors
from edgekit.measure.subjects import Subject
from edgekit.tasks.heads import Detections

_GOLDEN = 0.618033988749895
"""Hues of successive classes lie this fraction of the circle apart, so that neighbours differ most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of a frame, best first, named by ``detector``."""

    found: Detections
    detector: Detector

    @property
    def words(self) -> str:
        """The objects with their scores."""
        named = zip(self.found.classes.tolist(), self.found.scores.tolist(), strict=True)
        return ", ".join(f"{self.detector.label(class_id)} {score:.2f}" for class_id, score in named) or "nothing"

    @property
    def counted(self) -> frozenset[str]:
        """The classes of which there is one."""
        return frozenset(self.detector.label(class_id) for class_id in self.found.classes.tolist())

    def rows(self, image_hw: tuple[int, int]) -> list[list[str]]:
        """Name, score and box in pixels of each."""
        return detection_rows(self.found, self.detector, image_hw)

    def to_json(self) -> dict[str, Any]:
        """The list of objects; boxes are left, top, right, bottom in fractions of the frame."""
        return {"detections": detections_json(self.found, self.detector)}

    def draw(self, image: Any) -> None:
        """A box for each object in the colour of its class, with its name and score on a filled label."""
        from PIL import ImageDraw, ImageFont

        size = max(11, min(image.size) // 32)
        font, draw = ImageFont.load_default(size), ImageDraw.Draw(image)
        width, height = image.size
        for box, score, class_id in zip(
            self.found.boxes.tolist(), self.found.scores.tolist(), self.found.classes.tolist(), strict=True
        ):
            left, top, right, bottom = (v * side for v, side in zip(box, (width, height) * 2, strict=True))
            colour = class_colour(class_id)
            draw.rectangle((left, top, right, bottom), outline=colour, width=max(2, size // 6))
            text = f"{self.detector.label(class_id)} {score:.0%}"
            label = draw.textbbox((0, 0), text, font=font)
            high = label[3] + 4
            y = top - high if top >= high else top  # above the box, or inside where there is no room
            draw.rectangle((left, y, left + label[2] + 6, y + high), fill=colour)
            draw.text((left + 3, y + 1), text, font=font, fill="black")


def class_colour(class_id: int) -> tuple[int, int, int]:
    """A bright colour, always the same for a class and far from those of its neighbours."""
    red, green, blue = colorsys.hsv_to_rgb(class_id * _GOLDEN % 1.0, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detecting:
    """A detector at work."""

    detector: Detector
    columns = ("object", "score", "left, top, right, bottom")
    share = "frames with one"

    @property
    def subject(self) -> Subject:
        """The file, and what runs it."""
        return self.detector.subject

    def __call__(self, frame: Frame) -> Objects:
        """The objects in ``frame``."""
        return Objects(found=self.detector.detect(frame.pixels), detector=self.detector)


def open_detector(
    path: Path,
    *,
    preprocess: str | None,
    labels: tuple[str, ...] | None,
    decoder: str | None,
    score: float | None,
    threads: int,
    engine: str | None,
) -> Detecting:
    """The detector file at ``path``, ready to run; ``score`` replaces the threshold that its card states."""
    engines = () if engine is None else (engine,)
    (detector,) = open_detectors(
        [path], preprocess=preprocess, labels=labels, decoder=decoder, threads=threads, engines=engines
    )
    return Detecting(detector=detector if score is None else detector.with_threshold(score))
