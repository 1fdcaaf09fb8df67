"""How good the files of a task are whose items each get a score, on the same held-out ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data import Dataset
from edgekit.devices import open_device
from edgekit.devices.engines import LOCAL
from edgekit.errors import DataError, InputError
from edgekit.measure.data_for import data_for
from edgekit.measure.held_out import HeldOut
from edgekit.measure.judged import Judged, row_of
from edgekit.measure.kind import Kind, Result
from edgekit.measure.kinds import KINDS
from edgekit.measure.subjects import Subject, on_device, open_subjects, run_subjects
from edgekit.workers import Progress, silent

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindReport:
    """Results of files of one ``kind`` on ``count`` items of the data set ``data``, those at ``indices``.

    ``left_out`` ones had calibrated or trained a file; ``scores`` are the rows of each file, (count, scores). ``host``
    are the facts of the device, by `evaluate_kind`.
    """

    kind: Kind
    data: str
    count: int
    indices: tuple[int, ...]
    left_out: int
    seed: int
    entries: tuple[Judged[Result], ...]
    scores: tuple[Floats, ...] = field(repr=False)
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
                task=self.kind.task,
            )
            for entry in self.entries
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people."""
        kind, several = self.kind, len(self.entries) > 1
        columns = ["file", "recipe", "engine", *kind.columns, "seconds", *(kind.difference_columns if several else ())]
        rows = []
        for entry in self.entries:
            subject, difference = entry.subject, entry.difference
            told = kind.difference_cells(difference) if difference else ["-"] * len(kind.difference_columns)
            rows.append(
                [
                    *(str(subject.given), subject.artifact.recipe, subject.engine),
                    *kind.cells(entry.metrics()),
                    f"{subject.seconds:.1f}",
                    *(told if several else ()),
                ]
            )
        where = on_device(entry.subject for entry in self.entries)
        return f"{kind.task.capitalize()} on {self.count:,} {kind.items} of {self.data}{where}", columns, rows


def evaluate_kind(
    paths: Sequence[Path],
    data: Dataset | str,
    *,
    task: str,
    data_dir: Path | None = None,
    samples: int | None = None,
    threads: int = 1,
    engines: Sequence[str] = (),
    seed: int = 0,
    device: str = LOCAL,
    progress: Progress = silent,
) -> KindReport:
    """Run the files at ``paths``, of one ``task`` of `edgekit.measure.kinds.KINDS`, on the same items.

    As `edgekit.measure.evaluate.evaluate` with files, items and the device. A long text or a series is cut into the
    windows that the files take.
    """
    dataset = data_for(paths, data, data_dir=data_dir)
    with open_device(device) as where:
        subjects = open_subjects(paths, preprocess=None, labels=None, threads=threads, engines=engines, device=where)
        require_fit(task, dataset)
        report = evaluate_kind_subjects(subjects, dataset, task=task, samples=samples, seed=seed, progress=progress)
        return replace(report, host=where.host())


def evaluate_kind_subjects(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    task: str,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> KindReport:
    """As `evaluate_kind`, for files that are open and data that fits (`require_fit`), or some of its windows."""
    kind = KINDS[task]
    hows = [_how(subject, kind) for subject in subjects]
    chosen = HeldOut(dataset, [s.artifact for s in subjects], samples=samples, seed=seed)
    scores: list[list[tuple[float, ...]]] = [[] for _ in subjects]
    progress("evaluating", 0, chosen.wanted)
    for outputs in run_subjects(subjects, chosen):
        for subject, how, answers, kept in zip(subjects, hows, outputs, scores, strict=True):
            for answer in answers:
                try:
                    kept.append(kind.score(answer, chosen.data, chosen.indices[len(kept)], how))
                except DataError as error:
                    raise DataError(f"{subject.given}: {error}") from None
        progress("evaluating", len(scores[0]), chosen.wanted)
    progress("evaluating", chosen.wanted, chosen.wanted)
    order = np.argsort(chosen.indices) if kind.in_time else np.arange(len(chosen.indices))
    rows = [np.array(kept, np.float64)[order] for kept in scores]
    results = [kind.result(row, how, seed) for row, how in zip(rows, hows, strict=True)]
    return KindReport(
        kind=kind,
        data=dataset.name,
        count=len(chosen.indices),
        indices=tuple(chosen.indices[place] for place in order),
        left_out=chosen.left_out,
        seed=seed,
        scores=tuple(rows),
        entries=tuple(
            Judged(
                subject=subject,
                result=result,
                difference=kind.difference(results[0], result, hows[0], seed) if number else None,
            )
            for number, (subject, result) in enumerate(zip(subjects, results, strict=True))
        ),
    )


def require_fit(task: str, dataset: Dataset) -> None:
    """`DataError` for a ``dataset`` that files for ``task`` are not measured on."""
    if not KINDS[task].fits(dataset):
        raise DataError(f"{dataset.name} is not what {task} is measured on; expected {KINDS[task].wanted}.")


def _how(subject: Subject, kind: Kind) -> Any:
    """What the kind takes from the card; `InputError` where it says nothing of it."""
    how = kind.how(subject.artifact.card)
    if how is None:
        raise InputError(
            f"The card of {subject.given} {kind.missing}, which {kind.task} needs: take a model that edgekit trained "
            "and converted."
        )
    return how
