"""Golden items: what is run at the desk and again on the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.artifact import Artifact
from edgekit.data import Dataset, Item
from edgekit.errors import InputError
from edgekit.feeding import is_image
from edgekit.measure.held_out import HeldOut
from edgekit.preprocessing import Preprocessing

MOST_SIDE = 640
"""Pixels of a golden image; a larger one is reduced first, since all of them travel with the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items that every model of a bundle is run on; none of them where the inputs are made up for each.

    ``told`` says in words what they are.
    """

    told: str
    synthetic: bool
    items: tuple[Item, ...]

    @property
    def images(self) -> tuple[npt.NDArray[np.uint8], ...]:
        """The items where all are images, else nothing."""
        found = [item for item in self.items if isinstance(item, np.ndarray) and is_image(item)]
        return tuple(found) if len(found) == len(self.items) else ()


def held_out_items(data: Dataset, artifacts: Sequence[Artifact], *, samples: int, seed: int) -> Items:
    """Up to ``samples`` items of ``data`` that neither calibrated nor trained one of ``artifacts``."""
    chosen = tuple(_reduced(item) for item in HeldOut(data, artifacts, samples=samples, seed=seed))
    return Items(told=f"{_counted(chosen)} of {data.name}, held out", synthetic=False, items=chosen)


def given_items(items: Sequence[Item]) -> Items:
    """The ``items`` that the user chose."""
    chosen = tuple(_reduced(item) for item in items)
    return Items(told=f"{_counted(chosen)} chosen by hand", synthetic=False, items=chosen)


def made_up_items(preprocessing: Sequence[Preprocessing], *, samples: int, seed: int) -> Items:
    """Seeded noise in images larger than ``preprocessing`` makes them, and of another shape; none without any."""
    told = f"seeded noise (seed {seed}), no real data"
    if not preprocessing:
        return Items(told=told, synthetic=True, items=())
    if len({spec.channels for spec in preprocessing}) > 1:
        raise InputError("Models for gray and for coloured images have no noise in common; give --data or --inputs.")
    height = max(spec.size_hw[0] for spec in preprocessing)
    width = max(spec.size_hw[1] for spec in preprocessing)
    shape = (samples, height + height // 4 + 1, width + width // 2 + 2, preprocessing[0].channels)
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Items(told=told, synthetic=True, items=tuple(noise))


def _counted(items: Sequence[Item]) -> str:
    return f"{len(items)} item{'' if len(items) == 1 else 's'}"


def _reduced(item: Item) -> Item:
    if not (isinstance(item, np.ndarray) and is_image(item)) or max(item.shape[:2]) <= MOST_SIDE:
        return item
    from PIL import Image

    factor = MOST_SIDE / max(item.shape[:2])
    height, width = (max(1, round(side * factor)) for side in item.shape[:2])
    picture: Any = Image.fromarray(item[..., 0] if item.shape[2] == 1 else item)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).reshape(height, width, -1)
