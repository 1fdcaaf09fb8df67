"""The noise of a pass through a Bayesian network: the same for an item on every machine and in every format."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.card import TensorSpec
from edgekit.data.base import Item, item_digest
from edgekit.uncertainty import Distribution, Noise

Array = npt.NDArray[Any]


def pass_noise(noises: Collection[Noise], inputs: Sequence[TensorSpec], item: Item, number: int) -> dict[str, Array]:
    """Float32 numbers for each of ``noises`` that is among ``inputs``, without a batch axis, free dimensions as 1.

    They follow from the bytes of ``item``, as the data has it, and the ``number`` of the pass. No input depends on
    which others there are.
    """
    shapes = {spec.name: tuple(1 if size is None else size for size in spec.shape[1:]) for spec in inputs}
    seed = [int(item_digest(item), 16), number]
    return {
        noise.name: drawn(noise, shapes[noise.name], [*seed, place])
        for place, noise in enumerate(noises)
        if noise.name in shapes
    }


def drawn(noise: Noise, shape: tuple[int, ...], seed: int | Sequence[int]) -> Array:
    """Numbers (``shape``) float32 for the input ``noise`` by ``seed``.

    >>> drawn(Noise(name="mask", distribution=Distribution.MASK, keep=0.5), (4,), seed=0).tolist()
    [0.0, 0.0, 0.0, 2.0]
    """
    random = np.random.default_rng(seed)
    if noise.distribution is Distribution.NORMAL:
        return random.standard_normal(shape, np.float32)
    return (random.random(shape, np.float32) < noise.keep).astype(np.float32) / np.float32(noise.keep)
