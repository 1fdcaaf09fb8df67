"""Series: the columns of numbers of a table, a row a time, the oldest first."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.data.base import Dataset, Part
from edgekit.data.csv_table import Table, parse_table, require_columns
from edgekit.data.packed import kind_of, stem_of, unpacked
from edgekit.data.windows import long_data
from edgekit.errors import DataError, cut, listed, quoted

FORECAST = "Close"
"""The column that is forecast where none is chosen and there is one of this name; else it is the last one."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[nN]a[nN]")


def chosen_columns(spec: str) -> tuple[Path, tuple[str, ...]]:
    """The path of a table and the columns after its colon, none where there is no colon.

    >>> chosen_columns("prices.csv:Close,Volume")[1]
    ('Close', 'Volume')
    """
    path, colon, columns = spec.rpartition(":")
    if not colon or kind_of(Path(path)) != ".csv":
        return Path(spec), ()
    return Path(path), tuple(name.strip() for name in columns.split(","))


def is_series(table: Table) -> bool:
    """Whether most cells of the first column of ``table`` are dates such as 2017-05-25."""
    return _mostly(_is_date, table.column(table.columns[0]))


def read_series(path: Path, part: Part | None, columns: tuple[str, ...] = ()) -> Dataset:
    """The series in the CSV file ``path``."""
    return series_of(parse_table(unpacked(path), str(path)), part, name=stem_of(path), columns=columns)


def series_of(table: Table, part: Part | None, *, name: str, columns: tuple[str, ...] = ()) -> Dataset:
    """The ``columns`` of ``table``, the first of which is forecast: in one that `is_series`, `FORECAST` or the last.

    Of a ``part`` its own share, see `edgekit.data.windows.long_data`.
    """
    require_columns(table, *columns)
    if len(set(columns)) != len(columns):
        raise DataError(f"{listed(columns)} names a column of {table.name} twice; expected each once.")
    _require_order(table)
    columns = columns or (_forecast(table),)
    values = np.array([_finite(table, column) for column in columns]).T
    return long_data(values, part, name=name, columns=columns)


def _finite(table: Table, column: str) -> list[float]:
    numbers = table.numbers(column)
    for (line, _), value in zip(table.rows, numbers, strict=True):
        if not math.isfinite(value):
            table.fail(line, f"{cut(column)} {value}; expected a finite number: fill it in or leave the line out")
    return numbers


def _require_order(table: Table) -> None:
    """`DataError` where the first column has dates, or other words than numbers, that do not grow downwards.

    Of dates in another form the order is not known: those that do not look sorted might be the newest first.
    """
    name = table.columns[0]
    cells = table.column(name)
    if is_series(table):
        for (line, _), date in zip(table.rows, cells, strict=True):
            if not _is_date(date):
                table.fail(line, f"{cut(name)} {quoted(date)}; expected a date such as 2017-05-25")
        for (line, _), before, date in zip(table.rows[1:], cells, cells[1:], strict=False):
            if date == before:
                table.fail(line, f"date {quoted(date)} of the line before it; expected each date once")
            if date < before:
                table.fail(
                    line, f"date {quoted(date)} after {quoted(before)}; expected the oldest first: sort the file"
                )
    elif not _is_number(cells[0]):
        for (line, _), before, cell in zip(table.rows[1:], cells, cells[1:], strict=False):
            if cell < before:
                table.fail(
                    line,
                    f"{cut(name)} {quoted(cell)} after {quoted(before)}; expected words that sort like their times: "
                    "write dates as 2017-05-25, the oldest first",
                )


def _forecast(table: Table) -> str:
    """The column to forecast where none is chosen: one with a few holes is of numbers too."""
    others = table.columns[1:]
    numeric = [name for name, cells in zip(others, table.each(others), strict=True) if _mostly(_is_number, cells)]
    if not numeric:
        raise DataError(f"{table.name} has dates and no column of numbers; expected one to forecast.")
    return FORECAST if FORECAST in table.columns else numeric[-1]


def _mostly(fits: Callable[[str], bool], cells: list[str]) -> bool:
    return sum(map(fits, cells)) > len(cells) / 2


def _is_date(cell: str) -> bool:
    return _DATE.match(cell) is not None


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None
