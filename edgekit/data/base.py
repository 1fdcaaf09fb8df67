"""What every reader of data gives: decoded items, and labels where there are any."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.card import DataRef

if TYPE_CHECKING:
    from edgekit.data.ratings_table import Catalogue

Array = npt.NDArray[Any]
Item = Array | Mapping[str, Array] | str
"""A decoded image (height, width, channels) uint8 RGB or gray; an array fed as it is; arrays by input name; a text."""


class Part(StrEnum):
    """Which part of a data set is wanted."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    EVALUATION = "evaluation"


class Items(Protocol):
    """Items that are decoded when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Item: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """The objects of one image of ``image_hw`` pixels.

    ``corners`` (count, 4) float32 are left, top, right, bottom in fractions of the image; ``classes`` (count,) int64
    are class ids; ``crowd`` (count,) bool marks groups, which count neither as found nor as missed.
    """

    image_hw: tuple[int, int]
    corners: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Decoded items with class ids ``labels`` (count,) int64 or ``boxes``, and ``class_names[id]``, where known.

    ``origins`` are the digests of the images that the items were cut out of, where they are none themselves.
    ``answers`` are texts that the items, texts too, are to be answered with. ``whole`` is the one text, or the series
    (rows, columns) float64, that the items are windows of (see `edgekit.data.windows`); ``columns`` names those of a
    series, or of a table whose rows are the items. ``catalogue`` is what users rate, whose ratings the items then are
    (see `edgekit.ratings.user_of`). ``sources`` are what users know the items by: files, lines or places in an array.
    """

    name: str
    items: Items
    labels: npt.NDArray[np.int64] | None = None
    boxes: Sequence[Boxes] | None = None
    class_names: tuple[str, ...] | None = None
    origins: tuple[str, ...] = ()
    answers: tuple[str, ...] | None = None
    whole: str | Array | None = None
    columns: tuple[str, ...] = ()
    catalogue: "Catalogue | None" = None
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return (self.items[i] for i in range(len(self)))

    def subset(self, indices: Sequence[int]) -> "Dataset":
        """The items at ``indices``, in that order, still decoded only on use."""
        labels = None if self.labels is None else self.labels[np.asarray(indices, np.int64)]
        boxes = None if self.boxes is None else tuple(self.boxes[i] for i in indices)
        answers = None if self.answers is None else tuple(self.answers[i] for i in indices)
        items = _Chosen(self.items, tuple(int(i) for i in indices))
        sources = tuple(self.sources[i] for i in indices) if self.sources else ()
        return replace(self, items=items, labels=labels, boxes=boxes, answers=answers, whole=None, sources=sources)


@dataclass(frozen=True, slots=True)
class _Chosen:
    items: Items
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Item:
        return self.items[self.indices[index]]


def draw(count: int, samples: int, seed: int) -> tuple[int, ...]:
    """``samples`` of ``count`` indices without repetition, the same for a seed; all of them if there are fewer."""
    return tuple(int(i) for i in np.random.default_rng(seed).permutation(count)[:samples])


def item_digest(item: Item) -> str:
    """Eight hexadecimal digits that recognise a decoded item, whatever file it came from."""
    if isinstance(item, str):
        return hashlib.sha256(item.encode()).hexdigest()[:8]
    digest = hashlib.sha256()
    for name, array in sorted(item.items()) if isinstance(item, Mapping) else [("", item)]:
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:8]


def data_ref(name: str, digests: Sequence[str], *, seed: int | None, keep_items: bool) -> DataRef:
    """The record of a use of data in a card, from the digests of the items in the order of use."""
    whole = hashlib.sha256("".join(digests).encode()).hexdigest()
    return DataRef(name=name, digest=whole, count=len(digests), seed=seed, items=tuple(digests) if keep_items else ())
