"""What the file of a model of tables says of its columns, and how a row of them becomes its input."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import CardError, DataError, cut, listed, quoted

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

MOST_COLUMNS = 100_000
FARTHEST = 1e4
"""So many deviations from the mean is as far as a value is taken to be.

What is as far is an anomaly for certain, and how far beyond says no more. Squared and summed over all columns it is far
within float32, and a layer of a half-precision file may make six times as much of it below the largest float16, 65,504.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of numbers: the model takes (value - ``mean``) / ``scale``."""

    name: str
    mean: float
    scale: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.scale) and self.scale > 0):
            raise CardError(
                f"The column {quoted(self.name)} has the mean {self.mean} and the scale {self.scale}; expected two "
                "finite numbers, the scale above 0."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tabular:
    """The ``columns`` of a table, in the order in which the model takes them."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.columns) <= MOST_COLUMNS:
            raise CardError(f"A table has 1 to {MOST_COLUMNS:,} columns; got {len(self.columns):,}.")
        if len(set(self.names)) != len(self.names):
            raise CardError("A card names a column of its table twice; expected each once.")

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return tuple(column.name for column in self.columns)


def standardized(row: Array, how: Tabular) -> npt.NDArray[np.float32]:
    """A ``row`` (columns,) of real numbers as the model takes it, (columns,) float32; `DataError` where it is none.

    It is worked out in float64, which tells values apart that are close to each other and far from 0, and clipped to
    `FARTHEST` deviations on both sides.
    """
    if row.shape != (len(how.columns),) or row.dtype.kind not in "iuf":
        got = " x ".join(map(str, row.shape)) or "a scalar"
        raise DataError(
            f"A row of the table is {got} {row.dtype}; the model takes {len(how.columns)} numbers: {listed(how.names)}."
        )
    values = row.astype(np.float64)
    if not np.all(np.isfinite(values)):
        worst = int(np.argmin(np.isfinite(values)))
        raise DataError(f"A row of the table has {cut(how.names[worst])} {row[worst]}; expected a finite number.")
    means, scales = _moments(how)
    with np.errstate(over="ignore"):  # clipped
        deviations = (values - means) / scales
    return np.clip(deviations, -FARTHEST, FARTHEST).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _moments(how: Tabular) -> tuple[Floats, Floats]:
    return np.array([c.mean for c in how.columns]), np.array([c.scale for c in how.columns])
