"""What each file in each engine loses of a float model's accuracy, measured on the same items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.artifact import Format
from edgekit.data import Dataset
from edgekit.errors import InputError
from edgekit.measure.compare import compare_subjects
from edgekit.measure.evaluate import evaluate_subjects
from edgekit.measure.metrics import wilson_interval
from edgekit.measure.subjects import Subject
from edgekit.recipe import Precision
from edgekit.workers import Progress, silent

Key = tuple[str, str]
"""A file as the user wrote it, and the engine that ran it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Hundredths (points) of the items, with the 95 % interval: of top-1 lost, or answered otherwise."""

    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses against ``reference``, by file and engine, on ``count`` items of ``data``.

    ``metric`` is ``top1`` where the data have labels, else ``agreement``; ``left_out`` items had calibrated or trained
    a file.
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

    `InputError` for models whose outputs have no best class, so that there is nothing to count.
    """
    first = min(range(len(subjects)), key=lambda i: (_rank(subjects[i]), i))
    reference, others = subjects[first], [*subjects[:first], *subjects[first + 1 :]]
    found = {key_of(reference): Loss(points=0.0, low=0.0, high=0.0)}
    if data.labels is not None:
        scores = evaluate_subjects([reference, *others], data, samples=samples, seed=seed, progress=progress)
        metric, count, left_out = "top1", scores.count, scores.left_out
        for entry in scores.entries:
            if entry.difference is not None:
                d = entry.difference
                figures = (-d.top1_difference, -d.top1_difference_high, -d.top1_difference_low)
                found[key_of(entry.subject)] = _loss(*figures)
    else:
        outputs = compare_subjects(reference, others, data, samples=samples, seed=seed, progress=progress)
        metric, count, left_out = "agreement", outputs.count, outputs.left_out
        for compared in outputs.entries:
            metrics = compared.metrics()
            if "agreement" not in metrics:
                raise InputError(
                    f"{compared.subject.given} gives no scores of classes, so that {data.name} does not tell what it "
                    "loses; choose by latency alone, without data."
                )
            low, high = wilson_interval(round((1 - metrics["agreement"]) * count), count)
            found[key_of(compared.subject)] = _loss(1 - metrics["agreement"], low, high)
    return Losses(
        metric=metric,
        reference=key_of(reference),
        data=data.name,
        count=count,
        left_out=left_out,
        by_key=found,
    )


def _loss(fraction: float, low: float, high: float) -> Loss:
    points = [round(100 * value, 6) + 0.0 for value in (fraction, low, high)]  # no -0.0, no 1.0000000000000009
    return Loss(points=points[0], low=points[1], high=points[2])


def _rank(subject: Subject) -> int:
    if subject.artifact.format is Format.KERAS:
        return 0
    return 1 if subject.artifact.recipe == Precision.FP32.value else 2
