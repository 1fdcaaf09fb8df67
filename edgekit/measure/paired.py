"""Is one model better than another on the same items? Paired figures for right and wrong answers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Flags = npt.NDArray[np.bool_]

_RESAMPLES = 10_000


def mcnemar_p(first: Flags, second: Flags) -> float:
    """Two-sided p of McNemar's exact test (McNemar 1947) for ``first`` and ``second``, (count,) bool: answered rightly.

    The probability of a split as uneven as that of the items on which the two differ, if each way were as likely.

    >>> mcnemar_p(np.array([True] * 5), np.array([False] * 5))
    0.0625
    """
    _check(first, second)
    losses, wins = int(np.sum(first & ~second)), int(np.sum(~first & second))
    discordant, term, tail = losses + wins, 1, 0
    for k in range(min(losses, wins) + 1):
        tail += term
        term = term * (discordant - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << discordant))


def difference_interval(first: Flags, second: Flags, *, seed: int) -> tuple[float, float]:
    """The 95 % interval of accuracy(second) - accuracy(first), by 10,000 paired bootstrap resamples.

    Resampling items with replacement draws the counts of wins, losses and draws from one multinomial
    distribution; ``seed`` fixes it.
    """
    _check(first, second)
    count = len(first)
    losses, wins = int(np.sum(first & ~second)), int(np.sum(~first & second))
    shares = np.array([losses, wins, count - losses - wins]) / count
    counts: npt.NDArray[Any] = np.random.default_rng(seed).multinomial(count, shares, size=_RESAMPLES)
    low, high = np.quantile((counts[:, 1] - counts[:, 0]) / count, [0.025, 0.975])
    return float(low), float(high)


def _check(first: Flags, second: Flags) -> None:
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise DataError(f"A paired comparison needs the same items twice; got {first.shape} and {second.shape}.")
