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
from edgekit.measure.judged import row_of
from edgekit.measure.paired import difference_interval, mcnemar_p, mean_difference_interval
from edgekit.measure.passes import (
    Told,
    in_passes,
    passes_in_words,
    passes_of,
    require_passes,
    require_probabilities,
    takes_noise,
)
from edgekit.measure.strangers import Strangers, strange_scores, told_apart
from edgekit.measure.subjects import Subject, on_device, open_subjects
from edgekit.tasks.classification import TASK, TASKS, Certainty, ClassificationResult, evaluate_classification
from edgekit.tasks.labels import LabelMap, match_labels, require_labels
from edgekit.workers import Progress, silent

_MATRIX_LIMIT = 100  # larger confusion matrices are left out of the JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file beside the first on the same items.

    ``agreement`` of the predicted classes (a fraction), the differences in top-1 accuracy and in negative
    log-likelihood with their 95 % intervals (paired bootstrap), that in calibration error, and McNemar's exact p.
    Those of log-likelihood and calibration are none where one of the files tells no probabilities.
    """

    agreement: float
    top1_difference: float
    top1_difference_low: float
    top1_difference_high: float
    mcnemar_p: float
    nll_difference: float | None = None
    nll_difference_low: float | None = None
    nll_difference_high: float | None = None
    ece_difference: float | None = None

    def metrics(self) -> dict[str, float]:
        """The figures by their JSON names."""
        figures = {name: getattr(self, name) for name in Difference.__slots__}
        return {name: value for name, value in figures.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One file's result. ``difference`` compares it with the first file; the first has none.

    ``classes`` (count,) are the class ids of the data that it answered; negative where the data has no such class. Each
    item went through it in ``passes`` passes. ``strangers`` tells how well its entropy knows items of other data, where
    there are some.
    """

    subject: Subject
    result: ClassificationResult
    classes: npt.NDArray[np.int64]
    difference: Difference | None
    passes: int = 1
    strangers: Strangers | None = None

    @property
    def artifact(self) -> Artifact:
        """The file."""
        return self.subject.artifact

    def metrics(self) -> dict[str, float]:
        """All figures by their JSON names."""
        figures = self.result.metrics()
        if self.difference is not None:
            figures |= self.difference.metrics()
        return figures if self.strangers is None else figures | self.strangers.metrics()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """Results on ``count`` items of the data set ``data``, those at ``indices``.

    ``left_out`` ones had calibrated or trained a file. ``strange`` is the name of other data, of which all files saw
    ``strange_count`` items, without ``strange_left_out`` that one had seen before. ``host`` are the facts of the
    device, by `evaluate`.
    """

    data: str
    count: int
    indices: tuple[int, ...]
    left_out: int
    seed: int
    entries: tuple[Evaluation, ...]
    strange: str | None = None
    strange_count: int = 0
    strange_left_out: int = 0
    host: Mapping[str, Any] = field(default_factory=dict)

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each file."""
        return [
            row_of(
                entry.subject,
                entry.metrics(),
                data=self.data,
                count=self.count,
                left_out=self.left_out,
                seed=self.seed,
                **({"passes": entry.passes} if takes_noise(entry.subject) else {}),
                **self._told_of_strange(),
                **(
                    {"confusion_matrix": entry.result.confusion.tolist()}
                    if len(entry.result.confusion) <= _MATRIX_LIMIT
                    else {}
                ),
            )
            for entry in self.entries
        ]

    def _told_of_strange(self) -> dict[str, str | int]:
        if self.strange is None:
            return {}
        return {"ood": self.strange, "ood_n": self.strange_count, "ood_left_out": self.strange_left_out}

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        columns = ["file", "recipe", "engine", "top-1 %", "95 %", "top-5 %", "ECE", "NLL", "entropy", "seconds"]
        if len(self.entries) > 1:
            columns += ["agreement %", "difference, points", "95 %", "p"]
        rows = [_row(e)[: len(columns)] for e in self.entries]
        where, strange = on_device(e.subject for e in self.entries), ""
        noise = passes_in_words(e.passes for e in self.entries if takes_noise(e.subject))
        if self.strange is not None:
            columns += ["OOD AUROC %", "95 %", *(["difference, points", "95 %"] if len(self.entries) > 1 else [])]
            rows = [(row + _strange_row(e))[: len(columns)] for row, e in zip(rows, self.entries, strict=True)]
            strange = f", told by entropy from {self.strange_count:,} items of {self.strange}"
        return f"Accuracy on {self.count:,} items of {self.data}{noise}{strange}{where}", columns, rows


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
    passes: int | None = None,
    ood: Dataset | None = None,
    progress: Progress = silent,
) -> EvaluationReport:
    """Classify the same items with the model files at ``paths`` and compare with the labels of ``data``.

    A file comes once for each of ``engines`` that runs it, or in the engine of its format where none is named. It runs
    on ``device``, and what it is fed is prepared here. Items that calibrated or trained any of the files, by the
    records in their cards, are left out for all of them. ``samples`` items are drawn with ``seed``, all are used
    without it. A Bayesian classifier that takes noise sees an item in ``passes`` passes, or as many as its card says,
    whose probabilities are averaged. With ``ood``, data of another kind, it is told too how well the predictive entropy
    knows its items from those of ``data``. ``preprocess`` is as in `edgekit.feeding.resolve_preprocessing`. Where a
    card says that scores are independent, nothing is told of probabilities, and ``ood`` is refused. `InputError` or
    `DataError` when data and models do not fit each other.
    """
    dataset = open_data(data, part=Part.EVALUATION, data_dir=data_dir) if isinstance(data, str) else data
    require_labels(dataset)
    with open_device(device) as where:
        subjects = open_subjects(
            paths, preprocess=preprocess, labels=labels, threads=threads, engines=engines, device=where
        )
        report = evaluate_subjects(
            subjects, dataset, samples=samples, seed=seed, passes=passes, ood=ood, progress=progress
        )
        return replace(report, host=where.host())


def evaluate_subjects(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    samples: int | None = None,
    seed: int = 0,
    passes: int | None = None,
    ood: Dataset | None = None,
    progress: Progress = silent,
) -> EvaluationReport:
    """As `evaluate`, for files that are open."""
    labels_of_items = require_labels(dataset)
    for subject in subjects:
        _require_classifier(subject)
    require_passes(subjects, passes)
    if ood is not None:
        require_probabilities(subjects, "--ood")
    chosen = HeldOut(dataset, [s.artifact for s in subjects], samples=samples, seed=seed)
    told = [Told() for _ in subjects]
    maps: list[LabelMap] = []
    progress("evaluating", 0, chosen.wanted)
    for done in in_passes(subjects, chosen, told, passes=passes):
        if not maps:  # as early as the number of outputs is known for sure
            maps = [_label_map(s, dataset, len(t.scores[0])) for s, t in zip(subjects, told, strict=True)]
        progress("evaluating", done, chosen.wanted)
    progress("evaluating", chosen.wanted, chosen.wanted)
    entries = _entries(subjects, told, maps, labels_of_items[chosen.indices], seed)
    entries = tuple(replace(e, passes=passes_of(e.subject, passes)) for e in entries)
    strange: dict[str, Any] = {}
    if ood is not None:
        scores, seen = strange_scores(
            subjects, ood, known=dataset, samples=samples, seed=seed, passes=passes, progress=progress
        )
        strangers = told_apart([each.stacked()[0] for each in told], scores)
        entries = tuple(replace(e, strangers=s) for e, s in zip(entries, strangers, strict=True))
        strange = {"strange": ood.name, "strange_count": len(seen.indices), "strange_left_out": seen.left_out}
    return EvaluationReport(
        data=dataset.name,
        count=len(chosen.indices),
        indices=tuple(chosen.indices),
        left_out=chosen.left_out,
        seed=seed,
        entries=entries,
        **strange,
    )


def _row(entry: Evaluation) -> list[str]:
    result, difference = entry.result, entry.difference
    sure = result.certainty
    row = [
        str(entry.subject.given),
        entry.artifact.recipe,
        entry.subject.engine,
        f"{100 * result.top1:.2f}",
        f"{100 * result.top1_low:.1f}-{100 * result.top1_high:.1f}",
        "-" if result.top5 is None else f"{100 * result.top5:.2f}",
        *(["-"] * 3 if sure is None else (f"{sure.ece:.3f}", f"{sure.nll:.4f}", f"{sure.entropy:.4f}")),
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


def _strange_row(entry: Evaluation) -> list[str]:
    found = entry.strangers
    assert found is not None  # noqa: S101 - all files saw the other data
    apart = found.apart
    row = [f"{100 * apart.value:.2f}", f"{100 * apart.low:.1f}-{100 * apart.high:.1f}"]
    if found.difference is None:
        return [*row, "-", "-"]
    gap, low, high = (f"{100 * figure:+.2f}" for figure in found.difference)
    return [*row, gap, f"{low} to {high}"]


def _require_classifier(subject: Subject) -> None:
    task = subject.artifact.card.task
    if task is not None and task not in TASKS:
        raise InputError(f"The card of {subject.given} states the task {task}; evaluate measures {TASK}.")


def _label_map(subject: Subject, data: Dataset, outputs: int) -> LabelMap:
    return match_labels(data, outputs, subject.artifact.card.labels, model=str(subject.given))


def _entries(
    subjects: Sequence[Subject],
    told: Sequence[Told],
    maps: Sequence[LabelMap],
    labels: npt.NDArray[np.int64],
    seed: int,
) -> tuple[Evaluation, ...]:
    stacked = [each.stacked() for each in told]
    results = [
        evaluate_classification(
            scores, m.outputs(labels), pass_entropies=entropies, independent=s.artifact.card.independent_scores
        )
        for s, (scores, entropies), m in zip(subjects, stacked, maps, strict=True)
    ]
    classes = [m.class_ids(scores.argmax(axis=1)) for (scores, _), m in zip(stacked, maps, strict=True)]
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
                **_certainty_differences(results[0].certainty, result.certainty, seed),
            )
        entries.append(Evaluation(subject=subject, result=result, classes=classes[index], difference=difference))
    return tuple(entries)


def _certainty_differences(first: Certainty | None, other: Certainty | None, seed: int) -> dict[str, float]:
    if first is None or other is None:
        return {}
    low, high = mean_difference_interval(first.losses, other.losses, seed=seed)
    return {
        "nll_difference": other.nll - first.nll,
        "nll_difference_low": low,
        "nll_difference_high": high,
        "ece_difference": other.ece - first.ece,
    }
