"""Training images in memory, and the batches of an epoch as a function of seed and epoch alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data import Dataset, item_digest
from edgekit.errors import DataError
from edgekit.preprocessing import Preprocessing, normalize, resize

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """``pixels`` (count, height, width, channels) uint8 as the model takes them, ``labels`` (count,) int64.

    ``digests`` recognise the items as they were before resizing.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: npt.NDArray[np.int64]) -> "Images":
        """The images at ``indices``, in that order."""
        return Images(
            pixels=self.pixels[indices],
            labels=self.labels[indices],
            digests=tuple(self.digests[i] for i in indices),
        )


def load_images(data: Dataset, preprocessing: Preprocessing) -> Images:
    """All items of ``data``, each resized once; `DataError` for items that are not labelled images."""
    if data.labels is None:
        raise DataError(f"{data.name} has no labels; training needs a class for each image.")
    if len(data) == 0:
        raise DataError(f"{data.name} is empty; training needs labelled images.")
    pixels: list[npt.NDArray[np.uint8]] = []
    digests: list[str] = []
    for item in data:
        if not isinstance(item, np.ndarray) or item.dtype != np.uint8 or item.ndim != 3:
            got = f"{item.shape} {item.dtype}" if isinstance(item, np.ndarray) else "several arrays"
            raise DataError(f"{data.name} holds {got}; training takes images of (height, width, channels) uint8.")
        digests.append(item_digest(item))
        pixels.append(resize(item, preprocessing))
    return Images(pixels=np.stack(pixels), labels=data.labels, digests=tuple(digests))


def split(
    labels: npt.NDArray[np.int64], fraction: float, seed: int, *, purpose: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sorted indices (kept, set aside): ``fraction`` of every class, at least one of each, is set aside.

    The choice depends on ``seed`` and ``purpose`` alone.
    """
    random = np.random.default_rng([seed, *purpose.encode()])
    held: list[npt.NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise DataError(f"Class {label} has too few images to set one aside for {purpose}; add some of that class.")
        held.append(members[: max(1, round(len(members) * fraction))])
    aside = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), aside), aside


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """(count,) class ids as (count, classes) float32.

    >>> one_hot(np.array([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return np.eye(classes, dtype=np.float32)[labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random changes of a training image: a shift of up to ``shift_pixels`` each way, and a mirror image."""

    shift_pixels: int = 0
    flip: bool = False

    def apply(self, pixels: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
        """(count, height, width, channels) uint8, changed; what a shift brings in repeats the border pixel."""
        count, height, width = pixels.shape[:3]
        if self.flip:
            mirrored: npt.NDArray[np.bool_] = np.less(random.random(count), 0.5)
            pixels = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
        if self.shift_pixels:
            down, right = random.integers(-self.shift_pixels, self.shift_pixels + 1, (2, count))
            rows = np.clip(np.arange(height) - down[:, None], 0, height - 1)
            columns = np.clip(np.arange(width) - right[:, None], 0, width - 1)
            pixels = pixels[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        return pixels


def training_batches(
    images: Images,
    preprocessing: Preprocessing,
    *,
    classes: int,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    epoch: int,
) -> Iterator[tuple[Array, Array]]:
    """Shuffled, augmented (inputs, one-hot labels) of one epoch, the same for the same ``seed`` and ``epoch``.

    A last batch of a single image is left out: batch normalisation has no variance to learn from it.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(images))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        if len(chosen) > 1 or start == 0:
            pixels = augmentation.apply(images.pixels[chosen], random)
            yield normalize(pixels, preprocessing), one_hot(images.labels[chosen], classes)
