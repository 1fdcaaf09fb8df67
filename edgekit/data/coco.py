"""Detection data in COCO's JSON form: ``instances.json`` in a folder or zip, beside the images that it names."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.archives import ZipImages, ZipReader
from edgekit.data.base import Boxes, Dataset
from edgekit.data.boxes import boxes_in_pixels, require_inside
from edgekit.data.csv_table import read_bytes
from edgekit.data.images import ImageFiles
from edgekit.errors import DataError, cut

INSTANCES = "instances.json"


def read_coco_folder(folder: Path) -> Dataset:
    """The images that ``instances.json`` in ``folder`` lists, beside it or in ``images/``."""

    def open_items(names: Sequence[str]) -> ImageFiles:
        paths = tuple(folder / name if (folder / name).is_file() else folder / "images" / name for name in names)
        for path in paths:
            if not path.is_file():
                raise DataError(f"There is no file {path}, which {folder / INSTANCES} lists.")
        return ImageFiles(paths)

    return _dataset(read_bytes(folder / INSTANCES), folder.resolve().name, str(folder / INSTANCES), open_items)


def read_coco_zip(path: Path, archive: ZipReader, prefix: str) -> Dataset:
    """The images that ``instances.json`` below ``prefix`` in a zip lists, read from the zip without unpacking it."""
    return _dataset(
        archive.read(prefix + INSTANCES),
        path.stem,
        f"{INSTANCES} in {path}",
        lambda names: ZipImages(archive, archive.members(prefix, names, listed_in=INSTANCES)),
    )


def _dataset(
    text: bytes, name: str, where: str, open_items: Callable[[Sequence[str]], ImageFiles | ZipImages]
) -> Dataset:
    try:
        data = json.loads(text)
        images = [(i["id"], str(i["file_name"]), (int(i["height"]), int(i["width"]))) for i in data["images"]]
        categories = sorted((int(c["id"]), str(c["name"])) for c in data["categories"])
        listed: dict[Any, list[Mapping[str, Any]]] = {image_id: [] for image_id, _, _ in images}
        for annotation in data["annotations"]:
            listed[annotation["image_id"]].append(annotation)
        ids = {category: index for index, (category, _) in enumerate(categories)}
        boxes = tuple(
            _boxes(listed[image_id], ids, size, f"{where}, image {file!r},") for image_id, file, size in images
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise DataError(
            f"{where} is not COCO's JSON ({type(error).__name__}: {cut(str(error))}); expected images, categories and "
            "annotations with image_id, category_id and bbox."
        ) from None
    if not images or len(ids) != len(categories) or not categories:
        raise DataError(f"{where} lists {len(images)} images and {len(ids)} different categories; expected some.")
    files = [require_inside(file, where) for _, file, _ in images]
    for what, values in (("image id", [image_id for image_id, _, _ in images]), ("file", files)):
        ((value, count),) = Counter(values).most_common(1)
        if count > 1:
            raise DataError(
                f"{where} lists the {what} {cut(repr(value))} {count} times; expected each once: leave one."
            )
    items = _AsListed(open_items(files), tuple(size for _, _, size in images), tuple(files), where)
    return Dataset(name=name, items=items, boxes=boxes, class_names=tuple(n for _, n in categories))


@dataclass(frozen=True, slots=True)
class _AsListed:
    """``items``, each of the size that its boxes are fractions of."""

    items: ImageFiles | ZipImages
    sizes: tuple[tuple[int, int], ...]
    files: tuple[str, ...]
    where: str

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]:
        item = self.items[index]
        (height, width), (listed_height, listed_width) = item.shape[:2], self.sizes[index]
        if (height, width) != (listed_height, listed_width):
            raise DataError(
                f"The image {self.files[index]!r} has {width} x {height} pixels; {self.where} lists {listed_width} x "
                f"{listed_height}: correct its width and height, or its boxes."
            )
        return item


def _boxes(annotations: Sequence[Mapping[str, Any]], ids: Mapping[int, int], size: tuple[int, int], name: str) -> Boxes:
    corners = []
    for annotation in annotations:
        left, top, width, height = (float(v) for v in annotation["bbox"])
        corners.append((left, top, left + width, top + height))
    return boxes_in_pixels(
        corners,
        [ids[int(a["category_id"])] for a in annotations],
        size,
        crowd=[bool(a.get("iscrowd", 0)) for a in annotations],
        name=name,
    )
