"""The mean average precision of detector files on the same images with boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgekit.data import Boxes, Dataset, Part, open_data
from edgekit.detection import LEAST_SCORE
from edgekit.devices import open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import DataError, InputError
from edgekit.measure.detectors import Detector, open_detectors
from edgekit.measure.held_out import HeldOut
from edgekit.measure.judged import row_of
from edgekit.measure.subjects import on_device, run_subjects
from edgekit.runtimes import Array
from edgekit.tasks.coco_metrics import DetectionResult, evaluate_detections
from edgekit.tasks.heads import Detections
from edgekit.tasks.labels import LabelMap, match_names
from edgekit.workers import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionEvaluation:
    """One file's result. ``found`` holds what it saw in each image, with the class ids of the data."""

    detector: Detector
    found: tuple[Detections, ...]
    result: DetectionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionReport:
    """Results on ``count`` images of the data set ``data``, those at ``indices``.

    ``left_out`` ones had calibrated or trained a file. ``host`` are the facts of the device, by `evaluate_detection`.
    """

    data: str
    count: int
    indices: tuple[int, ...]
    left_out: int
    seed: int
    entries: tuple[DetectionEvaluation, ...]
    host: Mapping[str, Any] = field(default_factory=dict)

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each file."""
        return [
            row_of(
                entry.detector.subject,
                entry.result.metrics(),
                data=self.data,
                count=self.count,
                left_out=self.left_out,
                seed=self.seed,
                objects=entry.result.objects,
                map_by_class=dict(entry.result.per_class),
            )
            for entry in self.entries
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        named = {"map": "mAP .50:.95 %", "map50": "mAP .50 %", "map75": "mAP .75 %"}
        named |= {"map_small": "small %", "map_medium": "medium %", "map_large": "large %", "mar100": "recall %"}
        columns = ["file", "recipe", "engine", *named.values(), "seconds"]
        rows = []
        for entry in self.entries:
            subject, figures = entry.detector.subject, entry.result.metrics()
            told = [f"{100 * figures[name]:.2f}" if name in figures else "-" for name in named]
            recipe = subject.artifact.recipe
            rows.append([str(subject.given), recipe, subject.engine, *told, f"{subject.seconds:.1f}"])
        objects = self.entries[0].result.objects
        where = on_device(entry.detector.subject for entry in self.entries)
        return f"{objects:,} objects in {self.count:,} images of {self.data}{where}", columns, rows


def evaluate_detection(
    paths: Sequence[Path],
    data: Dataset | str,
    *,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    decoder: str | None = None,
    samples: int | None = None,
    threads: int = 1,
    engines: Sequence[str] = (),
    seed: int = 0,
    device: str = LOCAL,
    progress: Progress = silent,
) -> DetectionReport:
    """Find the objects of the same images with the detector files at ``paths``, and compare with the boxes of ``data``.

    As `edgekit.measure.evaluate.evaluate` with files, items and the device; classes are matched by name.
    """
    dataset = open_data(data, part=Part.EVALUATION, data_dir=data_dir) if isinstance(data, str) else data
    require_boxes(dataset)
    with open_device(device) as where:
        detectors = open_detectors(
            paths,
            preprocess=preprocess,
            labels=labels,
            decoder=decoder,
            threads=threads,
            engines=engines,
            device=where,
        )
        report = evaluate_detectors(detectors, dataset, samples=samples, seed=seed, progress=progress)
        return replace(report, host=where.host())


def evaluate_detectors(
    detectors: Sequence[Detector],
    dataset: Dataset,
    *,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> DetectionReport:
    """As `evaluate_detection`, for files that are open."""
    truth, names = require_boxes(dataset)
    subjects = [detector.subject for detector in detectors]
    chosen = HeldOut(dataset, [s.artifact for s in subjects], samples=samples, seed=seed)
    found: list[list[Detections]] = [[] for _ in detectors]
    maps: list[LabelMap] = []
    progress("evaluating", 0, chosen.wanted)
    for outputs in run_subjects(subjects, chosen):
        maps = maps or [_label_map(d, answers[0], dataset) for d, answers in zip(detectors, outputs, strict=True)]
        for detector, label_map, answers, kept in zip(detectors, maps, outputs, found, strict=True):
            for answer in answers:
                boxes = truth[chosen.indices[len(kept)]]
                detections = detector.decoder(answer, boxes.image_hw, least_score=LEAST_SCORE)
                for class_id in set(detections.classes.tolist()):
                    detector.label(class_id)  # known, or refused
                kept.append(replace(detections, classes=label_map.class_ids(detections.classes)))
        progress("evaluating", len(found[0]), chosen.wanted)
    progress("evaluating", chosen.wanted, chosen.wanted)
    looked_at = [truth[index] for index in chosen.indices]
    return DetectionReport(
        data=dataset.name,
        count=len(looked_at),
        indices=tuple(chosen.indices),
        left_out=chosen.left_out,
        seed=seed,
        entries=tuple(
            DetectionEvaluation(
                detector=detector, found=tuple(kept), result=evaluate_detections(kept, looked_at, names)
            )
            for detector, kept in zip(detectors, found, strict=True)
        ),
    )


def require_boxes(data: Dataset) -> tuple[Sequence[Boxes], tuple[str, ...]]:
    """The boxes of ``data`` and the names of its classes; `DataError` where it has no boxes."""
    if data.boxes is None:
        raise DataError(
            f"The data set {data.name} has no boxes; expected instances.json (COCO), Annotations (Pascal VOC), labels/ "
            "(YOLO) or a CSV with xmin, ymin, xmax, ymax."
        )
    if data.class_names is None:
        most = max((int(boxes.classes.max(initial=0)) for boxes in data.boxes), default=0)
        return data.boxes, tuple(f"class {index}" for index in range(most + 1))
    return data.boxes, data.class_names


def _label_map(detector: Detector, outputs: dict[str, Array], data: Dataset) -> LabelMap:
    labels, given = detector.subject.artifact.card.labels, str(detector.subject.given)
    count = detector.require_labels(outputs)
    if count is None and labels is None:
        raise InputError(f"Nothing names the classes of {given}: give their names, in their order, with --labels.")
    known = count if count is not None else len(labels or ())
    if data.class_names is None:
        return LabelMap(tuple(range(known)))
    return match_names(data.class_names, labels, known, data=data.name, model=given)
