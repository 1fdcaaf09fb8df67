"""Tables in CSV: image files with class ids or boxes, numbers with a label, texts or series; some in a zip."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgekit.data.archives import ZipImages, ZipReader
from edgekit.data.arrays import ArrayItems, require_finite_items
from edgekit.data.base import Dataset, Items, Part
from edgekit.data.box_table import BOX_COLUMNS, read_box_table
from edgekit.data.boxes import require_inside
from edgekit.data.csv_table import Table, number, parse_table, read_bytes, require_columns
from edgekit.data.images import ImageFiles
from edgekit.data.packed import stem_of, unpacked
from edgekit.data.ratings_table import is_ratings, lacking_for_ratings, ratings_of
from edgekit.data.series_table import is_series, series_of
from edgekit.data.text_files import ANSWER_COLUMNS, TEXT_COLUMN, answered_texts, labelled_texts
from edgekit.errors import DataError, cut, listed, quoted

LABELS, CLASSES = "labels.csv", "classes.csv"
LABEL_COLUMN = "label"


def read_csv(path: Path, part: Part | None = None) -> Dataset:
    """The items of a CSV file: images named in a column ``file`` (and ``class_id``), or numbers (and ``label``).

    With a box in every row, see `edgekit.data.box_table`. Texts have the columns ``text`` (and ``label``), or
    ``input`` and ``output``. Ratings, with ``user``, ``item`` and ``rating``, and a series, with dates in its first
    column, give their ``part``.
    """
    table = parse_table(unpacked(path), str(path))
    if set(BOX_COLUMNS) <= set(table.columns):
        return read_box_table(table, stem_of(path), lambda names: image_files(path.parent, names))
    if "file" in table.columns:
        return _images(
            table, stem_of(path), lambda names: image_files(path.parent, names), read_sibling(path.parent / CLASSES)
        )
    if TEXT_COLUMN in table.columns:
        return labelled_texts(table, stem_of(path))
    if set(ANSWER_COLUMNS) <= set(table.columns):
        return answered_texts(table, stem_of(path))
    if is_ratings(table):
        return ratings_of(table, part, name=stem_of(path), folder=path.parent)
    if _label_column(table) is None and is_series(table):
        return series_of(table, part, name=stem_of(path))
    return _numbers(table, stem_of(path))


def read_rows(path: Path, columns: tuple[str, ...]) -> Dataset:
    """The rows of a CSV file as numbers of ``columns``, those that a model takes, whatever its other columns hold."""
    table = parse_table(unpacked(path), str(path))
    require_taken(columns, table.columns, stem_of(path))
    return _numbers(table, stem_of(path), columns)


def require_taken(wanted: Sequence[str], there: Sequence[str], name: str) -> None:
    """`DataError` for the first of the columns ``wanted`` that is not one of those of the data called ``name``."""
    known = set(there)
    missing = [column for column in wanted if column not in known]
    if missing:
        raise DataError(
            f"{name} lacks the column {quoted(missing[0])}, which the model takes; it has: {listed(there)}."
        )


def read_labelled_folder(folder: Path) -> Dataset:
    """The images that ``labels.csv`` in ``folder`` lists, with the names of ``classes.csv`` where it is there."""
    table = parse_table(read_bytes(folder / LABELS), str(folder / LABELS))
    require_columns(table, "file", "class_id")
    return _images(
        table, folder.resolve().name, lambda names: image_files(folder, names), read_sibling(folder / CLASSES)
    )


def read_labelled_zip(path: Path, archive: ZipReader, prefix: str) -> Dataset:
    """The images that ``labels.csv`` below ``prefix`` in a zip lists, read from the zip without unpacking it."""
    table = parse_table(archive.read(prefix + LABELS), f"{LABELS} in {path}")
    require_columns(table, "file", "class_id")
    classes = None
    if archive.has(prefix + CLASSES):
        classes = parse_table(archive.read(prefix + CLASSES), f"{CLASSES} in {path}")
    return _images(
        table, path.stem, lambda names: ZipImages(archive, archive.members(prefix, names, listed_in=LABELS)), classes
    )


def read_sibling(path: Path) -> Table | None:
    """The table at ``path``, or none when there is no such file."""
    return parse_table(read_bytes(path), str(path)) if path.is_file() else None


def _images(table: Table, name: str, open_items: Callable[[list[str]], Items], classes: Table | None) -> Dataset:
    files = table.column("file")
    items, sources = open_items(files), tuple(files)
    if "class_id" not in table.columns:
        return Dataset(name=name, items=items, sources=sources)
    labels = table.class_ids("class_id")
    if classes is None:
        return Dataset(name=name, items=items, labels=labels, sources=sources)
    names = _class_names(classes)
    if labels.max() >= len(names):
        raise DataError(f"{table.name} has the class_id {labels.max()}; {classes.name} names {len(names)}.")
    return Dataset(name=name, items=items, labels=labels, class_names=names, sources=sources)


def _class_names(table: Table) -> tuple[str, ...]:
    require_columns(table, "class_id", "name")
    ids = table.class_ids("class_id")
    if sorted(ids.tolist()) != list(range(len(ids))):
        raise DataError(f"{table.name} has {len(ids)} classes; expected each class_id of 0..{len(ids) - 1} once.")
    names = table.column("name")
    return tuple(names[i] for i in np.argsort(ids))


def image_files(folder: Path, names: Sequence[str]) -> ImageFiles:
    """The images in ``folder`` called ``names``; `DataError` for one that is not there, or outside it."""
    paths = tuple(folder / require_inside(name, f"A CSV file in {folder}") for name in names)
    for path in paths:
        if not path.is_file():
            raise DataError(f"There is no file {path}; it is listed in a CSV file with paths relative to its folder.")
    return ImageFiles(paths)


def _numbers(table: Table, name: str, chosen: tuple[str, ...] = ()) -> Dataset:
    """The rows of ``table`` as float64, of the columns ``chosen``, or all but that of the label."""
    label = _label_column(table)
    features = chosen or tuple(c for c in table.columns if c != label)
    if not features:
        raise DataError(f"{table.name} has the one column {label!r}; expected columns of numbers beside it.")
    values = np.empty((len(table.rows), len(features)))
    for j, (column, cells) in enumerate(zip(features, table.each(features), strict=True)):
        for i, cell in enumerate(cells):
            try:
                values[i, j] = number(cell)
            except ValueError:
                if not chosen:
                    require_columns(table, *lacking_for_ratings(table))
                table.fail(table.rows[i][0], f"{cut(column)} {quoted(cell)}; expected a number{_mend(cell, chosen)}")
    require_finite_items(values, table.name)
    labels = None if label is None else table.class_ids(label, mend=": 0 for normal, 1 for an anomaly, or a class")
    lines = tuple(f"line {line}" for line, _ in table.rows)
    return Dataset(name=name, items=ArrayItems(values), labels=labels, columns=features, sources=lines)


def _label_column(table: Table) -> str | None:
    """The column of ``table`` called `LABEL_COLUMN`, in whatever case; `DataError` for two."""
    found = [column for column in table.columns if column.casefold() == LABEL_COLUMN]
    if len(found) > 1:
        raise DataError(f"{table.name} has the columns {' and '.join(found)}; expected one of labels: rename others.")
    return found[0] if found else None


def _mend(cell: str, chosen: tuple[str, ...]) -> str:
    """What to do about a ``cell`` that is no number."""
    if not cell:
        return ": fill it in or leave the line out"
    if chosen:
        return ", since the model takes this column"
    return ": leave out a column of words, call one of image paths 'file', or begin with dates such as 2017-05-25"
