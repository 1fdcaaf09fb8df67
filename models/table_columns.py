"""The columns of a table that a model learns: their mean and deviation, and what looks like none to learn from."""

import numpy as np
import numpy.typing as npt

from edgekit.data import Dataset
from edgekit.errors import DataError
from edgekit.tabular import Column, Tabular
from edgekit.tasks.anomalies import normal_items

LABEL_NAMES = ("anomaly", "class", "fraud", "outlier", "target", "y")
"""What others call the column of labels, in whatever case."""


def tabular_of(data: Dataset) -> Tabular:
    """Mean and deviation of every column over the normal rows of ``data``.

    `DataError` for a column without any, and of data without labels for one that looks like them: it is called as in
    `LABEL_NAMES`, and holds 0 and 1 alone.
    """
    rows = _rows(normal_items(data))
    names = _names(data, rows.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # judged below
        means, scales = rows.mean(axis=0), rows.std(axis=0)
    for name, column, scale in zip(names, rows.T, scales, strict=True):
        if data.labels is None and name.casefold() in LABEL_NAMES and np.isin(column, (0, 1)).all():
            raise DataError(
                f"{data.name} has {name}, of 0 and 1 alone, and no column label; expected to know which rows are "
                f"anomalies: if {name} says it, call it label, or leave it out."
            )
        if not np.isfinite(scale):
            raise DataError(
                f"{data.name} has {name} up to {np.abs(column).max():g}, whose squares are beyond float64; expected "
                "smaller numbers: give the column in another unit, or leave it out."
            )
        if column.min() == column.max() or not scale > 0:
            raise DataError(
                f"{data.name} has {name} {column[0]:g} in all {len(rows):,} normal rows to learn from; expected a "
                "column that varies: leave it out."
            )
    return Tabular(
        columns=tuple(
            Column(name=name, mean=float(mean), scale=float(scale))
            for name, mean, scale in zip(names, means, scales, strict=True)
        )
    )


def remarks_on(data: Dataset) -> tuple[str, ...]:
    """A sentence on each column of whole numbers that rise, or fall, from every row of ``data`` to the next."""
    rows = _rows(data)
    whole, steps = (rows == np.rint(rows)).all(axis=0), np.sign(np.diff(rows, axis=0))
    counting = whole & (np.abs(steps.sum(axis=0)) == len(steps))
    return tuple(
        f"{name} is another number in every row; leave it out if it counts rows."
        for name, counts in zip(_names(data, rows.shape[1]), counting, strict=True)
        if counts
    )


def _rows(data: Dataset) -> npt.NDArray[np.float64]:
    return np.stack([np.asarray(item, np.float64) for item in data])


def _names(data: Dataset, count: int) -> tuple[str, ...]:
    return data.columns or tuple(f"x{number}" for number in range(1, count + 1))
