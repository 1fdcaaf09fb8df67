"""How the files of a task are measured: a score of each item, what all come to, the difference of two files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard
from edgekit.data.base import Dataset
from edgekit.errors import DataError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class Result(Protocol):
    """What the scores of one file come to."""

    @property
    def count(self) -> int:
        """Of the items."""

    def metrics(self) -> dict[str, float]:
        """All figures by their JSON names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How files of a ``task`` are measured.

    ``how`` takes from a card what the rest needs, ``missing`` ends a sentence on a card that lacks it. ``score`` makes
    a row of numbers of the outputs by name, without a batch axis, for the item at a place of the data. ``columns`` name
    for people the figures that ``cells`` makes of a file's metrics, ``difference_columns`` those that
    ``difference_cells`` makes of its difference from the first. ``fits`` tells whether data is of this kind, which is
    ``wanted``, and whose items are called ``items``. With ``in_time`` scores are put in the order of the items. Where
    data that fits ``tells`` nothing of the task, since other models learn from such data too, only a card can name it.
    """

    task: str
    wanted: str
    missing: str
    fits: Callable[[Dataset], bool]
    how: Callable[[ModelCard], Any]
    score: Callable[[Mapping[str, Array], Dataset, int, Any], tuple[float, ...]]
    result: Callable[[Floats, Any, int], Result]
    difference: Callable[[Any, Any, Any, int], dict[str, float]]
    columns: Sequence[str]
    cells: Callable[[Mapping[str, float]], list[str]]
    difference_columns: Sequence[str]
    difference_cells: Callable[[Mapping[str, float]], list[str]]
    items: str = "items"
    in_time: bool = False
    tells: bool = True


def only(outputs: Mapping[str, Array]) -> Array:
    """The output of a file that has one; `DataError` for several."""
    if len(outputs) != 1:
        raise DataError(f"The file has {len(outputs)} outputs ({', '.join(outputs)}); expected one.")
    return next(iter(outputs.values()))


def shape_of(values: Array) -> str:
    """The shape of an output, for messages."""
    return " x ".join(map(str, values.shape)) or "a scalar"
