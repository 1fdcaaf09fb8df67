"""Figures that say how far two outputs are apart, and how sure a proportion is.

Every function refuses non-finite values and unequal shapes (`DataError`): a metric that skips NaN would let an all-NaN
model pass.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Array = npt.NDArray[Any]

IDENTICAL_DB = 200.0
"""The `sqnr_db` of equal arrays, and its bound on both sides: JSON has no infinity."""

_Z95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over pairs of values, reference and other, from which the figures follow; totals of parts add up."""

    values: int = 0
    reference_energy: float = 0.0
    other_energy: float = 0.0
    noise_energy: float = 0.0
    product: float = 0.0
    abs_sum: float = 0.0
    max_abs: float = 0.0

    def __add__(self, more: "Totals") -> "Totals":
        return Totals(
            values=self.values + more.values,
            reference_energy=self.reference_energy + more.reference_energy,
            other_energy=self.other_energy + more.other_energy,
            noise_energy=self.noise_energy + more.noise_energy,
            product=self.product + more.product,
            abs_sum=self.abs_sum + more.abs_sum,
            max_abs=max(self.max_abs, more.max_abs),
        )

    @property
    def mean_abs(self) -> float:
        """The mean absolute difference."""
        return self.abs_sum / self.values if self.values else 0.0

    @property
    def sqnr_db(self) -> float:
        """Signal to noise ratio in dB; see the function of this name."""
        if self.noise_energy == 0.0:
            return IDENTICAL_DB
        if self.reference_energy == 0.0:
            return -IDENTICAL_DB
        ratio = 10.0 * (math.log10(self.reference_energy) - math.log10(self.noise_energy))
        return min(IDENTICAL_DB, max(-IDENTICAL_DB, ratio))

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two; see the function of this name."""
        if self.noise_energy == 0.0:
            return 1.0
        if 0.0 in (self.reference_energy, self.other_energy):
            return 0.0
        lengths = math.sqrt(self.reference_energy) * math.sqrt(self.other_energy)
        return min(1.0, max(-1.0, self.product / lengths))


def totals(reference: Array, other: Array) -> Totals:
    """The sums over all values of two arrays of one shape, in float64."""
    if reference.shape != other.shape:
        raise DataError(f"Two outputs to compare have shapes {reference.shape} and {other.shape}; expected equal ones.")
    require_finite(reference, "The reference output")
    require_finite(other, "The compared output")
    a, b = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    gap = np.abs(a - b)
    return Totals(
        values=a.size,
        reference_energy=float(a @ a),
        other_energy=float(b @ b),
        noise_energy=float(gap @ gap),
        product=float(a @ b),
        abs_sum=float(gap.sum()),
        max_abs=float(gap.max(initial=0.0)),
    )


def sqnr_db(reference: Array, other: Array) -> float:
    """Signal to quantization noise ratio in dB: 10 log10(sum reference² / sum (reference - other)²), within ±200.

    200 stands for identical arrays, -200 for a difference from a reference of zeros.

    >>> round(sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 4.5])), 6)
    20.0
    """
    return totals(reference, other).sqnr_db


def max_abs(reference: Array, other: Array) -> float:
    """The largest absolute difference."""
    return totals(reference, other).max_abs


def mean_abs(reference: Array, other: Array) -> float:
    """The mean absolute difference."""
    return totals(reference, other).mean_abs


def cosine(reference: Array, other: Array) -> float:
    """Cosine of the angle between the flattened arrays, -1..1; 1 when both are zero, 0 when only one is."""
    return totals(reference, other).cosine


def agreement(reference: Array, other: Array) -> float:
    """Fraction of items whose largest value along the last axis stands at the same index; the first wins a tie.

    >>> agreement(np.array([[1.0, 2.0], [4.0, 3.0]]), np.array([[0.0, 9.0], [0.0, 1.0]]))
    0.5
    """
    if reference.shape != other.shape or reference.size == 0 or reference.ndim == 0:
        raise DataError(
            f"Agreement needs two outputs of one shape with at least one item; got {reference.shape} and {other.shape}."
        )
    require_finite(reference, "The reference output")
    require_finite(other, "The compared output")
    return float(np.mean(reference.argmax(axis=-1) == other.argmax(axis=-1)))


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """The 95 % interval (low, high) of the proportion ``successes`` / ``n`` (Wilson 1927; Brown et al. 2001, eq. 4).

    Where ``n`` counts groups that go together, ``successes`` is their number times the share of what succeeds.

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if not 0 <= successes <= n or n == 0:
        raise DataError(f"A proportion needs 0 <= successes <= n and n > 0; got {successes} of {n}.")
    p, z2 = successes / n, _Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # The bounds meet 0 and 1 exactly there, which rounding would miss.
    return (0.0 if successes == 0 else max(0.0, centre - half), 1.0 if successes == n else min(1.0, centre + half))


def require_finite(values: Array, what: str) -> None:
    """`DataError` when ``values`` hold NaN or infinity; ``what`` begins the sentence."""
    if np.issubdtype(values.dtype, np.inexact) and not np.isfinite(values).all():
        bad = int(np.sum(~np.isfinite(values)))
        raise DataError(f"{what} has {bad} of {values.size} values that are NaN or infinite; expected finite numbers.")
