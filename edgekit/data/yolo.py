"""Detection data in YOLO's form: ``images/`` and ``labels/*.txt`` of one name each, and ``classes.txt``."""

from collections import Counter
from pathlib import Path

from edgekit.data.base import Boxes, Dataset
from edgekit.data.boxes import boxes_in_pixels
from edgekit.data.csv_table import read_bytes
from edgekit.data.images import ImageFiles, image_paths, image_size
from edgekit.errors import DataError

CLASSES, IMAGES, LABELS = "classes.txt", "images", "labels"


def is_yolo(folder: Path) -> bool:
    """Whether ``folder`` has images and text files of boxes beside them."""
    return (folder / IMAGES).is_dir() and any((folder / LABELS).glob("*.txt"))


def read_yolo(folder: Path) -> Dataset:
    """The images in ``images/`` with the boxes of ``labels/``; an image without a text file has none.

    A line is a class id, then centre x, centre y, width and height in fractions of the image. Class names stand in
    ``classes.txt``, one a line, in the folder or in ``labels/``.
    """
    listed = next((f for f in (folder / CLASSES, folder / LABELS / CLASSES) if f.is_file()), None)
    if listed is None:
        raise DataError(f"{folder} has no {CLASSES}; expected the names of the classes, one a line.")
    names = tuple(line.strip() for line in _text(listed).split("\n") if line.strip())
    paths = image_paths(folder / IMAGES, deep=False)
    if not paths:
        raise DataError(f"{folder / IMAGES} holds no images.")
    ((stem, count),) = Counter(path.stem for path in paths).most_common(1)
    if count > 1:
        raise DataError(
            f"{folder / IMAGES} holds {count} images called {stem}, which share {LABELS}/{stem}.txt; expected one: "
            "rename the others."
        )
    return Dataset(
        name=folder.resolve().name,
        items=ImageFiles(paths),
        boxes=tuple(_boxes(path, folder / LABELS / f"{path.stem}.txt", len(names)) for path in paths),
        class_names=names,
    )


def _boxes(image: Path, file: Path, classes: int) -> Boxes:
    height, width = image_size(image)
    corners, ids = [], []
    for number, line in enumerate(_text(file).split("\n") if file.is_file() else (), 1):
        if not line.strip():
            continue
        try:
            index, (x, y, w, h) = int(line.split()[0]), (float(v) for v in line.split()[1:])
        except ValueError:
            raise DataError(
                f"{file}, line {number}, is {line.strip()[:60]!r}; expected a class id and four fractions."
            ) from None
        if not 0 <= index < classes:
            raise DataError(f"{file}, line {number}, has the class id {index}; {CLASSES} names {classes}.")
        ids.append(index)
        corners.append(((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height))
    return boxes_in_pixels(corners, ids, (height, width), name=str(file))


def _text(file: Path) -> str:
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{file} is not a text file in UTF-8.") from None
