"""The accuracy of model files on the same labelled items, with what it takes to believe a difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact
from edgekit.data import Dataset, Part, open_data
from edgekit.devices import open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import InputError
from edgekit.measure.held_out import HeldOut
from edgekit.measure.metrics import require_finite
from edgekit.measure.paired import difference_interval, mcnemar_p
from edgekit.measure.subjects import Subject, on_device, open_subjects, run_subjects
from edgekit.tasks.classification import TASK, TASKS, ClassificationResult, class_scores, evaluate_classification
from edgekit.tasks.labels import LabelMap, match_labels, require_labels
from edgekit.workers import Progress, silent

_MATRIX_LIMIT = 100  # larger confusion matrices are left out of the JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file beside the first on the same items: ``agreement`` of the predicted classes (a fraction), the difference in
    top-1 accuracy with its 95 % interval (paired bootstrap), and McNemar's exact p.
    """

    agreement: float
    top1_difference: float
    top1_difference_low: float
    top1_difference_high: float
    mcnemar_p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One file's result. ``difference`` compares it with the first file; the first has none.

    ``classes`` (count,) are the class ids of the data that it answered; negative where the data has no such class.
    """

    subject: Subject
    result: ClassificationResult
    classes: npt.NDArray[np.int64]
    difference: Difference | None

    @property
    def artifact(self) -> Artifact:
        """The file."""
        return self.subject.artifact

    def metrics(self) -> dict[str, float]:
        """All figures by their JSON names."""
        figures = self.result.metrics()
        if self.difference is not None:
            figures |= {name: getattr(self.difference, name) for name in Difference.__slots__}
        return figures


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """Results on ``count`` items of the data set ``data``, those at ``indices``.

    ``left_out`` ones had calibrated or trained a file. ``host`` are the facts of the device, by `evaluate`.
    """

    data: str
    count: int
    indices: tuple[int, ...]
    left_out: int
    seed: int
    entries: tuple[Evaluation, ...]
    host: Mapping[str, Any] = field(default_factory=dict)

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each file."""
        return [
            {
                **entry.subject.describe(),
                "data": self.data,
                "n": self.count,
                "left_out": self.left_out,
                "seed": self.seed,
                "seconds": entry.subject.seconds,
                "metrics": entry.metrics(),
            }
            | (
                {"confusion_matrix": entry.result.confusion.tolist()}
                if len(entry.result.confusion) <= _MATRIX_LIMIT
                else {}
            )
            for entry in self.entries
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        columns = ["file", "recipe", "engine", "top-1 %", "95 %", "top-5 %", "ECE", "seconds"]
        if len(self.entries) > 1:
            columns += ["agreement %", "difference, points", "95 %", "p"]
        return (
            f"Accuracy on {self.count:,} items of {self.data}{on_device(e.subject for e in self.entries)}",
            columns,
            [_row(e)[: len(columns)] for e in self.entries],
        )


def evaluate(
    paths: Sequence[Path],
    data: Dataset | str,
    *,
    data_dir: Path | None = None,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    samples: int | None = None,
    threads: int = 1,
    engines: Sequence[str] = (),
    seed: int = 0,
    device: str = LOCAL,
    progress: Progress = silent,
) -> EvaluationReport:
    """Classify the same items with the model files at ``paths`` and compare with the labels of ``data``.

    A file comes once for each of ``engines`` that runs it, or in the engine of its format where none is named. It runs
    on ``device``, and what it is fed is prepared here. Items that calibrated or trained any of the files, by the
    records in their cards, are left out for all of them. ``samples`` items are drawn with ``seed``, all are used
    without it. ``preprocess`` is as in `edgekit.feeding.resolve_preprocessing`. `InputError` or `DataError` when data
    and models do not fit each other.
    """
    dataset = open_data(data, part=Part.EVALUATION, data_dir=data_dir) if isinstance(data, str) else data
    require_labels(dataset)
    with open_device(device) as where:
        subjects = open_subjects(
            paths, preprocess=preprocess, labels=labels, threads=threads, engines=engines, device=where
        )
        report = evaluate_subjects(subjects, dataset, samples=samples, seed=seed, progress=progress)
        return replace(report, host=where.host())


def evaluate_subjects(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> EvaluationReport:
    """As `evaluate`, for files that are open."""
    labels_of_items = require_labels(dataset)
    for subject in subjects:
        _require_classifier(subject)
    chosen = HeldOut(dataset, [s.artifact for s in subjects], samples=samples, seed=seed)
    scores: list[list[npt.NDArray[Any]]] = [[] for _ in subjects]
    maps: list[LabelMap] = []
    progress("evaluating", 0, chosen.wanted)
    for outputs in run_subjects(subjects, chosen):
        for subject, answers, kept in zip(subjects, outputs, scores, strict=True):
            kept.extend(class_scores(answer, model=str(subject.given)) for answer in answers)
            require_finite(np.stack(kept[-len(answers) :]), f"The output of {subject.given}")
        if not maps:  # as early as the number of outputs is known for sure
            maps = [_label_map(s, dataset, len(k[0])) for s, k in zip(subjects, scores, strict=True)]
        progress("evaluating", len(scores[0]), chosen.wanted)
    progress("evaluating", chosen.wanted, chosen.wanted)
    entries = _entries(subjects, [np.stack(k) for k in scores], maps, labels_of_items[chosen.indices], seed)
    return EvaluationReport(
        data=dataset.name,
        count=len(chosen.indices),
        indices=tuple(chosen.indices),
        left_out=chosen.left_out,
        seed=seed,
        entries=entries,
    )


def _row(entry: Evaluation) -> list[str]:
    result, difference = entry.result, entry.difference
    row = [
        str(entry.subject.given),
        entry.artifact.recipe,
        entry.subject.engine,
        f"{100 * result.top1:.2f}",
        f"{100 * result.top1_low:.1f}-{100 * result.top1_high:.1f}",
        "-" if result.top5 is None else f"{100 * result.top5:.2f}",
        f"{result.ece:.3f}",
        f"{entry.subject.seconds:.1f}",
    ]
    if difference is None:
        return [*row, "-", "-", "-", "-"]
    return [
        *row,
        f"{100 * difference.agreement:.2f}",
        f"{100 * difference.top1_difference:+.2f}",
        f"{100 * difference.top1_difference_low:+.2f} to {100 * difference.top1_difference_high:+.2f}",
        f"{difference.mcnemar_p:.3g}",
    ]


def _require_classifier(subject: Subject) -> None:
    task = subject.artifact.card.task
    if task is not None and task not in TASKS:
        raise InputError(f"The card of {subject.given} states the task {task}; evaluate measures {TASK}.")


def _label_map(subject: Subject, data: Dataset, outputs: int) -> LabelMap:
    return match_labels(data, outputs, subject.artifact.card.labels, model=str(subject.given))


def _entries(
    subjects: Sequence[Subject],
    scores: Sequence[npt.NDArray[Any]],
    maps: Sequence[LabelMap],
    labels: npt.NDArray[np.int64],
    seed: int,
) -> tuple[Evaluation, ...]:
    results = [evaluate_classification(s, m.outputs(labels)) for s, m in zip(scores, maps, strict=True)]
    classes = [m.class_ids(s.argmax(axis=1)) for s, m in zip(scores, maps, strict=True)]
    entries = []
    for index, (subject, result) in enumerate(zip(subjects, results, strict=True)):
        difference = None
        if index:
            low, high = difference_interval(results[0].correct, result.correct, seed=seed)
            difference = Difference(
                agreement=float(np.mean(classes[0] == classes[index])),
                top1_difference=result.top1 - results[0].top1,
                top1_difference_low=low,
                top1_difference_high=high,
                mcnemar_p=mcnemar_p(results[0].correct, result.correct),
            )
        entries.append(Evaluation(subject=subject, result=result, classes=classes[index], difference=difference))
    return tuple(entries)
