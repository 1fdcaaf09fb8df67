"""Folders of images: one sub-folder for each class, plain, or with boxes."""

from pathlib import Path

from edgekit.data.base import Dataset
from edgekit.data.coco import INSTANCES, read_coco_folder
from edgekit.data.images import SUFFIXES, ImageFiles, class_labels, image_paths
from edgekit.data.tables import read_labelled_folder
from edgekit.data.voc import ANNOTATIONS, read_voc
from edgekit.data.yolo import is_yolo, read_yolo
from edgekit.errors import DataError

PLAIN = "images"
"""A single sub-folder of this name holds unlabelled images; it is not a class."""


def read_folder(folder: Path) -> Dataset:
    """The images in ``folder``; class ids follow the sorted names of its sub-folders; a plain one has no labels.

    With ``labels.csv``, ``instances.json`` (COCO), ``Annotations`` (Pascal VOC) or ``labels/*.txt`` (YOLO) it is read
    as these say.
    """
    if (folder / "labels.csv").is_file():
        return read_labelled_folder(folder)
    if (folder / INSTANCES).is_file():
        return read_coco_folder(folder)
    if (folder / ANNOTATIONS).is_dir():
        return read_voc(folder)
    if is_yolo(folder):
        return read_yolo(folder)
    beside = image_paths(folder, deep=False)
    folders = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    inside = [image_paths(f, deep=True) for f in folders]
    if beside and any(inside):
        raise DataError(
            f"{folder} has images both beside and inside its sub-folders; expected a sub-folder for each class."
        )
    if beside or (len(folders) == 1 and folders[0].name == PLAIN and inside[0]):
        plain = beside or inside[0]
        return Dataset(name=folder.resolve().name, items=ImageFiles(plain), sources=tuple(map(str, plain)))
    if not any(inside):
        raise DataError(f"{folder} holds no images; expected files that end in {', '.join(SUFFIXES)}.")
    for class_folder, paths in zip(folders, inside, strict=True):
        if not paths:
            raise DataError(
                f"The class folder {class_folder} holds no images; expected a folder of images for each class, or for "
                "boxes one of the forms that edgekit evaluate --help names."
            )
    files = tuple(p for paths in inside for p in paths)
    return Dataset(
        name=folder.resolve().name,
        items=ImageFiles(files),
        labels=class_labels(len(paths) for paths in inside),
        class_names=tuple(f.name for f in folders),
        sources=tuple(map(str, files)),
    )
