"""Tables in CSV: image files with class ids, class names, or numbers with a label; beside their images or in a zip."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from edgekit.data.archives import ZipImages, ZipReader
from edgekit.data.arrays import ArrayItems, require_finite_items
from edgekit.data.base import Dataset, Items
from edgekit.data.images import ImageFiles
from edgekit.errors import DataError

LABELS, CLASSES = "labels.csv", "classes.csv"
LABEL_COLUMN = "label"


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

    def class_ids(self, name: str) -> npt.NDArray[np.int64]:
        """A column of class ids, (rows,) int64; `DataError` names the line of one that is none."""
        ids = []
        for (line, _), cell in zip(self.rows, self.column(name), strict=True):
            if not (cell.isascii() and cell.isdigit() and len(cell) < 10):
                self.fail(line, f"{name} {cell!r}; expected a whole number, zero or more")
            ids.append(int(cell))
        return np.array(ids, np.int64)

    def fail(self, line: int, what: str) -> NoReturn:
        """A `DataError` about one line."""
        raise DataError(f"{self.name}, line {line}, has the {what}.")


def parse_table(data: bytes, name: str) -> Table:
    """The CSV text in ``data`` (UTF-8, comma-separated, first line = column names); blank lines are passed over."""
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        columns = tuple(c.strip() for c in next(reader, []))
        rows = tuple((reader.line_num, tuple(c.strip() for c in row)) for row in reader if row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name} is not a CSV file in UTF-8: {error}.") from None
    if not rows:
        raise DataError(f"{name} has no rows; expected a line of column names and one line an item.")
    if len(set(columns)) != len(columns):
        raise DataError(f"{name} has two columns of one name; expected unique names: {', '.join(columns)}.")
    for line, row in rows:
        if len(row) != len(columns):
            raise DataError(f"{name}, line {line}, has {len(row)} cells; expected {len(columns)}.")
    return Table(name, columns, rows)


def read_csv(path: Path) -> Dataset:
    """The items of a CSV file: images named in a column ``file`` (and ``class_id``), or numbers (and ``label``)."""
    table = parse_table(read_bytes(path), str(path))
    if "file" in table.columns:
        return _images(table, path.stem, lambda names: _files(path.parent, names), read_sibling(path.parent / CLASSES))
    return _numbers(table, path.stem)


def read_labelled_folder(folder: Path) -> Dataset:
    """The images that ``labels.csv`` in ``folder`` lists, with the names of ``classes.csv`` where it is there."""
    table = parse_table(read_bytes(folder / LABELS), str(folder / LABELS))
    _require_columns(table, "file", "class_id")
    return _images(table, folder.resolve().name, lambda names: _files(folder, names), read_sibling(folder / CLASSES))


def read_zip(path: Path) -> Dataset:
    """The images that ``labels.csv`` in a zip lists, read from the zip without unpacking it."""
    archive = ZipReader(path)
    prefix = archive.folder_of(LABELS)
    table = parse_table(archive.read(prefix + LABELS), f"{LABELS} in {path}")
    _require_columns(table, "file", "class_id")
    classes = None
    if archive.has(prefix + CLASSES):
        classes = parse_table(archive.read(prefix + CLASSES), f"{CLASSES} in {path}")
    return _images(table, path.stem, lambda names: ZipImages(archive, archive.members(prefix, names)), classes)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; `DataError` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def read_sibling(path: Path) -> Table | None:
    """The table at ``path``, or none when there is no such file."""
    return parse_table(read_bytes(path), str(path)) if path.is_file() else None


def _images(table: Table, name: str, open_items: Callable[[list[str]], Items], classes: Table | None) -> Dataset:
    items = open_items(table.column("file"))
    if "class_id" not in table.columns:
        return Dataset(name=name, items=items)
    labels = table.class_ids("class_id")
    if classes is None:
        return Dataset(name=name, items=items, labels=labels)
    names = _class_names(classes)
    if labels.max() >= len(names):
        raise DataError(f"{table.name} has the class_id {labels.max()}; {classes.name} names {len(names)}.")
    return Dataset(name=name, items=items, labels=labels, class_names=names)


def _class_names(table: Table) -> tuple[str, ...]:
    _require_columns(table, "class_id", "name")
    ids = table.class_ids("class_id")
    if sorted(ids.tolist()) != list(range(len(ids))):
        raise DataError(f"{table.name} has {len(ids)} classes; expected each class_id of 0..{len(ids) - 1} once.")
    names = table.column("name")
    return tuple(names[i] for i in np.argsort(ids))


def _files(folder: Path, names: Sequence[str]) -> ImageFiles:
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"A CSV file in {folder} lists {name!r}; expected paths inside that folder.")
    paths = tuple(folder / name for name in names)
    for path in paths:
        if not path.is_file():
            raise DataError(f"There is no file {path}; it is listed in a CSV file with paths relative to its folder.")
    return ImageFiles(paths)


def _numbers(table: Table, name: str) -> Dataset:
    features = [c for c in table.columns if c != LABEL_COLUMN]
    if not features:
        raise DataError(f"{table.name} has the one column {LABEL_COLUMN!r}; expected columns of numbers beside it.")
    values = np.empty((len(table.rows), len(features)), np.float32)
    for j, column in enumerate(features):
        for i, cell in enumerate(table.column(column)):
            try:
                values[i, j] = float(cell)
            except ValueError:
                table.fail(
                    table.rows[i][0], f"{column} {cell!r}; expected a number, or a column 'file' with image paths"
                )
    require_finite_items(values, table.name)
    labels = table.class_ids(LABEL_COLUMN) if LABEL_COLUMN in table.columns else None
    return Dataset(name=name, items=ArrayItems(values), labels=labels)


def _require_columns(table: Table, *names: str) -> None:
    missing = [n for n in names if n not in table.columns]
    if missing:
        raise DataError(f"{table.name} lacks the column {missing[0]!r}; it has: {', '.join(table.columns)}.")
