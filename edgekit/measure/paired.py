"""Is one model better than another on the same items? Paired figures for right and wrong answers, and for scores."""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_RESAMPLES = 10_000
_ALL_WAYS = 12
_AT_ONCE = 1 << 22  # numbers drawn at a time, so that many items need no more memory


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


def mean_difference_interval(first: Floats, second: Floats, *, seed: int) -> tuple[float, float]:
    """The 95 % interval of mean(second) - mean(first), (count,) scores of the same items, by 10,000 paired resamples.

    Items are drawn with replacement, the same ones for both (percentile bootstrap, Efron and Tibshirani 1993, ch. 13).
    """
    _check(first, second)
    gaps, generator = second - first, np.random.default_rng(seed)
    means: list[Floats] = []
    step = max(1, _AT_ONCE // len(gaps))
    for start in range(0, _RESAMPLES, step):
        drawn = generator.integers(len(gaps), size=(min(step, _RESAMPLES - start), len(gaps)))
        means.append(gaps[drawn].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def sign_flip_p(first: Floats, second: Floats, *, seed: int) -> float:
    """Two-sided p of the randomization test for pairs (Fisher 1935, section 21), (count,) scores of the same items.

    The probability of a mean difference as large, were the two scores of each item as likely the other way round. All
    ways are tried for up to 12 items, 10,000 drawn ones for more. For right and wrong answers it is McNemar's.

    >>> sign_flip_p(np.ones(5), np.zeros(5), seed=0)
    0.0625
    """
    _check(first, second)
    gaps = second - first
    least = abs(gaps.sum()) * (1 - 1e-12)  # sums of the same numbers in another order
    if len(gaps) <= _ALL_WAYS:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(gaps))))
        return float(np.mean(np.abs(signs @ gaps) >= least))
    generator, step, as_large = np.random.default_rng(seed), max(1, _AT_ONCE // len(gaps)), 0
    for start in range(0, _RESAMPLES, step):
        drawn = generator.integers(0, 2, size=(min(step, _RESAMPLES - start), len(gaps)), dtype=np.int8)
        as_large += int(np.sum(np.abs((2.0 * drawn - 1.0) @ gaps) >= least))
    return (as_large + 1) / (_RESAMPLES + 1)  # what was measured is one of the ways


def at_most_p(successes: int, n: int, share: float) -> float:
    """The probability of at most ``successes`` among ``n`` items that each succeed with probability ``share``; exact.

    >>> round(at_most_p(1, 3, 0.5), 6)
    0.5
    """
    if not 0 <= successes <= n or n == 0 or not 0 <= share <= 1:
        raise DataError(
            "A probability needs 0 <= successes <= n, n > 0 and a share of 0 to 1; "
            f"got {successes} of {n} and {share:g}."
        )
    if share in (0.0, 1.0):
        return 1.0 if share == 0.0 or successes == n else 0.0
    logs = (
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(share)
        + (n - k) * math.log1p(-share)
        for k in range(successes + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def _check(first: Flags | Floats, second: Flags | Floats) -> None:
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise DataError(f"A paired comparison needs the same items twice; got {first.shape} and {second.shape}.")
