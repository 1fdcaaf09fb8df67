"""What the models of a check answer on the same items, by what is watched of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.check.baseline import Calibration, Figure, Found, Metric, ModelRecord
from edgekit.data import Dataset
from edgekit.devices import Device
from edgekit.errors import DataError, InputError
from edgekit.measure.detectors import open_detectors
from edgekit.measure.evaluate import Evaluation, evaluate_subjects
from edgekit.measure.evaluate_detection import DetectionEvaluation, evaluate_detectors, require_boxes
from edgekit.measure.evaluate_kinds import evaluate_kind_subjects
from edgekit.measure.evaluate_verification import evaluate_verifiers
from edgekit.measure.judged import Judged, R
from edgekit.measure.metrics import wilson_interval
from edgekit.measure.paired import mean_difference_interval
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.measure.verifiers import open_verifiers
from edgekit.tasks.coco_contributions import image_contributions
from edgekit.tasks.heads import Detections
from edgekit.tasks.labels import require_labels
from edgekit.tasks.trials import Pairs
from edgekit.workers import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The files at ``paths`` for ``task``, to be run on ``samples`` items of ``data``; the rest is as in `evaluate`.

    ``pairs`` of these items are to be compared, where they are known.
    """

    paths: Sequence[Path]
    task: str
    metric: Metric
    data: Dataset
    preprocess: str | None
    labels: tuple[str, ...] | None
    decoder: str | None
    pairs: Pairs | None
    samples: int | None
    seed: int
    device: Device
    progress: Progress

    @property
    def drawn(self) -> dict[str, Any]:
        """Which items are drawn, and who is told."""
        return {"samples": self.samples, "seed": self.seed, "progress": self.progress}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A record of each of ``subjects`` on the items at ``indices``; ``left_out`` ones calibrated or trained one.

    ``pairs`` are of the items at ``indices``, where these are compared with each other.
    """

    subjects: Sequence[Subject]
    records: Sequence[ModelRecord]
    indices: tuple[int, ...]
    left_out: int
    pairs: Pairs | None = None


def _scored(work: Work) -> Answers:
    if work.preprocess is not None or work.labels is not None:
        raise InputError(f"preprocess and labels are of images and classes; leave them out for {work.task}.")
    subjects = open_subjects(work.paths, preprocess=None, labels=None, threads=1, device=work.device)
    report = evaluate_kind_subjects(subjects, work.data, task=work.task, **work.drawn)
    if work.metric is Metric.MSE_RATIO and work.metric.value not in report.entries[0].metrics():
        raise DataError(f"{work.data.name} never changes, beside which no forecast can be judged; give another series.")
    make = _of_answers if work.metric is Metric.EXACT else _of_scored
    return Answers(
        subjects=subjects,
        records=[make(entry, rows, work.metric) for entry, rows in zip(report.entries, report.scores, strict=True)],
        indices=report.indices,
        left_out=report.left_out,
    )


def _classifiers(work: Work) -> Answers:
    require_labels(work.data)
    subjects = open_subjects(work.paths, preprocess=work.preprocess, labels=work.labels, threads=1, device=work.device)
    report = evaluate_subjects(subjects, work.data, **work.drawn)
    return Answers(
        subjects=subjects,
        records=[_of_classifier(entry) for entry in report.entries],
        indices=report.indices,
        left_out=report.left_out,
    )


def _detectors(work: Work) -> Answers:
    truth, names = require_boxes(work.data)
    detectors = open_detectors(
        work.paths,
        preprocess=work.preprocess,
        labels=work.labels,
        decoder=work.decoder,
        threads=1,
        device=work.device,
    )
    report = evaluate_detectors(detectors, work.data, **work.drawn)
    looked_at = [truth[index] for index in report.indices]
    return Answers(
        subjects=[detector.subject for detector in detectors],
        records=[_of_detector(e, image_contributions(e.found, looked_at, names)) for e in report.entries],
        indices=report.indices,
        left_out=report.left_out,
    )


def _verifiers(work: Work) -> Answers:
    if work.labels is not None:
        raise InputError(f"labels are the names of classes, which no model for {work.task} has; leave them out.")
    people = require_labels(work.data)
    verifiers = open_verifiers(work.paths, preprocess=work.preprocess, threads=1, device=work.device)
    report = evaluate_verifiers(verifiers, work.data, people, pairs=work.pairs, **work.drawn)
    return Answers(
        subjects=[verifier.subject for verifier in verifiers],
        records=[_of_scored(entry, entry.result.likeness[:, None], work.metric) for entry in report.entries],
        indices=report.indices,
        left_out=report.left_out,
        pairs=report.pairs,
    )


def _figure(entry: Judged[R], metric: Metric) -> Figure:
    figures, name = entry.metrics(), metric.value
    low, high = (figures[end] if end in figures else figures[name] for end in (f"{name}_low", f"{name}_high"))
    return Figure(value=figures[name], low=low, high=high)


def _of_answers(entry: Judged[R], rows: npt.NDArray[np.float64], metric: Metric) -> ModelRecord:
    return _record(entry.subject, _figure(entry, metric), correct=_digits(rows[:, 0] > 0))


def _of_scored(entry: Judged[R], rows: npt.NDArray[np.float64], metric: Metric) -> ModelRecord:
    anomaly = entry.subject.artifact.card.anomaly
    # As many digits as a float32 has, so that scores that were told apart still are.
    columns = tuple(tuple(float(f"{value:.9g}") for value in column) for column in rows.T.tolist())
    told = () if anomaly is None or metric is not Metric.PR_AUC else rows[:, 0] > anomaly.threshold
    return _record(
        entry.subject,
        _figure(entry, metric),
        classes=tuple(int(answer) for answer in told),
        scores=columns,
    )


def _of_classifier(entry: Evaluation) -> ModelRecord:
    correct = entry.result.correct
    low, high = wilson_interval(int(correct.sum()), len(correct))
    return _record(
        entry.subject,
        Figure(value=entry.result.top1, low=low, high=high),
        classes=tuple(entry.classes.tolist()),
        correct=_digits(correct),
    )


def _digits(flags: npt.NDArray[np.bool_]) -> str:
    return "".join("01"[int(flag)] for flag in flags)


def _of_detector(entry: DetectionEvaluation, contributions: npt.NDArray[np.float64]) -> ModelRecord:
    low, high = mean_difference_interval(np.zeros(len(contributions)), contributions, seed=0)
    sure = entry.detector.decoder.spec.score_threshold
    return _record(
        entry.detector.subject,
        Figure(value=entry.result.metrics()["map"], low=low, high=high),
        contributions=tuple(round(value, 6) for value in contributions.tolist()),
        objects=tuple(_objects(found, sure / 2) for found in entry.found),
        sure=sure,
    )


def _objects(found: Detections, least: float) -> tuple[Found, ...]:
    shown = found.at(found.scores >= least)
    rows = np.column_stack([shown.classes, shown.scores, shown.boxes]).astype(np.float64).round(4)
    return tuple((c, s, x0, y0, x1, y1) for c, s, x0, y0, x1, y1 in rows.tolist())


def _record(subject: Subject, metric: Figure, **answers: Any) -> ModelRecord:
    artifact = subject.artifact
    used = artifact.card.provenance.calibration
    return ModelRecord(
        sha256=artifact.sha256,
        model_bytes=artifact.model_bytes,
        format=artifact.format.value,
        recipe=artifact.recipe,
        engine=subject.engine,
        metric=metric,
        preprocessing=subject.feeder.preprocessing,
        inputs=(),
        labels=artifact.card.labels,
        calibration=None if used is None else Calibration(name=used.name, count=used.count, digest=used.digest),
        **answers,
    )


MEASURES: Mapping[Metric, Callable[[Work], Answers]] = {
    Metric.TOP1: _classifiers,
    Metric.MAP: _detectors,
    Metric.PR_AUC: _scored,
    Metric.MSE: _scored,
    Metric.EER: _verifiers,
    Metric.NATS: _scored,
    Metric.MSE_RATIO: _scored,
    Metric.EXACT: _scored,
}
"""Who measures what is watched."""
