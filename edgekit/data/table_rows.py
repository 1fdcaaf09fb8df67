"""Rows of a table as items for a model: its columns alone, in its order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Dataset, Items
from edgekit.data.tables import require_taken
from edgekit.tabular import Tabular

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Columns:
    """The values at ``places`` of the rows ``items``."""

    items: Items
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int, /) -> Array:
        return np.asarray(self.items[index])[list(self.places)]


def rows_for(data: Dataset, how: Tabular | None) -> Dataset:
    """``data`` with the columns that the model whose card tells ``how`` takes, in its order.

    Data without names of columns is taken to be in that order. `DataError` names the first column that is not there.
    """
    if how is None or not data.columns or data.whole is not None or data.columns == how.names:
        return data
    require_taken(how.names, data.columns, data.name)
    known = {name: place for place, name in enumerate(data.columns)}
    places = [known[name] for name in how.names]
    return replace(data, items=_Columns(data.items, places), columns=how.names)
