"""Boxes in a CSV table: a row for each, with ``file`` and its sides in pixels, and ``class_id`` or ``class_name``."""

from collections.abc import Callable, Sequence

from edgekit.data.base import Dataset
from edgekit.data.boxes import boxes_in_pixels
from edgekit.data.csv_table import Table, require_columns
from edgekit.data.images import ImageFiles, image_size
from edgekit.errors import quoted

SIDES = ("xmin", "ymin", "xmax", "ymax")
BOX_COLUMNS = ("file", *SIDES)


def read_box_table(table: Table, name: str, open_items: Callable[[Sequence[str]], ImageFiles]) -> Dataset:
    """The images of ``table`` with their boxes, each image once; class ids follow the sorted names where there are any.

    `DataError` for a side that is no number, and for a class without a name beside others with one.
    """
    files = list(dict.fromkeys(table.column("file")))
    items = open_items(files)
    names: tuple[str, ...] | None = None
    if "class_name" in table.columns:
        texts = table.column("class_name")
        names = tuple(sorted(set(texts)))
        known = {text: class_id for class_id, text in enumerate(names)}
        ids = [known[text] for text in texts]
    else:
        require_columns(table, "class_id")
        ids = table.class_ids("class_id").tolist()
    rows: dict[str, list[int]] = {file: [] for file in files}
    for row, file in enumerate(table.column("file")):
        rows[file].append(row)
    sides = [table.numbers(side) for side in SIDES]
    boxes = tuple(
        boxes_in_pixels(
            [[side[row] for side in sides] for row in rows[file]],
            [ids[row] for row in rows[file]],
            image_size(path),
            name=f"{table.name}, {quoted(file)},",
        )
        for file, path in zip(files, items.paths, strict=True)
    )
    return Dataset(name=name, items=items, boxes=boxes, class_names=names)
