"""Texts: one long one in a file of its own, or one a row of a table, with classes or answers."""

from pathlib import Path

import numpy as np

from edgekit.data.base import Dataset, Part
from edgekit.data.csv_table import Table, parse_table
from edgekit.data.packed import stem_of, unpacked
from edgekit.data.windows import long_data
from edgekit.errors import DataError, listed, quoted

TEXT_COLUMN, LABEL_COLUMN = "text", "label"
ANSWER_COLUMNS = ("input", "output")


def read_text(path: Path, part: Part | None, name: str = "") -> Dataset:
    """The text in ``path``, UTF-8, with line ends as ``\\n``: of a ``part`` its own share, see `long_data`."""
    data = unpacked(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text in UTF-8: {error.reason} at byte {error.start:,}.") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError(f"{path} holds no text; expected a long one.")
    return long_data(text, part, name=name or stem_of(path))


def read_text_table(path: Path, name: str, class_names: tuple[str, ...] | None = None) -> Dataset:
    """The labelled texts of the CSV file ``path``."""
    return labelled_texts(parse_table(unpacked(path), str(path)), name, class_names)


def labelled_texts(table: Table, name: str, class_names: tuple[str, ...] | None = None) -> Dataset:
    """The texts of the column ``text``, with the classes of the column ``label`` where there is one.

    Classes are numbers, or words, which are numbered in their alphabetical order.
    """
    _require_filled(table, TEXT_COLUMN)
    texts = table.column(TEXT_COLUMN)
    if LABEL_COLUMN not in table.columns:
        return Dataset(name=name, items=texts)
    _require_filled(table, LABEL_COLUMN)
    cells = table.column(LABEL_COLUMN)
    if all(cell.isascii() and cell.isdigit() for cell in cells):
        labels = table.class_ids(LABEL_COLUMN)
        if class_names is not None and labels.max() >= len(class_names):
            raise DataError(f"{table.name} has the label {labels.max()}; expected 0 to {len(class_names) - 1}.")
        return Dataset(name=name, items=texts, labels=labels, class_names=class_names)
    names = class_names or tuple(sorted(set(cells)))
    numbers = {known: number for number, known in enumerate(names)}
    for (line, _), cell in zip(table.rows, cells, strict=True):
        if cell not in numbers:
            table.fail(line, f"label {quoted(cell)}; expected one of: {listed(names)}")
    return Dataset(
        name=name, items=texts, labels=np.array([numbers[cell] for cell in cells], np.int64), class_names=names
    )


def answered_texts(table: Table, name: str) -> Dataset:
    """The texts of the column ``input`` with the answers of the column ``output``."""
    _require_filled(table, *ANSWER_COLUMNS)
    return Dataset(name=name, items=table.column("input"), answers=tuple(table.column("output")))


def _require_filled(table: Table, *columns: str) -> None:
    for column in columns:
        for (line, _), cell in zip(table.rows, table.column(column), strict=True):
            if not cell:
                table.fail(line, f"{column} {cell!r}; expected some text")
