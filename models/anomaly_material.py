"""Normal items to learn from, and anomalies to be told from them: rows of tables, or images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.anomaly import Anomaly
from edgekit.card import Metric, ModelCard
from edgekit.data import Dataset, item_digest
from edgekit.errors import DataError
from edgekit.measure.few import few_of_kinds
from edgekit.models.code_penalties import penalty_of
from edgekit.models.corruption import Corruption
from edgekit.models.images import load_images, split
from edgekit.models.lesson import Course, Terms, itself
from edgekit.models.parts import TEST_FRACTION, read_parts
from edgekit.models.reconstruction_lesson import ReconstructionLesson, Rows, errors_of, reconstruct
from edgekit.models.spec import ModelSpec, Value
from edgekit.models.table_columns import remarks_on, tabular_of
from edgekit.models.variational_autoencoder import variational
from edgekit.preprocessing import Preprocessing
from edgekit.tabular import Tabular, standardized
from edgekit.tasks.anomalies import QUANTILE, best_threshold, evaluate_anomalies, normal_items, require_binary
from edgekit.workers import Progress

Labels = npt.NDArray[np.int64]

THRESHOLD = "threshold"
"""The metric of a trained model that becomes the threshold of its card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyMaterial:
    """Items with the labels 0, normal, or 1; see `edgekit.models.lesson.Material`.

    ``tabular`` is none for images; ``remarks`` are on its columns. ``test`` is a share of ``train`` where it is
    ``held_out``, and then not in it.
    """

    train: Dataset
    test: Dataset
    held_out: bool
    tabular: Tabular | None
    remarks: tuple[str, ...]
    labels = None

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The number of columns."""
        return {} if self.tabular is None else {"features": len(self.tabular.columns)}

    @property
    def keeps_items(self) -> bool:
        """Whether there is no test part."""
        return self.held_out

    def course(self, terms: Terms) -> Course:
        """A share of all items validates, the normal ones of the others are learned."""
        test = self._rows(self.test, terms.preprocessing, terms.progress)
        learn = self._rows(self.train, terms.preprocessing, terms.progress).apart_from(test)
        labels = learn.anomalous.astype(np.int64)
        kept, held = _split(
            labels, terms.preset.validation_fraction, terms.seed, purpose="validation", name=self.train.name
        )
        validation = learn.subset(held)
        draws = "beta" in terms.arguments
        lesson = ReconstructionLesson(
            training=learn.subset(kept).apart_from(validation).normal(),
            validation=validation,
            preset=terms.preset,
            seed=terms.seed,
            share=terms.share,
            penalty=penalty_of(terms.arguments),
            corruption=Corruption.of(terms.arguments),
            noise=int(terms.arguments["code"]) if draws else 0,
        )

        def tested(model: Any) -> tuple[Metric, ...]:
            threshold = self._threshold(errors_of(model, validation), validation)
            errors, name = errors_of(model, test), self._test_name
            normal = errors[~test.anomalous]
            both = 0 < len(normal) < len(errors)
            return (
                *(_figures(errors, test, threshold, name) if both else ()),
                *([Metric(name="reconstruction_error", value=float(normal.mean()), data=name, count=len(normal))]
                  if len(normal) else []),
                Metric(
                    name=THRESHOLD, value=threshold, data=f"{self.train.name}'s validation part", count=len(validation)
                ),
            )  # fmt: skip

        def stated(_model: Any, card: ModelCard) -> ModelCard:
            (threshold,) = (metric.value for metric in card.metrics if metric.name == THRESHOLD)
            by_percentile = f"the {100 * QUANTILE:.0f}th percentile of the scores"
            how = "best F1" if validation.anomalous.any() else by_percentile
            return replace(card, anomaly=Anomaly(threshold=threshold, chosen=f"{how} on the validation part"))

        # Anomalies of the training part that validate nothing count as learned from, so that a table which is evaluated
        # whole is judged on its test share, where anomalies are as frequent as in all of it.
        return Course(
            lesson=lesson,
            learned=learn.digests,
            test=tested,
            learner=variational if draws else itself,
            teacher=reconstruct,
            stated=stated,
            remarks=self.remarks,
        )

    def completed(self, card: ModelCard) -> ModelCard:
        """``card`` with the columns."""
        return replace(card, tabular=self.tabular)

    @property
    def _test_name(self) -> str:
        return f"{self.train.name}, {TEST_FRACTION:.0%} held out" if self.held_out else self.train.name

    def _threshold(self, errors: npt.NDArray[np.float64], rows: Rows) -> float:
        if rows.anomalous.any():
            return best_threshold(errors, rows.anomalous)
        return float(np.quantile(errors, QUANTILE))

    def _rows(self, data: Dataset, preprocessing: Preprocessing | None, progress: Progress) -> Rows:
        anomalous = _labels(data) == 1
        if self.tabular is None:
            assert preprocessing is not None  # noqa: S101 - an entry that takes images has one
            images = load_images(replace(data, labels=_labels(data)), preprocessing, progress=progress)
            return Rows(values=images.pixels, anomalous=anomalous, digests=images.digests, preprocessing=preprocessing)
        values = np.stack([standardized(np.asarray(item), self.tabular) for item in data])
        return Rows(values=values, anomalous=anomalous, digests=tuple(map(item_digest, data)))


def _figures(errors: npt.NDArray[np.float64], test: Rows, threshold: float, name: str) -> list[Metric]:
    found = evaluate_anomalies(errors, test.anomalous, threshold=threshold)
    areas = {"pr_auc": (found.pr_auc_low, found.pr_auc_high), "roc_auc": (found.roc_auc_low, found.roc_auc_high)}
    return [
        *(
            Metric(name=area, value=getattr(found, area), data=name, count=found.count, low=low, high=high)
            for area, (low, high) in areas.items()
        ),
        *(
            Metric(name=figure, value=getattr(found, figure), data=name, count=found.count)
            for figure in ("precision", "recall", "f1")
        ),
    ]


def _labels(data: Dataset) -> Labels:
    """The labels of ``data``, all normal where it has none."""
    return np.zeros(len(data), np.int64) if data.labels is None else require_binary(data)


def anomaly_material(spec: ModelSpec, data: str, data_dir: Path | None) -> AnomalyMaterial:
    """The table or the images called ``data``."""
    parts = read_parts(data, data_dir)
    images = spec.preprocess is not None
    for part in (parts.train, parts.test):
        if part is not None and len(part) and not _fits(part.items[0], images=images):
            raise DataError(
                f"{data} is no data for {spec.name}; expected "
                + ("images" if images else "columns of numbers: a .csv or an .npz with an item a row, or fraud")
                + ", with the labels 0, normal, and 1, anomaly, or all normal"
                + (": a table with dates is a series, so leave its dates out." if part.whole is not None else ".")
            )
    train, test = parts.train, parts.test
    normal_items(train)  # says so where there is none
    if test is None:
        kept, held = _split(_labels(train), TEST_FRACTION, 0, purpose="test", name=train.name, least=3)
        train, test = train.subset(kept.tolist()), train.subset(held.tolist())
    tabular = None if images else tabular_of(train)
    few = few_of_kinds(int(_labels(test).sum()), len(test), what="items of the test")
    remarks = few if images else (*remarks_on(parts.train), *few)
    return AnomalyMaterial(train=train, test=test, held_out=parts.test is None, tabular=tabular, remarks=remarks)


def _split(
    labels: Labels, fraction: float, seed: int, *, purpose: str, name: str, least: int = 2
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """As `split`; an anomaly that is the only one is set aside, since nothing is learned from it.

    So of two anomalies one tests and one validates, and a single one tests. `DataError` where fewer than ``least``
    items are normal.
    """
    normal = np.flatnonzero(labels == 0)
    if len(normal) < least:
        raise DataError(
            f"{name} has {len(normal)} normal item{'' if len(normal) == 1 else 's'} for training and {purpose}; "
            f"expected {least} or more: add some."
        )
    alone = np.flatnonzero(labels == 1)
    if len(alone) != 1:
        return split(labels, fraction, seed, purpose=purpose)
    kept, held = split(labels[normal], fraction, seed, purpose=purpose)
    return normal[kept], np.union1d(normal[held], alone)


def _fits(item: Any, *, images: bool) -> bool:
    if not isinstance(item, np.ndarray):
        return False
    return item.ndim == 3 and item.dtype == np.uint8 if images else item.ndim == 1 and item.dtype.kind in "iuf"
