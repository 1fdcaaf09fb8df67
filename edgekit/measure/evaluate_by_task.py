"""Which metric a model is measured by: told by the cards of the files, and by the data."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edgekit.artifact import open_artifact
from edgekit.data import Dataset
from edgekit.errors import InputError
from edgekit.measure.evaluate import evaluate
from edgekit.measure.evaluate_detection import evaluate_detection
from edgekit.measure.evaluate_generation import evaluate_generation
from edgekit.measure.evaluate_kinds import KindReport, evaluate_kind
from edgekit.measure.evaluate_verification import VerificationReport, evaluate_verification
from edgekit.measure.few import few_of_kinds, few_people
from edgekit.measure.kinds import KINDS
from edgekit.tasks import classification, detection, generation, verification
from edgekit.tasks.anomalies import AnomalyResult
from edgekit.tasks.labels import require_labels


class Report(Protocol):
    """What every evaluation tells."""

    @property
    def count(self) -> int:
        """Items that were judged."""

    @property
    def left_out(self) -> int:
        """Items that had calibrated or trained a file."""

    @property
    def host(self) -> Mapping[str, Any]:
        """Facts of the device."""

    def results(self) -> list[dict[str, Any]]:
        """One JSON object for each file."""

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""


def _of_kind(
    paths: Sequence[Path],
    data: Dataset,
    *,
    task: str,
    preprocess: str | None = None,
    labels: tuple[str, ...] | None = None,
    **options: Any,
) -> Report:
    if preprocess is not None or labels is not None:
        raise InputError(f"--preprocess and --labels are of images and classes; leave them out for {task}.")
    return evaluate_kind(paths, data, task=task, **options)


METRICS: Mapping[str, Callable[..., Report]] = {
    classification.TASK: evaluate,
    classification.TEXT_TASK: evaluate,
    detection.TASK: evaluate_detection,
    generation.TASK: evaluate_generation,
    verification.TASK: evaluate_verification,
    **{task: partial(_of_kind, task=task) for task in KINDS},
}
"""What measures the models of a task."""


def evaluate_by_task(
    paths: Sequence[Path],
    data: Dataset,
    *,
    decoder: str | None = None,
    judge: Path | None = None,
    passes: int | None = None,
    ood: Dataset | None = None,
    **options: Any,
) -> Report:
    """Measure the files at ``paths`` on ``data`` by the metric of their task; ``options`` are those of `evaluate`.

    With a ``judge``, or a generator among the cards, they are generators; with boxes in the data, or a ``decoder``,
    they are detectors; where neither cards nor data say otherwise they are classifiers. `InputError` for files of
    several tasks, and for ``passes`` or ``ood`` where they are no classifiers.
    """
    task = task_of(paths, data, decoder=decoder, judge=judge)
    own: dict[str, Any] = {} if task not in (detection.TASK, generation.TASK) else {"decoder": decoder}
    if task == generation.TASK:
        own["judge"] = judge
    if task in classification.TASKS:
        own |= {"passes": passes, "ood": ood}
    elif passes is not None or ood is not None:
        raise InputError(f"--passes and --ood are for classifiers; leave them out for {task}.")
    return METRICS[task](paths, data, **options, **own)


def task_of(paths: Sequence[Path], data: Dataset, *, decoder: str | None = None, judge: Path | None = None) -> str:
    """The task that the files at ``paths`` are measured in on ``data``."""
    if judge is not None or any(open_artifact(path).card.generator is not None for path in paths):
        return generation.TASK
    if data.boxes is not None or decoder is not None:
        return detection.TASK
    stated = {task: path for path in paths if (task := open_artifact(path).card.task) in METRICS}
    if len(stated) > 1:
        told = " and ".join(f"{path} is for {task}" for task, path in stated.items())
        raise InputError(f"{told}; expected files of one task: evaluate them apart.")
    told_by_data = (task for task, kind in KINDS.items() if kind.tells and kind.fits(data))
    return next(iter(stated), None) or next(told_by_data, classification.TASK)


def notes_on(report: Report) -> tuple[str, ...]:
    """What is to be said of the figures of ``report`` beside them."""
    if isinstance(report, VerificationReport):
        return few_people(report.people)
    if isinstance(report, KindReport) and isinstance(result := report.entries[0].result, AnomalyResult):
        return few_of_kinds(result.anomalies, result.count)
    return ()


def require_truth(data: Dataset) -> None:
    """`DataError` for ``data`` that has nothing to compare answers with."""
    if data.boxes is None and not any(kind.tells and kind.fits(data) for kind in KINDS.values()):
        require_labels(data)
