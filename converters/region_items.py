"""What the last file of a detector that looks at regions is calibrated on: regions of images."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import ModelCard
from edgekit.converters import calibration as calibrating
from edgekit.converters.regions_worker import spread
from edgekit.converters.request import Request
from edgekit.data.base import Dataset, item_digest
from edgekit.errors import InputError
from edgekit.feeding import Feeder, resolve_preprocessing
from edgekit.measure.two_stage import whole_image
from edgekit.regions import Search
from edgekit.tasks.regions import warp
from edgekit.tasks.selective_search import search
from edgekit.workers import Progress, Worker

REGIONS_OF_IMAGE = 4
"""Regions of a calibration image that calibrate, more of the best ones than of the others."""


@dataclass(frozen=True, slots=True)
class Crops:
    """What a file takes, (count, ...), as items of data."""

    values: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int, /) -> npt.NDArray[Any]:
        return np.array(self.values[index])


def searched(data: Dataset, card: ModelCard, how: Search, request: Request) -> Dataset:
    """Images of some regions that selective search finds in images of ``data``, as large as the file takes them."""
    spec = resolve_preprocessing(card, request.preprocess)
    if spec is None:
        raise InputError(f"The card of {card.name} does not say how a region becomes its input; use --preprocess.")
    image, whole = whole_image(how, spec)
    feeder, crops, origins = Feeder((image,), whole), [], []
    for index in _chosen(data, card, request):
        item = data.items[index]
        origins.append(item_digest(item))
        pixels = feeder.feed(item)[image.name]
        crops.append(warp(pixels, spread(search(pixels, how), REGIONS_OF_IMAGE), spec.size_hw, how.context))
    return Dataset(name=f"regions of {data.name}", items=Crops(np.concatenate(crops)), origins=tuple(origins))


def pooled(data: Dataset, card: ModelCard, first: Path, request: Request, folder: Path, progress: Progress) -> Dataset:
    """Features of some regions that the file ``first`` proposes in images of ``data``, kept in ``folder``."""
    images = data.subset(_chosen(data, card, request))
    written = calibrating.write_calibration(
        images,
        card.inputs,
        resolve_preprocessing(card, request.preprocess),
        count=len(images),
        seed=0,
        folder=folder / "images",
        progress=progress,
    )
    out = folder / "pooled.npy"
    asked = {"path": str(first), "samples": str(written.samples.folder), "out": str(out), "regions": REGIONS_OF_IMAGE}
    with Worker("edgekit.converters.regions_worker", env={"TF_CPP_MIN_LOG_LEVEL": "3"}) as worker:
        worker.call("pool", asked, progress=progress)
    assert written.ref is not None  # noqa: S101 - they are images of data
    items = Crops(np.load(out, mmap_mode="r"))
    return Dataset(name=f"regions of {data.name}", items=items, origins=written.ref.items)


def _chosen(data: Dataset, card: ModelCard, request: Request) -> Sequence[int]:
    """As many of the items that calibrate as have enough regions."""
    most = max((recipe.calibration_samples for recipe in request.recipes), default=1)
    learned: Collection[str] = card.provenance.training.items if card.provenance.training is not None else ()
    seed = request.recipes[0].seed if request.recipes else 0
    return calibrating.chosen(data, learned, math.ceil(most / REGIONS_OF_IMAGE), seed)
