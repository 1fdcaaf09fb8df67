"""A CSV file as columns of text, with the numbers of its lines for messages."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError, cut, listed, quoted


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file: its column names, and its rows with their line numbers. ``name`` begins error messages."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def column(self, name: str) -> list[str]:
        """The cells of one column, top to bottom."""
        index = self.columns.index(name)
        return [row[index] for _, row in self.rows]

    def each(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The cells of each of the columns ``names``, in linear time however many they are."""
        places = {name: index for index, name in enumerate(self.columns)}
        for index in (places[name] for name in names):
            yield [row[index] for _, row in self.rows]

    def class_ids(self, name: str, *, mend: str = "") -> npt.NDArray[np.int64]:
        """A column of class ids, (rows,) int64; `DataError` names the line of one that is none, with a ``mend``."""
        ids = []
        for (line, _), cell in zip(self.rows, self.column(name), strict=True):
            if not (cell.isascii() and cell.isdigit() and len(cell) < 10):
                self.fail(line, f"{cut(name)} {quoted(cell)}; expected a whole number, zero or more{mend}")
            ids.append(int(cell))
        return np.array(ids, np.int64)

    def numbers(self, name: str) -> list[float]:
        """A column of numbers; `DataError` names the line of a cell that is none."""
        found = []
        for (line, _), cell in zip(self.rows, self.column(name), strict=True):
            try:
                found.append(number(cell))
            except ValueError:
                mend = "" if cell else ": fill it in or leave the line out"
                self.fail(line, f"{cut(name)} {quoted(cell)}; expected a number{mend}")
        return found

    def fail(self, line: int, what: str) -> NoReturn:
        """A `DataError` about one line."""
        raise DataError(f"{self.name}, line {line}, has the {what}.")


def number(cell: str) -> float:
    """The number in ``cell``; `ValueError` for none, and for Python's 1_000."""
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)


def parse_table(data: bytes, name: str) -> Table:
    """The CSV text in ``data`` (UTF-8, comma-separated, first line = column names); blank lines are passed over."""
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        columns = tuple(c.strip() for c in next(reader, []))
        rows = tuple((reader.line_num, tuple(c.strip() for c in row)) for row in reader if row)
    except (UnicodeDecodeError, csv.Error) as error:
        long = f": a cell has more than {csv.field_size_limit():,} characters, or a quote is missing"
        reason = long if "field limit" in str(error) else f" in UTF-8: {error}"
        raise DataError(f"{name} is not a CSV file{reason}.") from None
    if len(columns) == 1 and ";" in columns[0]:
        raise DataError(f"{name} has semicolons between its cells; expected commas, and points in decimal fractions.")
    if not rows:
        raise DataError(f"{name} has no rows; expected a line of column names and one line an item.")
    if len(set(columns)) != len(columns):
        raise DataError(f"{name} has two columns of one name; expected unique names: {listed(columns)}.")
    for line, row in rows:
        if len(row) != len(columns):
            raise DataError(f"{name}, line {line}, has {len(row)} cells; expected {len(columns)}.")
    return Table(name, columns, rows)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; `DataError` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def require_columns(table: Table, *names: str) -> None:
    """`DataError` for the first of ``names`` that is no column of ``table``."""
    there = set(table.columns)
    missing = [n for n in names if n not in there]
    if missing:
        raise DataError(f"{table.name} lacks the column {quoted(missing[0])}; it has: {listed(table.columns)}.")
