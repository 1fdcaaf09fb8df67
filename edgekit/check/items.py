"""The items of a baseline found again in the data, or a sentence that the data has changed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.check.baseline import DataRecord, PairsRecord
from edgekit.check.budgets import DataSettings
from edgekit.data import Dataset, Item, Items, item_digest
from edgekit.data.windows import Windows
from edgekit.errors import DataError
from edgekit.tasks.trials import Pairs

_MEND = "restore it, or record why with: edgekit check --update --reason TEXT."


def record_data(
    dataset: Dataset, settings: DataSettings, indices: Sequence[int], *, pairs: Pairs | None = None
) -> DataRecord:
    """What is needed to find the items at ``indices``, and ``pairs`` of them, again."""
    return DataRecord(
        source=settings.source,
        name=dataset.name,
        total=len(dataset),
        samples=settings.samples,
        seed=settings.seed,
        indices=tuple(indices),
        digests=tuple(item_digest(dataset.items[index]) for index in indices),
        truth=_truth(dataset.subset(indices)),
        pairs=None
        if pairs is None
        else PairsRecord(
            first=tuple(pairs.first.tolist()),
            second=tuple(pairs.second.tolist()),
            people=tuple(pairs.people.tolist()),
        ),
        window=_window(dataset),
    )


def same_items(dataset: Dataset, settings: DataSettings, known: DataRecord) -> Dataset:
    """The items of ``known``, in its order, which are compared with their digests when they are decoded.

    `DataError` where the data or what is asked of it is not what it was.
    """
    asked = (settings.source, settings.samples, settings.seed)
    if asked != (known.source, known.samples, known.seed):
        raise DataError(
            f"The [data] of the configuration asks for {_asked(*asked)}, the baseline has "
            f"{_asked(known.source, known.samples, known.seed)}; {_MEND}"
        )
    if _window(dataset) != known.window:
        raise DataError(
            f"A window of {dataset.name} has {_window(dataset)} steps for these models, the baseline's had "
            f"{known.window}; {_MEND}"
        )
    if len(dataset) != known.total:
        raise DataError(f"The data {dataset.name} has {len(dataset)} items, the baseline's had {known.total}; {_MEND}")
    chosen = dataset.subset(known.indices)
    if _truth(chosen) != known.truth:
        raise DataError(f"The labels of {dataset.name} are not those of the baseline; {_MEND}")
    return replace(chosen, items=_Checked(chosen.items, known, dataset.name))


@dataclass(frozen=True, slots=True)
class _Checked:
    """Items that are compared with the digests of ``known`` when they are decoded."""

    items: Items
    known: DataRecord
    name: str

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int, /) -> Item:
        item = self.items[index]
        if item_digest(item) != self.known.digests[index]:
            raise DataError(
                f"Item {self.known.indices[index]} of {self.name} is not that of the baseline, or another version of "
                f"Pillow decodes it otherwise; {_MEND}"
            )
        return item


def _truth(dataset: Dataset) -> str:
    """A sha256 over the labels, boxes or answers, and the names of the classes."""
    digest = hashlib.sha256(repr(dataset.class_names).encode())
    if dataset.labels is not None:
        digest.update(dataset.labels.astype("<i8").tobytes())
    for boxes in dataset.boxes or ():
        digest.update(repr(boxes.image_hw).encode())
        digest.update(np.ascontiguousarray(boxes.corners, "<f4").tobytes())
        digest.update(boxes.classes.astype("<i8").tobytes())
        digest.update(boxes.crowd.tobytes())
    if dataset.answers is not None:
        digest.update(repr(dataset.answers).encode())
    return digest.hexdigest()


def _window(dataset: Dataset) -> int:
    """Steps of a window, where the items of ``dataset`` are any."""
    return dataset.items.length if isinstance(dataset.items, Windows) else 0


def _asked(source: str, samples: int | None, seed: int) -> str:
    return f"{'all' if samples is None else samples} items of {source} with seed {seed}"
