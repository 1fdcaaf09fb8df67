"""How well classifiers know what is of no class of theirs: items of other data have the higher predictive entropy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Dataset, item_digest
from edgekit.errors import DataError
from edgekit.measure.auroc import Auroc, auroc, auroc_difference
from edgekit.measure.held_out import HeldOut
from edgekit.measure.passes import Told, in_passes
from edgekit.measure.subjects import Subject
from edgekit.tasks.classification import as_probabilities, entropy_of
from edgekit.workers import Progress, silent

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """``apart`` tells how much higher the entropies of the other data's items are, whose mean is ``entropy`` in nats.

    ``difference`` is (value, low, high): that of the area from the first file's; the first has none.
    """

    apart: Auroc
    entropy: float
    difference: tuple[float, float, float] | None

    def metrics(self) -> dict[str, float]:
        """The figures by their JSON names."""
        figures = {
            "ood_auroc": self.apart.value,
            "ood_auroc_low": self.apart.low,
            "ood_auroc_high": self.apart.high,
            "ood_entropy": self.entropy,
        }
        if self.difference is None:
            return figures
        names = ("ood_auroc_difference", "ood_auroc_difference_low", "ood_auroc_difference_high")
        return figures | dict(zip(names, self.difference, strict=True))


def strange_scores(
    subjects: Sequence[Subject],
    ood: Dataset,
    *,
    known: Dataset,
    samples: int | None,
    seed: int,
    passes: int | None,
    progress: Progress = silent,
) -> tuple[list[Array], HeldOut]:
    """What each file tells of the items of ``ood``, (count, classes), and which ones these are.

    Items are chosen as those of ``known`` are; `DataError` where both are the same data.
    """
    if len(ood) == len(known) and item_digest(ood.items[0]) == item_digest(known.items[0]):
        raise DataError(f"--ood takes data of another kind than --data; got {ood.name} for both: name another.")
    chosen = HeldOut(ood, [s.artifact for s in subjects], samples=samples, seed=seed)
    told, before = [Told() for _ in subjects], [subject.seconds for subject in subjects]
    progress(f"looking at {ood.name}", 0, chosen.wanted)
    for done in in_passes(subjects, chosen, told, passes=passes):
        progress(f"looking at {ood.name}", done, chosen.wanted)
    for subject, seconds in zip(subjects, before, strict=True):
        subject.seconds = seconds  # they are told of the other items
    return [each.stacked()[0] for each in told], chosen


def told_apart(known: Sequence[Array], strange: Sequence[Array]) -> list[Strangers]:
    """For each file how its entropies of ``known`` and of ``strange`` items differ, all beside the first.

    Both are scores (count, classes). Whether these are probabilities is decided for both together, so that all
    entropies of a file are on one scale.
    """
    every = [entropy_of(as_probabilities(np.concatenate(both))) for both in zip(known, strange, strict=True)]
    areas = [auroc(found[: len(low)], found[len(low) :]) for found, low in zip(every, known, strict=True)]
    return [
        Strangers(
            apart=area,
            entropy=float(found[len(low) :].mean()),
            difference=auroc_difference(areas[0], area) if number else None,
        )
        for number, (area, found, low) in enumerate(zip(areas, every, known, strict=True))
    ]
