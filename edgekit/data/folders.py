"""Folders of images: one sub-folder for each class, or plain."""

from pathlib import Path

from edgekit.data.base import Dataset
from edgekit.data.images import SUFFIXES, ImageFiles, class_labels, image_paths
from edgekit.data.tables import read_labelled_folder
from edgekit.errors import DataError

PLAIN = "images"
"""A single sub-folder of this name holds unlabelled images; it is not a class."""


def read_folder(folder: Path) -> Dataset:
    """The images in ``folder``; class ids follow the sorted names of its sub-folders; a plain one has no labels."""
    if (folder / "labels.csv").is_file():
        return read_labelled_folder(folder)
    _refuse_detection(folder)
    beside = image_paths(folder, deep=False)
    folders = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    inside = [image_paths(f, deep=True) for f in folders]
    if beside and any(inside):
        raise DataError(
            f"{folder} has images both beside and inside its sub-folders; expected a sub-folder for each class."
        )
    if beside or (len(folders) == 1 and folders[0].name == PLAIN and inside[0]):
        return Dataset(name=folder.resolve().name, items=ImageFiles(beside or inside[0]))
    if not any(inside):
        raise DataError(f"{folder} holds no images; expected files that end in {', '.join(SUFFIXES)}.")
    for class_folder, paths in zip(folders, inside, strict=True):
        if not paths:
            raise DataError(f"The class folder {class_folder} holds no images; put some in it, or remove it.")
    return Dataset(
        name=folder.resolve().name,
        items=ImageFiles(tuple(p for paths in inside for p in paths)),
        labels=class_labels(len(paths) for paths in inside),
        class_names=tuple(f.name for f in folders),
    )


def _refuse_detection(folder: Path) -> None:
    for mark in ("instances.json", "Annotations"):
        if (folder / mark).exists():
            raise DataError(
                f"{folder} holds boxes ({mark}), not classes; expected a sub-folder for each class, or images."
            )
