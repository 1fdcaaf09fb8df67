"""What a generator of pictures is fed with: drawn numbers and classes, the same for a seed on every machine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Dataset
from edgekit.generation import Generator

Array = npt.NDArray[Any]

DRAWN = "drawn noise"
"""The name of such data in cards."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of ``arrays`` as items by input name."""

    arrays: Mapping[str, Array]
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Mapping[str, Array]:
        if not -self.count <= index < self.count:
            raise IndexError(index)
        return {name: values[index] for name, values in self.arrays.items()}


def draws(generator: Generator, count: int, seed: int | Sequence[int]) -> dict[str, Array]:
    """For each input of ``generator`` ``count`` rows of float32: even numbers in its range, one-hot classes.

    Fewer rows of the same ``seed`` are the first ones of more, and no input depends on which others there are.
    """
    streams = _streams(seed)
    found = {
        generator.noise.name: _even(
            next(streams), generator.noise.low, generator.noise.high, count, generator.noise.size
        )
    }
    classes, code = next(streams), next(streams)
    if generator.condition is not None:
        asked = classes.integers(generator.condition.classes, size=count)
        found[generator.condition.name] = np.eye(generator.condition.classes, dtype=np.float32)[asked]
    if generator.code is not None:
        found[generator.code.name] = _even(code, generator.code.low, generator.code.high, count, generator.code.size)
    return found


def _streams(seed: int | Sequence[int]) -> Iterator[np.random.Generator]:
    """A source of chance for each kind of input."""
    seeds = [*seed] if isinstance(seed, Sequence) else [seed]
    # With the length, since numpy takes seeds that differ by zeros at the end for one.
    return (np.random.default_rng([len(seeds), kind, *seeds]) for kind in range(3))


def _even(random: np.random.Generator, low: float, high: float, count: int, size: int) -> Array:
    return random.uniform(low, high, (count, size)).astype(np.float32)


def drawn(generator: Generator, count: int, seed: int) -> Dataset:
    """``count`` items for ``generator``, arrays by input name; ``labels`` are the classes asked for, if it takes any.

    >>> from edgekit.generation import Condition, Drawn
    >>> condition = Condition(name="condition", classes=3, asked=True)
    >>> data = drawn(Generator(noise=Drawn(name="noise", size=2), condition=condition), 4, seed=0)
    >>> sorted((name, values.shape) for name, values in data.items[0].items())
    [('condition', (3,)), ('noise', (2,))]
    """
    arrays = draws(generator, count, seed)
    condition = generator.condition
    labels = None if condition is None else arrays[condition.name].argmax(axis=1).astype(np.int64)
    return Dataset(name=DRAWN, items=_Rows(arrays, count), labels=labels)
