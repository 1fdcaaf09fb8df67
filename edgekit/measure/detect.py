"""What a detector file finds in photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.data.images import decode_image, is_image_name, photos_in
from edgekit.errors import DataError
from edgekit.measure.detectors import Detector, open_detectors
from edgekit.tasks.heads import Detections
from edgekit.workers import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found in the photo called ``source``, of ``image_hw`` pixels."""

    source: str
    image_hw: tuple[int, int]
    detections: Detections


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsReport:
    """The findings of one detector, in the order of the photos."""

    detector: Detector
    findings: tuple[Finding, ...]

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each photo; boxes are left, top, right, bottom in fractions of it."""
        return [
            {
                **self.detector.subject.describe(),
                "input": finding.source,
                "n": 1,
                "metrics": {},
                "detections": detections_json(finding.detections, self.detector),
            }
            for finding in self.findings
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people, boxes in pixels."""
        rows = []
        for finding in self.findings:
            told = detection_rows(finding.detections, self.detector, finding.image_hw) or [["nothing", "", ""]]
            rows += [[finding.source if row == 0 else "", *cells] for row, cells in enumerate(told)]
        subject, spec = self.detector.subject, self.detector.decoder.spec
        title = f"{subject.given} on {subject.engine}: objects with a score from {spec.score_threshold:g}"
        return title, ["photo", "class", "score", "left, top, right, bottom"], rows


def detection_rows(found: Detections, detector: Detector, image_hw: tuple[int, int]) -> list[list[str]]:
    """Name, score and box in pixels of each object, best first."""
    height, width = image_hw
    return [
        [
            detector.label(class_id),
            f"{score:.3f}",
            ", ".join(f"{v * side:.0f}" for v, side in zip(box, (width, height) * 2, strict=True)),
        ]
        for box, score, class_id in zip(
            found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        )
    ]


def detections_json(found: Detections, detector: Detector) -> list[dict[str, Any]]:
    """A list of objects, best first."""
    return [
        {
            "class_id": int(class_id),
            "label": detector.label(int(class_id)),
            "score": float(score),
            "box": [float(v) for v in box],
        }
        for box, score, class_id in zip(found.boxes, found.scores, found.classes, strict=True)
    ]


def detect(
    path: Path,
    inputs: Sequence[Path],
    *,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    decoder: str | None = None,
    threads: int = 1,
    engine: str | None = None,
    progress: Progress = silent,
) -> FindingsReport:
    """Look for objects with the detector at ``path`` in ``inputs``: images and folders of images.

    ``decoder`` names what the outputs are where the file does not say it, see `edgekit.detection.Head`.
    """
    engines = () if engine is None else (engine,)
    (detector,) = open_detectors(
        [path], preprocess=preprocess, labels=labels, decoder=decoder, threads=threads, engines=engines
    )
    photos = [photo for given in inputs for photo in _photos(given)]
    findings = []
    progress("detecting", 0, len(photos))
    for photo in photos:
        image = decode_image(photo, name=str(photo))
        size = (image.shape[0], image.shape[1])
        findings.append(Finding(source=str(photo), image_hw=size, detections=detector.detect(image)))
        progress("detecting", len(findings), len(photos))
    return FindingsReport(detector=detector, findings=tuple(findings))


def _photos(given: Path) -> tuple[Path, ...]:
    if not given.exists():
        raise DataError(f"There is no file or folder {given}.")
    if not given.is_dir():
        if not is_image_name(given.name):
            raise DataError(f"{given} is no photo; a detector takes images and folders of images.")
        return (given,)
    return photos_in(given)
