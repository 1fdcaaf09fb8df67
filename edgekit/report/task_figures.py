"""Which measured figures tell of each task, and how they are written. Loads no framework."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgekit.report.words import percent
from edgekit.tasks import (
    anomalies,
    answers,
    classification,
    detection,
    forecasting,
    generation,
    recommendation,
    text_generation,
    verification,
)
from edgekit.tasks.trials import WAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFigures:
    """The figures of a task in tables, of which the first tells most.

    ``measured`` are the names of those of the Keras model, ``of_files`` those of its files, under ``columns``. A model
    and its files have those of ``where_there``, names and columns of fractions, and of ``beside``, names and what they
    are called outside of these columns, that their kind is measured by. A file loses too much where the first is worse
    by more than ``loss``: lower, or with ``lower_is_better`` higher, with ``relative`` as a part of the model's.
    ``fractions`` are written as percentages.
    """

    title: str
    measured: tuple[str, ...]
    of_files: tuple[str, ...]
    columns: tuple[str, ...]
    loss: float = 0.01
    lower_is_better: bool = False
    relative: bool = False
    fractions: bool = True
    where_there: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)

    def of(self, metrics: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """The figures called ``names`` among ``metrics``, and those that only some have."""
        more = (name for name in (*self.where_there, *self.beside, *self._gap) if name in metrics)
        return {name: metrics[name] for name in (*names, *more)}

    @property
    def _gap(self) -> tuple[str, str]:
        """The ends of the 95 % interval of how much a file's first figure is above the model's."""
        return f"{self.of_files[0]}_difference_low", f"{self.of_files[0]}_difference_high"

    def written(self, value: float) -> str:
        """``value`` for people."""
        return percent(value) if self.fractions else f"{value:.4g}"

    def with_interval(self, metrics: Mapping[str, Any]) -> str:
        """The first figure of ``metrics`` for people, with its 95 % interval where they have one."""
        name = self.of_files[0]
        if f"{name}_low" not in metrics:
            return self.written(metrics[name])
        low, high = (self.written(metrics[f"{name}_{end}"]) for end in ("low", "high"))
        return f"{self.written(metrics[name])} ({low}–{high})"

    @property
    def metric(self) -> str:
        """What the first figure is called, without its unit."""
        return self.columns[0].removesuffix(", %")

    @property
    def further(self) -> dict[str, str]:
        """What all other figures of files are called; their agreement with the model is of no data's truth."""
        titles = dict(zip(self.of_files[1:], self.columns[1:], strict=True))
        titles.pop("agreement", None)
        return {**titles, **self.where_there, **self.beside}

    def written_further(self, name: str, value: float) -> str:
        """The ``value`` of the figure ``name`` of `further` for people, without the unit of its title."""
        return percent(value) if self.further[name].endswith(", %") else f"{value:.4g}"

    @property
    def unit(self) -> str:
        """What follows a written figure."""
        return " %" if self.fractions else ""

    def lost(self, model: float, file: float) -> float:
        """By how much ``file`` is worse than ``model``."""
        lost = file - model if self.lower_is_better else model - file
        if not self.relative or not lost:
            return lost
        return lost / model if model else math.copysign(math.inf, lost)

    @property
    def allowed(self) -> str:
        """What a file may lose, for people."""
        if self.fractions and not self.relative:
            return f"{100 * self.loss:g} point" + ("" if self.loss == 0.01 else "s")
        return f"{100 * self.loss:g} %" if self.relative else f"{self.loss:g}"

    def chance(self, file: Mapping[str, Any]) -> str:
        """What the loss of ``file`` owes to the choice of items, for people; nothing where that is not known."""
        if not file.keys() >= set(self._gap):
            return ""
        scale, unit = (100, " points") if self.fractions else (1, "")
        low, high = (f"{scale * file[name]:+.4g}" for name in self._gap)
        return f" For other items like these the difference would be {low} to {high}{unit} (95 %)."

    def written_loss(self, lost: float) -> str:
        """What `lost` found, for people."""
        if self.relative:
            return f"{100 * lost:.2f} %"
        return f"{100 * lost:.2f} points" if self.fractions else f"{lost:.4f}"


TASK_FIGURES: Mapping[str, TaskFigures] = {
    "classification": TaskFigures(
        title="Top-1",
        measured=("top1", "top1_low", "top1_high"),
        of_files=("top1", "agreement"),
        columns=("top-1, %", "agreement, %"),
        where_there={"ood_auroc": "OOD AUROC, %"},
        beside={
            "nll": "NLL, nats",
            "ece": "calibration error",
            "entropy": "entropy, nats",
            "ood_auroc_low": "OOD AUROC from, %",
            "ood_auroc_high": "OOD AUROC to, %",
        },
    ),
    "detection": TaskFigures(
        title="mAP at .50",
        measured=("map50", "map"),
        of_files=("map50", "map"),
        columns=("mAP .50, %", "mAP .50:.95, %"),
    ),
    "text-classification": TaskFigures(
        title="Top-1",
        measured=("top1", "top1_low", "top1_high"),
        of_files=("top1",),
        columns=("top-1, %",),
    ),
    "text-generation": TaskFigures(
        title="Nats per token",
        measured=("nats_per_token", "perplexity", "top1"),
        of_files=("nats_per_token",),
        columns=("nats per token",),
        loss=0.02,
        lower_is_better=True,
        fractions=False,
    ),
    "forecasting": TaskFigures(
        title="MSE over that of no change",
        measured=("mse_ratio", "mse_ratio_low", "mse_ratio_high", "mse", "persistence_mse"),
        of_files=("mse_ratio", "mse"),
        columns=("MSE over that of no change", "MSE"),
        loss=0.05,
        lower_is_better=True,
        fractions=False,
    ),
    "sequence-to-sequence": TaskFigures(
        title="Right answers",
        measured=("exact", "top1"),
        of_files=("exact", "top1"),
        columns=("right answers, %", "right tokens, %"),
    ),
    "anomaly-detection": TaskFigures(
        title="PR-AUC",
        measured=("pr_auc", "pr_auc_low", "pr_auc_high", "roc_auc"),
        of_files=("pr_auc", "roc_auc"),
        columns=("PR-AUC", "ROC-AUC"),
        loss=0.02,
        relative=True,
        fractions=False,
    ),
    "recommendation": TaskFigures(
        title="MSE over that of item means",
        measured=("mse_ratio", "mse_ratio_low", "mse_ratio_high", "mse", "item_mean_mse", "offset_mse"),
        of_files=("mse_ratio", "mse"),
        columns=("MSE over that of item means", "MSE"),
        loss=0.02,
        lower_is_better=True,
        relative=True,
        fractions=False,
    ),
    generation.TASK: TaskFigures(
        title="Frechet distance",
        measured=("frechet", "precision", "recall"),
        of_files=("frechet", "ssim"),
        columns=("Frechet distance", "SSIM"),
        loss=0.05,
        lower_is_better=True,
        relative=True,
        fractions=False,
        where_there={"conditional_accuracy": "asked class, %", "purity": "purity, %"},
    ),
    verification.TASK: TaskFigures(
        title="Equal error rate",
        measured=("eer", "eer_low", "eer_high", "auc"),
        of_files=("eer", "auc"),
        columns=("equal error rate, %", "area under the curve, %"),
        loss=0.02,
        lower_is_better=True,
        relative=True,
        where_there={f"one_shot_{ways}": f"{ways}-way, %" for ways in WAYS},
        beside={f"pixels_{ways}": f"nearest pixels, {ways}-way, %" for ways in WAYS},
    ),
}

_TOLD_BY: Mapping[str, str] = {
    "frechet": generation.TASK,
    "item_mean_mse": recommendation.TASK,
    "mse_ratio": forecasting.TASK,
    "nats_per_token": text_generation.TASK,
    "pr_auc": anomalies.TASK,
    "eer": verification.TASK,
    "exact": answers.TASK,
    "map50": detection.TASK,
    "top1": classification.TASK,
}
"""Tasks by a figure that tells of them, the first that is there: models of texts have a top-1 too."""
MEASURED: Mapping[str, TaskFigures] = {task: TASK_FIGURES[task] for task in _TOLD_BY.values()}
"""The tasks that metrics alone tell of; those of classifiers of texts are those of classifiers."""


def task_of(metrics: Container[str]) -> str | None:
    """The task of `MEASURED` whose evaluation gave ``metrics``; None where its first figure is not among them."""
    task = next((task for name, task in _TOLD_BY.items() if name in metrics), None)
    return task if task is not None and TASK_FIGURES[task].of_files[0] in metrics else None
