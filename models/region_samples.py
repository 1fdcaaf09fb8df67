"""Regions of images that selective search finds, with the objects that they show."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.measure.host import allowed_cpus
from edgekit.models.images import BoxedImages
from edgekit.regions import Search
from edgekit.tasks.boxes import iou
from edgekit.tasks.regions import warp
from edgekit.tasks.selective_search import search
from edgekit.workers import Progress, silent

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

LIKE = 0.5
"""A region that overlaps an object by so much shows it (Girshick et al. 2014, section 2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Regions (count, 4) of ``pictures``, those at ``images`` (count,), corners in fractions.

    ``overlaps`` (count,) are with the nearest object, which is of the class ``nearest`` at ``truth`` (count, 4), and
    number ``objects`` (count,) of all images; -1 and zeros where an image has none. ``true`` (count,) marks the objects
    themselves, which are among the regions.
    """

    pictures: BoxedImages
    images: Indices
    regions: Floats
    overlaps: Floats
    nearest: Indices
    truth: Floats
    objects: Indices
    true: npt.NDArray[np.bool_]

    @property
    def classes(self) -> Indices:
        """What each region shows (count,): 0 for nothing, else one more than the class."""
        return np.where(self.overlaps >= LIKE, self.nearest + 1, 0)

    def __len__(self) -> int:
        return len(self.images)

    def one_of_each_object(self, random: np.random.Generator) -> Indices:
        """For each object one of the regions that show it, (objects,), in a random order."""
        shuffled = random.permutation(np.flatnonzero(self.overlaps >= LIKE))
        _, first = np.unique(self.objects[shuffled], return_index=True)
        return np.asarray(shuffled[random.permutation(first)])

    def warped(self, places: Indices, size_hw: tuple[int, int], context: float) -> npt.NDArray[np.uint8]:
        """What the regions at ``places`` show, (places, *size_hw, channels)."""
        out = np.empty((len(places), *size_hw, self.pictures.pixels.shape[3]), np.uint8)
        for image in np.unique(self.images[places]):
            own = np.flatnonzero(self.images[places] == image)
            pixels = self.pictures.at(np.array([image]))[0]
            out[own] = warp(pixels, self.regions[places[own]], size_hw, context)
        return out


def sampled(images: BoxedImages, how: Search, *, truth: bool = True, progress: Progress = silent) -> Samples:
    """What selective search finds in all ``images``, and with ``truth`` their objects themselves."""
    parts = []
    before = 0
    threads = ThreadPoolExecutor(allowed_cpus())
    try:
        each = threads.map(lambda index: search(images.at(np.array([index]))[0], how), range(len(images)))
        for index, (regions, boxes) in enumerate(zip(each, images.boxes, strict=True)):
            added = len(boxes) if truth else 0
            whole = np.concatenate([boxes.corners[:added], regions])
            overlap = iou(whole, boxes.corners) if len(boxes) else np.zeros((len(whole), 1), np.float32)
            chosen = overlap.argmax(axis=1)
            parts.append(
                {
                    "images": np.full(len(whole), index),
                    "regions": whole,
                    "overlaps": overlap.max(axis=1).astype(np.float32),
                    "nearest": boxes.classes[chosen] if len(boxes) else np.full(len(whole), -1),
                    "truth": boxes.corners[chosen] if len(boxes) else np.zeros((len(whole), 4), np.float32),
                    "objects": chosen + before if len(boxes) else np.full(len(whole), -1),
                    "true": np.arange(len(whole)) < added,
                }
            )
            before += len(boxes)
            progress("searching regions", index + 1, len(images))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return Samples(pictures=images, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
