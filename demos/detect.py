"""What a detector sees."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact, Format, open_artifact
from edgekit.demos.canvas import Canvas, class_colour
from edgekit.demos.frames import Frame
from edgekit.demos.seen import Split
from edgekit.demos.tracking import Tracker
from edgekit.errors import InputError
from edgekit.measure.detect import detection_rows, detections_json
from edgekit.measure.detectors import Detector, open_detectors, without_batch
from edgekit.measure.subjects import Subject
from edgekit.runtimes import choose_engines, load_engine
from edgekit.tasks import classification
from edgekit.tasks.detection import is_detector
from edgekit.tasks.heads import Detections


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of a frame, best first, named by ``detector``; ``tracks`` numbers those that are followed."""

    found: Detections
    detector: Detector
    tracks: tuple[int | None, ...] | None = None

    @property
    def words(self) -> str:
        """The objects with their scores."""
        named = zip(self._titles(), self.found.scores.tolist(), strict=True)
        return ", ".join(f"{title} {score:.2f}" for title, score in named) or "nothing"

    @property
    def counted(self) -> frozenset[str]:
        """The classes of which there is one."""
        return frozenset(self.detector.label(class_id) for class_id in self.found.classes.tolist())

    def rows(self, image_hw: tuple[int, int]) -> list[list[str]]:
        """Name, score and box in pixels of each."""
        return detection_rows(self.found, self.detector, image_hw)

    def to_json(self) -> dict[str, Any]:
        """The list of objects; boxes are left, top, right, bottom in fractions of the frame."""
        objects = detections_json(self.found, self.detector)
        if self.tracks is not None:
            objects = [{**each, "track": track} for each, track in zip(objects, self.tracks, strict=True)]
        return {"detections": objects}

    def draw(self, canvas: Canvas) -> None:
        """A box for each object in the colour of its class, the best on top, with name and score on a filled label."""
        found = zip(
            self.found.boxes.tolist(),
            self.found.scores.tolist(),
            self.found.classes.tolist(),
            self._titles(),
            strict=True,
        )
        for box, score, class_id, title in reversed(list(found)):
            canvas.box(box, f"{title} {score:.0%}", class_colour(class_id))

    def _titles(self) -> list[str]:
        """The name of each, with its number where it is followed."""
        names = [self.detector.label(class_id) for class_id in self.found.classes.tolist()]
        tracks = self.tracks or (None,) * len(names)
        return [name if track is None else f"{name} #{track}" for name, track in zip(names, tracks, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detecting:
    """A detector at work, whose objects a ``tracker`` follows from frame to frame."""

    detector: Detector
    tracker: Tracker | None = None
    columns = ("object", "score", "left, top, right, bottom")
    share = "frames with one"
    rule = ""

    @property
    def subject(self) -> Subject:
        """The file, and what runs it."""
        return self.detector.subject

    def __call__(self, frame: Frame) -> tuple[Objects, Split]:
        """The objects in ``frame``."""
        start_s = time.perf_counter()
        feed = {name: values[None] for name, values in self.subject.feeder.feed(frame.pixels).items()}
        fed_s = time.perf_counter()
        outputs = self.subject.runtime.run(feed, as_float=True)
        ran_s = time.perf_counter()
        found = self.detector.read(without_batch(outputs), (frame.pixels.shape[0], frame.pixels.shape[1]))
        tracks = None if self.tracker is None else self.tracker.follow(found, frame)
        answer = Objects(found=found, detector=self.detector, tracks=tracks)
        return answer, Split.between(start_s, fed_s, ran_s, time.perf_counter())


def open_detector(
    path: Path,
    *,
    preprocess: str | None,
    labels: tuple[str, ...] | None,
    decoder: str | None,
    score: float | None,
    threads: int,
    engine: str | None,
    track: bool = False,
) -> Detecting:
    """The detector file at ``path``, ready to run; ``score`` replaces the threshold that its card states."""
    if _is_classifier(open_artifact(path)):
        raise InputError(f"{path} is a classifier; see what it sees with: edgekit demo classify {path}")
    engines = () if engine is None else (engine,)
    (detector,) = open_detectors(
        [path], preprocess=preprocess, labels=labels, decoder=decoder, threads=threads, engines=engines
    )
    if score is not None:
        detector = detector.with_threshold(score)
    return Detecting(detector=detector, tracker=Tracker(detector.decoder.spec.score_threshold) if track else None)


def require_tools(file: str, kind: Format, *, engine: str | None, track: bool) -> None:
    """`InputError` or `MissingExtraError` where `open_detector` would refuse ``file``, which is still to be made."""
    for name in choose_engines(kind, () if engine is None else (engine,), file=file):
        load_engine(name)
    if track:
        Tracker(0.0)


def _is_classifier(artifact: Artifact) -> bool:
    """Whether the card says so, or the one output is a row of numbers, which no head of a detector is."""
    card = artifact.card
    if is_detector(artifact) or card.task not in (None, classification.TASK):
        return False
    return card.task is not None or (len(card.outputs) == 1 and len(card.outputs[0].shape) == 2)
