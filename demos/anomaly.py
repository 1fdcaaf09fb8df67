"""The most anomalous items of a data set, and which columns made them so."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import open_artifact
from edgekit.data import Dataset, Item
from edgekit.data.images import ImageFiles, is_image_name
from edgekit.data.table_rows import rows_for
from edgekit.demos.line_plot import Line, Panel
from edgekit.errors import InputError
from edgekit.measure.anomaly_kind import score_of
from edgekit.measure.data_for import data_for
from edgekit.measure.few import few_of_kinds
from edgekit.measure.held_out import HeldOut
from edgekit.measure.predict_tables import verdict
from edgekit.measure.subjects import Subject, open_subjects, run_one, run_subjects
from edgekit.tasks import anomalies
from edgekit.tasks.anomalies import AnomalyResult
from edgekit.workers import Progress, silent

Floats = npt.NDArray[np.float64]
CAUSES = 3
"""Columns that are told of a row."""
_RECONSTRUCTION = "reconstruction"
_PERCENT = np.arange(1, 101)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A column whose squared error is the ``share`` of the sum over a row, and the row's ``value`` of it."""

    column: str
    share: float
    value: float

    @property
    def words(self) -> str:
        """It in a few words."""
        return f"{self.column} {self.value:.4g} ({100 * self.share:.0f} %)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An item, counted from 1, its score and the verdict on it, its label where known, and the worst columns.

    ``source`` is the file, the line, or the place in an array that it is from; none of known sets.
    """

    item: int
    source: str | None
    score: float
    verdict: str
    label: int | None
    causes: tuple[Cause, ...]

    def to_json(self) -> dict[str, Any]:
        """One object of ``--json``."""
        columns = [{"column": c.column, "share": c.share, "value": c.value} for c in self.causes]
        return {
            "item": self.item,
            "source": self.source,
            "score": self.score,
            "verdict": self.verdict,
            "label": self.label,
            "columns": columns,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a detector says of ``data``: ``scores`` (count,) of all items but the ``left_out`` ones, and the highest.

    ``anomalous`` (count,) is the truth and ``result`` what the scores come to beside it, none where it is not known.
    """

    subject: Subject
    data: str
    scores: Floats
    anomalous: npt.NDArray[np.bool_] | None
    result: AnomalyResult | None
    left_out: int
    top: tuple[Found, ...]

    def results(self) -> list[dict[str, Any]]:
        """One JSON object."""
        card = self.subject.artifact.card.anomaly
        assert card is not None  # noqa: S101 - by `find`
        return [
            {
                **self.subject.describe(),
                "data": self.data,
                "n": len(self.scores),
                "left_out": self.left_out,
                "threshold": card.threshold,
                "chosen": card.chosen,
                "told": self._told,
                "metrics": self.result.metrics() if self.result is not None else {},
                "top": [found.to_json() for found in self.top],
            }
        ]

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """(title, columns, rows) for people: the items with the highest scores."""
        known, causes = self.anomalous is not None, any(found.causes for found in self.top)
        columns = ["item", "score", "verdict", *(["label"] if known else []), *(["worst columns"] if causes else [])]
        rows = [
            [
                found.source or str(found.item),
                f"{found.score:.4g}",
                found.verdict,
                *([str(found.label)] if known else []),
                *([", ".join(cause.words for cause in found.causes)] if causes else []),
            ]
            for found in self.top
        ]
        highest = "highest score" if len(self.top) == 1 else f"{len(self.top)} highest scores"
        items = "one item" if len(self.scores) == 1 else f"{len(self.scores):,} items"
        return f"The {highest} of {items} of {self.data}", columns, rows

    def lines(self) -> list[str]:
        """Sentences on the threshold, and where the truth is known on how right it is."""
        card = self.subject.artifact.card.anomaly
        assert card is not None  # noqa: S101 - by `find`
        items = "item" if len(self.scores) == 1 else "items"
        have = "has" if self._told == 1 else "have"
        told = [
            f"{self._told:,} of {len(self.scores):,} {items} {have} a score above {card.threshold:.4g}, the threshold "
            f"({card.chosen})."
        ]
        if self.result is not None:
            r = self.result
            precision, recall = (f"{100 * figure:.1f} %" for figure in (r.precision, r.recall))
            are = "is an anomaly" if r.anomalies == 1 else "are anomalies"
            told.append(
                f"{r.anomalies:,} {are}: precision {precision}, recall {recall}; PR-AUC {r.pr_auc:.4f} (95 %: "
                f"{r.pr_auc_low:.4f} to {r.pr_auc_high:.4f}), ROC-AUC {r.roc_auc:.4f}."
            )
            told += few_of_kinds(r.anomalies, r.count)
        return told

    def panels(self) -> Sequence[Panel]:
        """The precision at every hundredth of the recall, and that of chance."""
        assert self.anomalous is not None  # noqa: S101 - `find` has looked
        recall, precision = anomalies.curve(self.scores, self.anomalous)
        reached = precision[np.searchsorted(recall, _PERCENT / 100 - 1e-12)]
        chance = np.full(len(_PERCENT), 100 * self.anomalous.mean())
        title = f"precision, % over recall, % on {self.data}"
        return (Panel(title=title, lines=(Line("scores", 100 * reached), Line("chance", chance)), first=1),)

    @property
    def _told(self) -> int:
        card = self.subject.artifact.card.anomaly
        assert card is not None  # noqa: S101 - by `find`
        return int((self.scores > card.threshold).sum())


def find(
    path: Path,
    data: str,
    *,
    top: int,
    drawn: bool = False,
    data_dir: Path | None = None,
    threads: int = 1,
    engine: str | None = None,
    progress: Progress = silent,
) -> Findings:
    """Let the detector at ``path`` score the items of ``data``, where they have labels those that it has not seen.

    With ``drawn``, `InputError` for data without a truth to draw a curve of.
    """
    card = open_artifact(path).card
    if card.task not in (None, anomalies.TASK):
        raise InputError(f"{path} is for {card.task}; expected a model for {anomalies.TASK}.")
    if card.anomaly is None:
        raise InputError(
            f"The card of {path} does not say which scores are those of anomalies; expected a model for "
            f"{anomalies.TASK} that edgekit trained."
        )
    dataset = _one_image(Path(data)) or data_for([path], data, data_dir=data_dir)
    if card.tabular is not None and _is_image(dataset.items[0]):
        raise InputError(
            f"{path} takes rows of numbers, with the columns {', '.join(card.tabular.names)}; {dataset.name} holds "
            "images: give a .csv."
        )
    labels = None if dataset.labels is None else anomalies.require_binary(dataset)
    known = labels is not None and 0 < int(labels.sum()) < len(labels)
    if drawn and not known:
        raise InputError(
            f"--save draws precision over recall, which takes normal items and anomalies with a label; {dataset.name} "
            f"has {'no labels' if labels is None else 'none of one kind'}: leave it out."
        )
    engines = () if engine is None else (engine,)
    (subject,) = open_subjects([path], preprocess=None, labels=None, threads=threads, engines=engines)
    judged = [] if labels is None else [subject.artifact]  # nothing is claimed of items without a label
    chosen = HeldOut(rows_for(dataset, card.tabular), judged, samples=None, seed=0)
    found: list[float] = []
    progress("scoring", 0, chosen.wanted)
    for (outputs,) in run_subjects([subject], chosen):
        found += map(score_of, outputs)
        progress("scoring", len(found), chosen.wanted)
    scores = np.array(found)
    truth = None if labels is None else labels[chosen.indices] == 1
    result = None
    if truth is not None and 0 < int(truth.sum()) < len(truth):
        result = anomalies.evaluate_anomalies(scores, truth, threshold=card.anomaly.threshold)
    order = np.argsort(-scores, kind="stable")[:top]
    return Findings(
        subject=subject,
        data=dataset.name,
        scores=scores,
        anomalous=truth if result is not None else None,
        result=result,
        left_out=chosen.left_out,
        top=tuple(
            Found(
                item=chosen.indices[place] + 1,
                source=chosen.data.sources[chosen.indices[place]] if chosen.data.sources else None,
                score=float(scores[place]),
                verdict=verdict(float(scores[place]), card),
                label=None if truth is None else int(truth[place]),
                causes=_causes(subject, chosen.data, chosen.indices[place]),
            )
            for place in order
        ),
    )


def _one_image(path: Path) -> Dataset | None:
    """The image at ``path`` as a data set; none where it is called otherwise."""
    if not (is_image_name(path.name) and path.is_file()):
        return None
    return Dataset(name=path.name, items=ImageFiles((path,)), sources=(str(path),))


def _is_image(item: Item) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3


def _causes(subject: Subject, data: Dataset, place: int) -> tuple[Cause, ...]:
    """The columns of a row with the largest errors; none of an image."""
    how = subject.artifact.card.tabular
    row = data.items[place]
    if how is None or not isinstance(row, np.ndarray):
        return ()
    made = run_one(subject, row).get(_RECONSTRUCTION)
    given = subject.feeder.prepare(row)
    if made is None or not isinstance(given, np.ndarray) or made.shape != given.shape:
        return ()
    squares = np.square(given.astype(np.float64) - made)
    total = float(squares.sum())
    return tuple(
        Cause(column=how.names[j], share=float(squares[j]) / total if total else 0.0, value=float(row[j]))
        for j in np.argsort(-squares, kind="stable")[:CAUSES]
    )
