"""The batches of an epoch, as a function of seed and epoch alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.models.augmentation import Augmentation
from edgekit.models.images import Images
from edgekit.preprocessing import Preprocessing, normalize

Array = npt.NDArray[Any]


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """(count,) class ids as (count, classes) float32.

    >>> one_hot(np.array([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    found = np.zeros((len(labels), classes), np.float32)
    found[np.arange(len(labels)), labels] = 1
    return found


def class_weights(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """What an item of each class weighs so that all classes weigh the same together, (classes,) float32.

    The items weigh 1 on average; a class without any counts for nothing.

    >>> class_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
    [0.667, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The part of every batch that one of ``count`` workers takes."""

    index: int = 0
    count: int = 1


ALONE = Share()
"""The whole of every batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """``inputs`` (count, height, width, channels) float32, one-hot ``targets``, and ``weights`` (count,) float32.

    ``size`` is the number of images that all workers together have in it.
    """

    inputs: Array
    targets: Array
    weights: Array
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Shuffled, augmented batches of ``images``, the same for the same ``seed`` and epoch.

    A last batch that would leave a worker a single image is left out: batch normalisation has no variance to learn from
    it.
    """

    images: Images
    preprocessing: Preprocessing
    classes: int
    batch_size: int
    augmentation: Augmentation
    balanced: bool
    seed: int
    share: Share = ALONE

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        full, rest = divmod(len(self.images), self.batch_size)
        return full + (rest >= 2 * self.share.count or full == 0)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """The worker's part of every batch of ``epoch``."""
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.images))
        by_class = np.ones(self.classes, np.float32)
        if self.balanced:
            by_class = class_weights(self.images.labels, self.classes)
        for step in range(self.steps):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            pixels = self.augmentation.apply(self.images.at(chosen), random)  # whole, so that all draw the same
            own = slice(self.share.index, None, self.share.count)
            labels = self.images.labels[chosen[own]]
            yield Batch(
                inputs=normalize(pixels[own], self.preprocessing),
                targets=one_hot(labels, self.classes),
                weights=by_class[labels],
                size=len(chosen),
            )
