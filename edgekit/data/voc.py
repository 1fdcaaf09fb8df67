"""Detection data in Pascal VOC's form: ``Annotations/*.xml``, and the images in ``JPEGImages`` or ``images``."""

from pathlib import Path
from xml.etree import ElementTree

from edgekit.data.base import Boxes, Dataset
from edgekit.data.boxes import boxes_in_pixels, require_inside
from edgekit.data.csv_table import read_bytes
from edgekit.data.images import ImageFiles
from edgekit.errors import DataError, cut

ANNOTATIONS = "Annotations"
_IMAGES = ("JPEGImages", "images", ".")


def read_voc(folder: Path) -> Dataset:
    """The annotated images in ``folder``; class ids follow the sorted names of the objects. Difficult ones are crowds.

    Coordinates count from 1, and the last pixel belongs to the box (Everingham et al. 2010, section 3.3).
    """
    files = sorted((folder / ANNOTATIONS).glob("*.xml"))
    if not files:
        raise DataError(f"{folder / ANNOTATIONS} holds no .xml files; expected one for each image.")
    roots = [_parse(file) for file in files]
    names = tuple(sorted({_text(o, "name", f) for r, f in zip(roots, files, strict=True) for o in r.iter("object")}))
    if not names:
        raise DataError(f"{folder / ANNOTATIONS} names no object; expected some with a name and a bndbox.")
    return Dataset(
        name=folder.resolve().name,
        items=ImageFiles(tuple(_image(folder, root, file) for root, file in zip(roots, files, strict=True))),
        boxes=tuple(_boxes(root, file, names) for root, file in zip(roots, files, strict=True)),
        class_names=names,
    )


def _parse(file: Path) -> ElementTree.Element:
    data = read_bytes(file)
    if b"<!" in data:  # definitions of entities can make megabytes of a line
        raise DataError(f"{file} defines its own markup (<!); expected plain VOC annotations.")
    try:
        return ElementTree.fromstring(data)  # noqa: S314 - without entities there is nothing to expand
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{file} is not readable XML: {error}.") from None


def _image(folder: Path, root: ElementTree.Element, file: Path) -> Path:
    name = require_inside(_text(root, "filename", file), str(file))
    for place in _IMAGES:
        if (folder / place / name).is_file():
            return folder / place / name
    raise DataError(f"There is no image {name} in {folder}/{_IMAGES[0]}, which {file} describes.")


def _boxes(root: ElementTree.Element, file: Path, names: tuple[str, ...]) -> Boxes:
    objects = list(root.iter("object"))
    try:
        size = (int(_text(root, "size/height", file)), int(_text(root, "size/width", file)))
        corners = [
            tuple(float(_text(o, f"bndbox/{side}", file)) - shift for side, shift in _SIDES.items()) for o in objects
        ]
    except ValueError as error:
        raise DataError(f"{file} has a size or side that is no number: {cut(str(error), 100)}.") from None
    return boxes_in_pixels(
        corners,
        [names.index(_text(o, "name", file)) for o in objects],
        size,
        crowd=[(o.findtext("difficult") or "0").strip() == "1" for o in objects],
        name=str(file),
    )


_SIDES = {"xmin": 1, "ymin": 1, "xmax": 0, "ymax": 0}
"""What is taken off each side, so that it counts from 0 and ends after the last pixel."""


def _text(element: ElementTree.Element, path: str, file: Path) -> str:
    text = (element.findtext(path) or "").strip()
    if not text:
        raise DataError(f"{file} has no {path}; expected Pascal VOC annotations.")
    return text
