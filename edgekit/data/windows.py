"""A long text or series as items: windows that a model of a certain length takes, with the step that follows them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from edgekit.data.base import Dataset, Part
from edgekit.errors import DataError, listed, quoted
from edgekit.sequences import Sequences

Array = npt.NDArray[Any]

DEFAULT_LENGTH = 100
"""Steps of the windows of data that no model has been chosen for yet."""
TEST_FRACTION = 0.1
"""Of a text or series, its end: what comes later is forecast from what comes before, never the other way round."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of ``length`` + 1 steps of ``whole``, a new one every ``stride`` steps; the rest at the end is not seen.

    >>> list(Windows("abcdefg", 2, 2))
    ['abc', 'cde', 'efg']
    """

    whole: str | Array
    length: int
    stride: int

    def __len__(self) -> int:
        return max(0, (len(self.whole) - self.length - 1) // self.stride + 1)

    def __getitem__(self, index: int, /) -> str | Array:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start = (index % len(self)) * self.stride
        return self.whole[start : start + self.length + 1]


def windows(data: Dataset, length: int, *, stride: int | None = None) -> Dataset:
    """The windows of ``data`` for a model that takes ``length`` steps.

    Each begins ``stride`` steps after the one before: by default ``length`` in a text, so that every token is foretold
    once, and 1 in a series. `DataError` where it is no long text or series, or too short for one window.
    """
    whole = data.whole
    if whole is None:
        raise DataError(
            f"{data.name} is no long text or series; expected a .txt file, or a .csv with a column of values."
        )
    items = Windows(whole, length, stride or (length if isinstance(whole, str) else 1))
    if not len(items):
        what = "characters" if isinstance(whole, str) else "rows"
        raise DataError(f"{data.name} has {len(whole):,} {what}; one window takes {length + 1:,}: give longer data.")
    return replace(data, items=items, labels=None)


def cut_for(data: Dataset, sequences: Sequences | None) -> Dataset:
    """``data`` as items for the model whose card tells of ``sequences``: windows of its length where it has any.

    Texts and tables with an item a row are as they are, and so is data for a model that is told nothing of.
    """
    if data.whole is None or sequences is None:
        return data
    how = sequences.text if isinstance(data.whole, str) else sequences.series
    if how is None:
        raise DataError(
            f"{data.name} is {'a text' if isinstance(data.whole, str) else 'a series'}; the model takes "
            f"{'a series' if sequences.series is not None else 'texts'}: give data of its kind."
        )
    if sequences.series is not None:
        data = _columns(data, sequences.series.columns)
    return windows(data, how.length)


def _columns(data: Dataset, wanted: Sequence[str]) -> Dataset:
    """The series ``data`` with the columns ``wanted`` alone, in their order."""
    assert not isinstance(data.whole, str)  # noqa: S101
    assert data.whole is not None  # noqa: S101
    known = {name: place for place, name in enumerate(data.columns)}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise DataError(f"{data.name} lacks the column {quoted(missing[0])}; it has: {listed(data.columns)}.")
    chosen = [known[name] for name in wanted]
    return replace(data, whole=data.whole[:, chosen], columns=tuple(wanted))


def long_data(
    whole: str | Array, part: Part | None, *, name: str, columns: Sequence[str] = (), test: float = TEST_FRACTION
) -> Dataset:
    """``whole`` as a data set; of a ``part`` its end, the share ``test``, for evaluation, and the rest for all else."""
    if part is not None:
        cut = len(whole) - int(len(whole) * test)
        whole = whole[cut:] if part is Part.EVALUATION else whole[:cut]
    length = min(DEFAULT_LENGTH, max(1, len(whole) - 1))
    step = length if isinstance(whole, str) else 1
    return Dataset(name=name, items=Windows(whole, length, step), whole=whole, columns=tuple(columns))
