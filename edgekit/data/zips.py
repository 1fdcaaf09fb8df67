"""Zip files of images: with classes in ``labels.csv``, or with boxes in ``instances.json``."""

from pathlib import Path

from edgekit.data.archives import ZipReader
from edgekit.data.base import Dataset
from edgekit.data.coco import INSTANCES, read_coco_zip
from edgekit.data.tables import LABELS, read_labelled_zip
from edgekit.errors import DataError


def read_zip(path: Path) -> Dataset:
    """The images of a zip, read from it without unpacking it."""
    archive = ZipReader(path)
    for name, read in ((LABELS, read_labelled_zip), (INSTANCES, read_coco_zip)):
        prefix = archive.folder_of(name)
        if prefix is not None:
            return read(path, archive, prefix)
    raise DataError(f"{path} has neither {LABELS} nor {INSTANCES}; expected a zip with images and one of them.")
