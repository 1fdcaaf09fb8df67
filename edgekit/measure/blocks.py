"""How sure a figure of a series is, whose neighbours in time depend on each other: the moving-block bootstrap."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Floats = npt.NDArray[np.float64]

_RESAMPLES = 10_000
_AT_ONCE = 1 << 22  # numbers drawn at a time, so that long series need no more memory
_LEAST_BLOCKS = 4


def block_length(count: int, reach: int) -> int:
    """Steps of a block for ``count`` steps that overlap with the next ``reach``.

    At least the cube root of the count, the order at which the error of a variance is least (Kuensch 1989, section 3);
    at most a quarter of it, since a bootstrap of fewer than four blocks tells nothing.

    >>> block_length(1000, 1), block_length(1000, 30), block_length(8, 30)
    (10, 30, 2)
    """
    return max(1, min(max(reach, math.ceil(round(math.cbrt(count), 9))), count // _LEAST_BLOCKS))


def ratio_interval(first: Floats, second: Floats, *, reach: int, seed: int) -> tuple[float, float] | None:
    """The 95 % interval of mean(first) / mean(second), (count,) each in the order of time; None where ``second`` is 0.

    Blocks of neighbours are drawn with replacement, the same ones for both, and 10,000 times laid end to end to a
    series of the same length (Kuensch 1989; percentile interval, Efron and Tibshirani 1993, chapter 13).
    """
    sums = np.concatenate(list(_resampled(np.column_stack([first, second]), reach, seed)))
    if not sums[:, 1].min() > 0:
        return None
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return float(low), float(high)


def difference_interval(first: Floats, second: Floats, *, reach: int, seed: int) -> tuple[float, float]:
    """The 95 % interval of mean(second) - mean(first), in the same way."""
    sums = np.concatenate(list(_resampled(np.column_stack([second - first]), reach, seed)))
    low, high = np.quantile(sums[:, 0] / len(first), [0.025, 0.975])
    return float(low), float(high)


def block_sums(values: Floats, *, reach: int) -> Floats:
    """Sums of blocks of neighbours among ``values`` (count,), which depend on each other little; the last may be less.

    >>> block_sums(np.arange(8.0), reach=2).tolist()
    [1.0, 5.0, 9.0, 13.0]
    """
    return np.add.reduceat(values, np.arange(0, len(values), block_length(len(values), reach)))


def _resampled(values: npt.NDArray[Any], reach: int, seed: int) -> Iterator[Floats]:
    """Sums (resamples, columns) over resampled series, in parts."""
    count = len(values)
    if not count:
        raise DataError("A bootstrap of a series needs at least one step; got none.")
    length = block_length(count, reach)
    blocks, rest = divmod(count, length)
    totals = np.vstack([np.zeros(values.shape[1]), np.cumsum(values, axis=0)])
    generator, at_once = np.random.default_rng(seed), max(1, _AT_ONCE // (blocks + 1) // values.shape[1])
    for start in range(0, _RESAMPLES, at_once):
        drawn = generator.integers(count - length + 1, size=(min(at_once, _RESAMPLES - start), blocks + 1))
        whole, part = drawn[:, :-1], drawn[:, -1]
        yield (totals[whole + length] - totals[whole]).sum(axis=1) + totals[part + rest] - totals[part]
