"""Which items each batch of an epoch takes, as a function of seed and epoch alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.models.batches import ALONE, Share

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """``count`` items in shuffled batches, each divided among workers.

    A last batch that has no item for each worker is left out.
    """

    count: int
    batch_size: int
    seed: int
    share: Share = ALONE

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        full, rest = divmod(self.count, self.batch_size)
        return full + (rest >= self.share.count)

    def of_epoch(self, epoch: int) -> Iterator[tuple[Indices, int]]:
        """The items that this worker takes of every batch of ``epoch``, and how many the batch has."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        for step in range(self.steps):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield chosen[self.share.index :: self.share.count], len(chosen)


def starts_of_epoch(places: int, steps: int, batch_size: int, random: np.random.Generator) -> Indices:
    """Where the windows of every batch begin, (steps, batch_size), each at one of ``places``.

    They are spread evenly over all places and then shifted and shuffled, so that an epoch sees each part of a text
    about equally often.
    """
    count = steps * batch_size
    spread = (np.arange(count) + random.random(count)) * places / count
    return random.permutation(spread.astype(np.int64)).reshape(steps, batch_size)
