"""Measuring all models of an ``edgekit.toml``: their answers on the same items, then their latencies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import open_artifact
from edgekit.check.baseline import FIRST_ITEMS, Calibration, DataRecord, Figure, Found, Metric, ModelRecord, Scores
from edgekit.check.budgets import Config, data_source, preprocess_option
from edgekit.check.items import record_data, same_items
from edgekit.check.latency import Ratios, time_against
from edgekit.check.scored import BY_METRIC, SCORED
from edgekit.data import Dataset, Item, item_digest
from edgekit.devices import Device, open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import InputError
from edgekit.measure.data_for import data_for
from edgekit.measure.detectors import open_detectors
from edgekit.measure.evaluate import Evaluation, evaluate_subjects
from edgekit.measure.evaluate_by_task import task_of
from edgekit.measure.evaluate_detection import DetectionEvaluation, evaluate_detectors, require_boxes
from edgekit.measure.evaluate_kinds import evaluate_kind_subjects
from edgekit.measure.judged import Judged
from edgekit.measure.kind import Result
from edgekit.measure.metrics import require_finite, wilson_interval
from edgekit.measure.paired import mean_difference_interval
from edgekit.measure.subjects import Subject, open_subjects
from edgekit.runtimes import run_items
from edgekit.tasks import classification, detection, read_labels
from edgekit.tasks.classification import class_scores
from edgekit.tasks.coco_contributions import image_contributions
from edgekit.tasks.heads import Detections
from edgekit.tasks.labels import require_labels
from edgekit.workers import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was measured: a record for each model, on those items of ``data`` that are at ``places``.

    ``left_out`` items calibrated or trained one of the files. ``reference_sha256`` is that of the file that others were
    timed against, None where nothing was timed; ``doubts`` are about the latencies, which are there where they are
    ``comparable``: not on a device that was throttled or emulated. ``host`` are the facts of ``device``.
    """

    metric: Metric
    data: DataRecord
    places: tuple[int, ...]
    left_out: int
    models: Mapping[str, ModelRecord]
    reference_sha256: str | None
    doubts: tuple[str, ...]
    comparable: bool
    device: str
    host: Mapping[str, Any]


def observe(
    config: Config,
    folder: Path,
    *,
    known: DataRecord | None = None,
    data_dir: Path | None = None,
    device: str = LOCAL,
    progress: Progress = silent,
) -> Observation:
    """Measure the models of ``config``, whose paths start in ``folder``, on the items of ``known`` or newly drawn ones.

    All of it happens on ``device``. Errors: `DataError` where the data are not those of ``known``, `ArtifactError` for
    files, as in `evaluate`.
    """
    timed = [model.file for model in config.models if config.timed(model.file)]
    reference = open_artifact(folder / config.latency.reference) if config.latency is not None and timed else None
    paths = [folder / model.file for model in config.models]
    dataset = data_for(paths, data_source(config.data, folder), data_dir=data_dir)
    with open_device(device) as where:  # what runs the files there is gone before anything is timed
        host = where.host()
        seen = _look(config, paths, folder, dataset, known, where, progress)
    ratios = _latencies(config, folder, timed, device=device, progress=progress)
    records = {model.file: record for model, record in zip(config.models, seen.records, strict=True)}
    if ratios.comparable:
        records |= {file: replace(records[file], latency=ratio) for file, ratio in ratios.by_file.items()}
    return Observation(
        metric=seen.metric,
        data=seen.data,
        places=seen.places,
        left_out=seen.left_out,
        models=records,
        reference_sha256=None if reference is None else reference.sha256,
        doubts=ratios.doubts,
        comparable=ratios.comparable,
        device=device,
        host=host,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """`Observation`, without what is timed."""

    metric: Metric
    data: DataRecord
    places: tuple[int, ...]
    left_out: int
    records: tuple[ModelRecord, ...]


def _look(
    config: Config,
    paths: Sequence[Path],
    folder: Path,
    dataset: Dataset,
    known: DataRecord | None,
    where: Device,
    progress: Progress,
) -> _Seen:
    asked = config.data
    chosen = dataset if known is None else same_items(dataset, asked, known)
    samples = asked.samples if known is None else None
    preprocess = preprocess_option(asked, folder)
    labels = None if asked.labels is None else read_labels(folder / asked.labels)
    task = task_of(paths, dataset, decoder=asked.decoder)
    metric = _metric(task, dataset)
    if metric in BY_METRIC:
        if preprocess is not None or labels is not None:
            raise InputError(f"preprocess and labels are of images and classes; leave them out for {task}.")
        subjects = open_subjects(paths, preprocess=None, labels=None, threads=1, device=where)
        report = evaluate_kind_subjects(
            subjects, chosen, task=task, samples=samples, seed=asked.seed, progress=progress
        )
        indices, left_out = report.indices, report.left_out
        records = [_of_scored(e, rows, metric) for e, rows in zip(report.entries, report.scores, strict=True)]
    elif metric is Metric.TOP1:
        require_labels(dataset)
        subjects = open_subjects(paths, preprocess=preprocess, labels=labels, threads=1, device=where)
        answers = evaluate_subjects(subjects, chosen, samples=samples, seed=asked.seed, progress=progress)
        indices, left_out = answers.indices, answers.left_out
        records = [_of_classifier(entry) for entry in answers.entries]
    else:
        truth, names = require_boxes(chosen)
        detectors = open_detectors(
            paths, preprocess=preprocess, labels=labels, decoder=asked.decoder, threads=1, device=where
        )
        subjects = tuple(detector.subject for detector in detectors)
        found = evaluate_detectors(detectors, chosen, samples=samples, seed=asked.seed, progress=progress)
        indices, left_out = found.indices, found.left_out
        looked_at = [truth[index] for index in indices]
        records = [_of_detector(e, image_contributions(e.found, looked_at, names)) for e in found.entries]
    data = known or record_data(dataset, asked, indices)
    first = [dataset.items[index] for index in data.indices[:FIRST_ITEMS]]
    complete = [
        _with_first_items(record, subject, first, keep_outputs=metric is Metric.TOP1)
        for record, subject in zip(records, subjects, strict=True)
    ]
    places = indices if known is not None else tuple(range(len(indices)))
    return _Seen(metric=metric, data=data, places=places, left_out=left_out, records=tuple(complete))


def _metric(task: str, dataset: Dataset) -> Metric:
    """What is watched of models for ``task``; `InputError` for one that is not watched, or judged on other data."""
    instead = "measure these with `edgekit evaluate` and `edgekit compare`"
    if task in SCORED:
        return SCORED[task].metric
    if task == detection.TASK:
        return Metric.MAP
    if task not in classification.TASKS:
        raise InputError(
            f"These models are for {task}; edgekit check watches classifiers, detectors and recommenders: {instead}."
        )
    if dataset.whole is not None or dataset.answers is not None:
        raise InputError(
            f"These models are for {task}, and {dataset.name} is for others: give data with classes, or {instead}."
        )
    return Metric.TOP1


def _of_scored(entry: Judged[Result], rows: npt.NDArray[np.float64], metric: Metric) -> ModelRecord:
    figures, name, anomaly = entry.metrics(), metric.value, entry.subject.artifact.card.anomaly
    ends = [figures[end] if end in figures else figures[name] for end in (f"{name}_low", f"{name}_high")]
    # As many digits as a float32 has, so that scores that were told apart still are.
    columns = tuple(tuple(float(f"{value:.9g}") for value in column) for column in rows.T.tolist())
    told = () if anomaly is None or metric is not Metric.PR_AUC else rows[:, 0] > anomaly.threshold
    return _record(
        entry.subject,
        Figure(value=figures[name], low=ends[0], high=ends[1]),
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
        correct="".join("01"[int(flag)] for flag in correct),
    )


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


def _with_first_items(
    record: ModelRecord, subject: Subject, items: Sequence[Item], *, keep_outputs: bool
) -> ModelRecord:
    """``record`` with what is fed to the model for ``items``, and if wanted with what it gives."""
    feeds = [subject.feeder.feed(item) for item in items]
    # One input is known whatever it is called, since exporters change names.
    inputs = tuple(item_digest(feed if len(feed) > 1 else next(iter(feed.values()))) for feed in feeds)
    outputs: list[Scores] = []
    for answer in run_items(subject.runtime, feeds) if keep_outputs else ():
        values = class_scores(answer, model=str(subject.given))
        require_finite(values, f"The output of {subject.given}")
        outputs.append(
            Scores(places=tuple(range(len(values))), values=tuple(float(f"{v:.7g}") for v in values.tolist()))
        )
    return replace(record, inputs=inputs, outputs=tuple(outputs))


def _latencies(config: Config, folder: Path, files: Sequence[str], *, device: str, progress: Progress) -> Ratios:
    if config.latency is None or not files:
        return Ratios(by_file={}, doubts=())
    limits = {file: config.limits(file).max_p50_ratio for file in files}
    return time_against(
        folder / config.latency.reference,
        {file: folder / file for file in files},
        config.latency,
        limits={file: limit for file, limit in limits.items() if limit is not None},
        device=device,
        progress=progress,
    )
