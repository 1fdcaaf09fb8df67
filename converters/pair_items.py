"""What the last file of a model that compares pictures is calibrated on: pairs of embeddings."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard
from edgekit.converters import calibration as calibrating
from edgekit.converters.request import Request
from edgekit.data.base import Dataset
from edgekit.feeding import resolve_preprocessing
from edgekit.tasks.verification import FIRST, SECOND
from edgekit.workers import Progress, Worker


@dataclass(frozen=True, slots=True)
class Pairs:
    """Each of ``embeddings`` (count, size) beside the next one, the last beside the first, as items of data."""

    embeddings: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, index: int, /) -> dict[str, npt.NDArray[Any]]:
        return {FIRST: np.array(self.embeddings[index]), SECOND: np.array(self.embeddings[(index + 1) % len(self)])}


def embedded(
    data: Dataset, card: ModelCard, tower: Path, request: Request, folder: Path, progress: Progress
) -> Dataset:
    """Pairs of what the file ``tower`` makes of pictures of ``data``, kept in ``folder``."""
    most = max(recipe.calibration_samples for recipe in request.recipes)
    learned: Collection[str] = card.provenance.training.items if card.provenance.training is not None else ()
    images = data.subset(calibrating.chosen(data, learned, most, request.recipes[0].seed))
    written = calibrating.write_calibration(
        images,
        card.inputs,
        resolve_preprocessing(card, request.preprocess),
        count=len(images),
        seed=0,
        folder=folder / "images",
        progress=progress,
    )
    out = folder / "embeddings.npy"
    asked = {"path": str(tower), "samples": str(written.samples.folder), "out": str(out)}
    with Worker("edgekit.converters.pairs_worker", env={"TF_CPP_MIN_LOG_LEVEL": "3"}) as worker:
        worker.call("embed", asked, progress=progress)
    assert written.ref is not None  # noqa: S101 - they are images of data
    items = Pairs(np.load(out, mmap_mode="r"))
    return Dataset(name=f"pairs of {data.name}", items=items, origins=written.ref.items)
