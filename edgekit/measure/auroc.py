"""How well a score tells two sets apart: the area under the ROC curve, with its interval and that of differences."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Floats = npt.NDArray[np.float64]

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Auroc:
    """The probability that an item of one set scores higher than one of the other, equal scores counting a half.

    ``higher`` (count of that set,) is for each of its items the share of the other set that scores lower, ``lower`` the
    same the other way round; their means are ``value``.
    """

    value: float
    low: float
    high: float
    higher: Floats
    lower: Floats


def roc_auc(low_scores: Floats, high_scores: Floats) -> float:
    """The probability that one of ``high_scores`` (m,) is above one of ``low_scores`` (n,), ties counting half.

    Both have one score or more (Mann and Whitney 1947).

    >>> roc_auc(np.array([1.0]), np.array([2.0, 1.0]))
    0.75
    """
    ranks = _midranks(np.concatenate([low_scores, high_scores]))
    return float((ranks[len(low_scores) :] - _midranks(high_scores)).mean() / len(low_scores))


def auroc(low_scores: Floats, high_scores: Floats) -> Auroc:
    """How much higher ``high_scores`` (m,) are than ``low_scores`` (n,), with the 95 % interval of DeLong et al. 1988.

    From ranks as Sun and Xu 2014, "Fast implementation of DeLong's algorithm", algorithm 2. `DataError` for fewer than
    two scores in a set, or scores that are not finite.

    >>> auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0])).value
    0.875
    """
    n, m = len(low_scores), len(high_scores)
    scores = np.concatenate([low_scores, high_scores])
    if min(n, m) < 2 or not np.isfinite(scores).all():
        raise DataError(f"Two sets of two or more finite scores can be told apart; got {n} and {m}.")
    ranks = _midranks(scores)
    higher = (ranks[n:] - _midranks(high_scores)) / n
    lower = 1 - (ranks[:n] - _midranks(low_scores)) / m
    value = float(higher.mean())
    half = _Z95 * float(np.sqrt(_variance(higher, lower)))
    return Auroc(value=value, low=max(0.0, value - half), high=min(1.0, value + half), higher=higher, lower=lower)


def auroc_difference(first: Auroc, second: Auroc) -> tuple[float, float, float]:
    """(second - first, low, high) with its 95 % interval, for two scores of the same items (DeLong et al. 1988)."""
    if (first.higher.shape, first.lower.shape) != (second.higher.shape, second.lower.shape):
        raise DataError(
            f"A paired comparison needs the same items twice; got {first.higher.shape}, {first.lower.shape} and "
            f"{second.higher.shape}, {second.lower.shape}."
        )
    gap = second.value - first.value
    half = _Z95 * float(np.sqrt(_variance(second.higher - first.higher, second.lower - first.lower)))
    return gap, gap - half, gap + half


def _variance(higher: Floats, lower: Floats) -> float:
    return float(higher.var(ddof=1) / len(higher) + lower.var(ddof=1) / len(lower))


def _midranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[place]
    return ranks
