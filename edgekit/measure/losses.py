"""What each file in each engine loses of a float model's accuracy, measured on the same items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.artifact import Format
from edgekit.data import Dataset
from edgekit.errors import InputError
from edgekit.measure.compare import ComparisonReport, compare_subjects
from edgekit.measure.evaluate import evaluate_subjects
from edgekit.measure.evaluate_by_task import Report, task_of
from edgekit.measure.evaluate_kinds import evaluate_kind_subjects
from edgekit.measure.evaluate_verification import evaluate_verifiers
from edgekit.measure.kinds import KINDS
from edgekit.measure.metrics import wilson_interval
from edgekit.measure.subjects import Subject
from edgekit.measure.verifiers import verifier_of
from edgekit.recipe import Precision
from edgekit.tasks import anomalies, answers, classification, forecasting, recommendation, text_generation, verification
from edgekit.tasks.labels import require_labels
from edgekit.workers import Progress, silent

Key = tuple[str, str]
"""A file as the user wrote it, and the engine that ran it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A ``metric`` of a task by its JSON name, and how that of its ``difference`` from the reference begins.

    A point is a hundredth: of a fraction, or, with ``relative``, of the reference's figure.
    """

    metric: str
    difference: str
    lower_is_better: bool = False
    relative: bool = False

    def loss(self, reference: Mapping[str, float], metrics: Mapping[str, float]) -> "Loss":
        """What a file with these ``metrics`` loses; `InputError` where the items are too few to tell."""
        ends = [f"{self.difference}{end}" for end in ("", "_low", "_high")]
        if not metrics.keys() >= set(ends) or (self.relative and not reference[self.metric]):
            raise InputError("These items are too few to tell what files lose; take more, or choose without data.")
        value, low, high = (metrics[name] / (reference[self.metric] if self.relative else 1) for name in ends)
        return _loss(value, low, high) if self.lower_is_better else _loss(-value, -high, -low)


_ERROR = Figure(metric="mse", difference="mse_difference", lower_is_better=True, relative=True)
FIGURES: Mapping[str, Figure] = {
    anomalies.TASK: Figure(metric="pr_auc", difference="pr_auc_difference"),
    verification.TASK: Figure(metric="eer", difference="eer_difference", lower_is_better=True),
    answers.TASK: Figure(metric="exact", difference="exact_difference"),
    recommendation.TASK: _ERROR,
    forecasting.TASK: _ERROR,
    text_generation.TASK: Figure(
        metric="nats_per_token", difference="nats_difference", lower_is_better=True, relative=True
    ),
    **dict.fromkeys(classification.TASKS, Figure(metric="top1", difference="top1_difference")),
}
"""What models lose by their tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Hundredths (points) with the 95 % interval: of a `Figure` lost, or of the items answered otherwise."""

    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses against ``reference``, by file and engine, on ``count`` items of ``data``.

    ``metric`` is that of the task's `Figure` where the data have what it needs, else ``agreement``; ``left_out`` items
    had calibrated or trained a file.
    """

    metric: str
    reference: Key
    data: str
    count: int
    left_out: int
    by_key: Mapping[Key, Loss]


def key_of(subject: Subject) -> Key:
    """What `Losses.by_key` calls ``subject``."""
    return str(subject.given), subject.runtime.name


def measure_losses(
    subjects: Sequence[Subject], data: Dataset, *, samples: int | None, seed: int, progress: Progress = silent
) -> Losses:
    """The loss of every one of ``subjects`` against the first that is a Keras model, else float32, else simply first.

    It is that of the metric of their task, or of equal choices where ``data`` has no truth. `InputError` for models
    that choose nothing then, and for tasks without a `Figure`.
    """
    first = min(range(len(subjects)), key=lambda i: (_rank(subjects[i]), i))
    reference, others = subjects[first], [*subjects[:first], *subjects[first + 1 :]]
    found = {key_of(reference): Loss(points=0.0, low=0.0, high=0.0)}
    task = task_of([subject.artifact.path for subject in subjects], data)
    if task not in FIGURES:
        raise InputError(f"What {task} loses is not measured beside latency; leave out --data, and evaluate it apart.")
    told: Report | ComparisonReport
    if has_truth(task, data):
        told = _evaluated([reference, *others], data, task, samples=samples, seed=seed, progress=progress)
        metric, (own, *rest) = FIGURES[task].metric, told.results()
        for subject, row in zip(others, rest, strict=True):
            found[key_of(subject)] = FIGURES[task].loss(own["metrics"], row["metrics"])
    else:
        told = compare_subjects(reference, others, data, samples=samples, seed=seed, progress=progress)
        metric = "agreement"
        for compared in told.entries:
            metrics = compared.metrics()
            if "agreement" not in metrics:
                raise InputError(
                    f"{compared.subject.given} gives no scores of classes, so that {data.name} does not tell what it "
                    "loses; choose by latency alone, without data."
                )
            low, high = wilson_interval(round((1 - metrics["agreement"]) * told.count), told.count)
            found[key_of(compared.subject)] = _loss(1 - metrics["agreement"], low, high)
    return Losses(
        metric=metric,
        reference=key_of(reference),
        data=data.name,
        count=told.count,
        left_out=told.left_out,
        by_key=found,
    )


def has_truth(task: str, data: Dataset) -> bool:
    """Whether ``data`` has what the metric of ``task`` needs."""
    return KINDS[task].fits(data) if task in KINDS else data.labels is not None


def _evaluated(subjects: Sequence[Subject], data: Dataset, task: str, **options: Any) -> Report:
    """The evaluation of open files by the metric of their ``task``."""
    if task in KINDS:
        return evaluate_kind_subjects(subjects, data, task=task, **options)
    if task == verification.TASK:
        verifiers = [verifier_of(subject, threads=1) for subject in subjects]
        return evaluate_verifiers(verifiers, data, require_labels(data), **options)
    return evaluate_subjects(subjects, data, **options)


def _loss(fraction: float, low: float, high: float) -> Loss:
    points = [round(100 * value, 6) + 0.0 for value in (fraction, low, high)]  # no -0.0, no 1.0000000000000009
    return Loss(points=points[0], low=points[1], high=points[2])


def _rank(subject: Subject) -> int:
    if subject.artifact.format is Format.KERAS:
        return 0
    return 1 if subject.artifact.recipe == Precision.FP32.value else 2
