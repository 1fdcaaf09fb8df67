"""What generators of pictures are fed: noise, a class and a code, drawn with a seed."""

from dataclasses import dataclass

import numpy as np

from edgekit.data.base import Array, Dataset
from edgekit.generation import Drawn, Generator

NAME = "drawn noise"


def drawn(generator: Generator, count: int, seed: int) -> Dataset:
    """``count`` items for ``generator``, arrays by the names of its inputs; the classes come in turn.

    An item depends on ``seed`` and its number alone, so that fewer items are the first of more.
    """
    return Dataset(name=NAME, items=_Noise(generator, count, seed))


def draw_inputs(generator: Generator, *, seed: int, index: int, class_id: int | None = None) -> dict[str, Array]:
    """The inputs of item ``index``, float32 without a batch axis; ``class_id`` instead of that whose turn it is."""
    random = np.random.default_rng((seed, index))
    inputs = {part.name: _even(random, part) for part in (generator.noise, generator.code) if part is not None}
    condition = generator.condition
    if condition is not None:
        chosen = index % condition.classes if class_id is None else class_id
        inputs[condition.name] = (np.arange(condition.classes) == chosen).astype(np.float32)
    return inputs


def _even(random: np.random.Generator, part: Drawn) -> Array:
    return random.uniform(part.low, part.high, part.size).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Noise:
    generator: Generator
    count: int
    seed: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> dict[str, Array]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return draw_inputs(self.generator, seed=self.seed, index=index)
