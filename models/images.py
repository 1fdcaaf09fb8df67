"""The images of a training as its model sees them, and their division into parts."""

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgekit.data import Boxes, Dataset, item_digest
from edgekit.errors import DataError
from edgekit.measure.host import allowed_cpus
from edgekit.preprocessing import Preprocessing, resize
from edgekit.workers import Progress, silent

Indices = npt.NDArray[np.int64]

IN_MEMORY_BYTES = 512 << 20
"""Pixels of more bytes are kept in a temporary file, of which memory holds what it has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Some of the resized images ``pixels`` (all, height, width, channels) uint8: those at ``places`` (count,).

    ``digests`` recognise the items as they were before resizing.
    """

    pixels: npt.NDArray[np.uint8]
    places: Indices
    digests: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)

    def at(self, indices: Indices | slice) -> npt.NDArray[np.uint8]:
        """The pixels of the images at ``indices``, in that order."""
        found: npt.NDArray[np.uint8] = np.asarray(self.pixels[self.places[indices]])
        return found

    def apart_from(self, held_out: "Pictures") -> Self:
        """Those that are not the same picture as one of ``held_out``; `DataError` without any."""
        seen = set(held_out.digests)
        others = np.array([i for i, digest in enumerate(self.digests) if digest not in seen], np.int64)
        if not len(others):
            raise DataError(
                f"All {len(self)} images to learn from are copies of images that were set aside; add other images."
            )
        return self.subset(others)

    def subset(self, indices: Indices) -> Self:
        """The images at ``indices``, in that order; the pixels are not copied."""
        taken: dict[str, Any] = {"places": self.places[indices], "digests": tuple(self.digests[i] for i in indices)}
        return replace(self, **taken, **self._answers(indices))

    def _answers(self, _indices: Indices) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Images(Pictures):
    """Images with class ids ``labels`` (count,) int64."""

    labels: Indices

    def _answers(self, indices: Indices) -> Mapping[str, Any]:
        return {"labels": self.labels[indices]}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxedImages(Pictures):
    """Images with the objects in them, ``boxes``, none of which is a crowd."""

    boxes: tuple[Boxes, ...]

    def _answers(self, indices: Indices) -> Mapping[str, Any]:
        return {"boxes": tuple(self.boxes[i] for i in indices)}


def load_images(data: Dataset, preprocessing: Preprocessing, *, progress: Progress = silent) -> Images:
    """All items of ``data``, each decoded and resized once; `DataError` for items that are not labelled images."""
    if data.labels is None:
        raise DataError(f"{data.name} has no labels; training needs a class for each image.")
    return Images(**_loaded(data, preprocessing, progress), labels=data.labels)


def load_boxed_images(data: Dataset, preprocessing: Preprocessing, *, progress: Progress = silent) -> BoxedImages:
    """As `load_images` for images with boxes, in fractions of what is seen of them; crowds are left out."""
    if data.boxes is None:
        raise DataError(f"{data.name} has no boxes; training a detector needs the objects of each image.")
    loaded = _loaded(data, preprocessing, progress)
    return BoxedImages(**loaded, boxes=tuple(_single_objects(data.boxes[i]) for i in range(len(data))))


def _single_objects(boxes: Boxes) -> Boxes:
    single = ~boxes.crowd
    return replace(boxes, corners=boxes.corners[single], classes=boxes.classes[single], crowd=boxes.crowd[single])


def _loaded(data: Dataset, preprocessing: Preprocessing, progress: Progress) -> dict[str, Any]:
    """The fields of `Pictures`."""
    if len(data) == 0:
        raise DataError(f"{data.name} is empty; training needs labelled images.")
    height, width = preprocessing.size_hw
    pixels = _room((len(data), height, width, preprocessing.channels))
    digests: list[str] = []
    for index, (digest, image) in enumerate(_read(data, preprocessing)):
        pixels[index] = image
        digests.append(digest)
        progress(f"reading {data.name}", index + 1, len(data))
    return {"pixels": pixels, "places": np.arange(len(data)), "digests": tuple(digests)}


def _read(data: Dataset, preprocessing: Preprocessing) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Digest and resized pixels of every item, in order, decoded by as many threads as there are CPUs."""

    def read(index: int) -> tuple[str, npt.NDArray[np.uint8]]:
        item = data.items[index]
        if not isinstance(item, np.ndarray) or item.dtype != np.uint8 or item.ndim != 3:
            got = f"{item.shape} {item.dtype}" if isinstance(item, np.ndarray) else "several arrays"
            raise DataError(f"{data.name} holds {got}; training takes images of (height, width, channels) uint8.")
        return item_digest(item), resize(item, preprocessing)

    threads = ThreadPoolExecutor(allowed_cpus())
    try:
        yield from threads.map(read, range(len(data)))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _room(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    if math.prod(shape) <= IN_MEMORY_BYTES:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:  # without a name: gone when nothing maps it any more
        if hasattr(os, "posix_fallocate"):  # a disk that is full says so now, and not by a signal at some page
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        return np.memmap(file, np.uint8, "w+", shape=shape)


def split(
    labels: npt.NDArray[np.int64],
    fraction: float,
    seed: int,
    *,
    purpose: str,
    names: tuple[str, ...] | None = None,
    least: int = 1,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sorted indices (kept, set aside): ``fraction`` of every class, at least ``least`` of each, is set aside.

    The choice depends on ``seed`` and ``purpose`` alone.
    """
    random = drawing(seed, purpose)
    held: list[npt.NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            called = names[label] if names is not None else label
            raise DataError(
                f"Class {called} has too few images to set one aside for {purpose}; add some of that class."
            )
        held.append(members[: max(least, round(len(members) * fraction))])
    aside = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), aside), aside


def split_boxed(images: BoxedImages, fraction: float, seed: int, *, purpose: str, name: str) -> tuple[Indices, Indices]:
    """As `split` for images with boxes: ``fraction`` of them is set aside, at least one, whatever is in them.

    `DataError` where one of the parts shows no object.
    """
    if len(images) < 2:
        raise DataError(f"{name} has too few images to set one aside for {purpose}; expected 2 or more.")
    aside = np.sort(drawing(seed, purpose).permutation(len(images))[: max(1, round(len(images) * fraction))])
    kept = np.setdiff1d(np.arange(len(images)), aside)
    require_objects(images.subset(kept), f"{name} to learn from")
    require_objects(images.subset(aside), f"{name} set aside for {purpose}")
    return kept, aside


def require_objects(images: BoxedImages, what: str) -> None:
    """`DataError` unless one of ``images``, called ``what``, shows an object."""
    if not any(len(boxes) for boxes in images.boxes):
        raise DataError(f"The {len(images)} images of {what} show no object; add some that do.")


def drawing(seed: int, purpose: str) -> np.random.Generator:
    """Chance for ``purpose`` alone."""
    return np.random.default_rng([seed, *purpose.encode()])
