"""Figures that say how far two outputs are apart, and how sure a proportion is.

Every function refuses non-finite values and unequal shapes (`DataError`): a metric that skips NaN would let an all-NaN
model pass.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError

Array = npt.NDArray[Any]

IDENTICAL_DB = 200.0
"""The `sqnr_db` of equal arrays, and its bound on both sides: JSON has no infinity."""

_Z95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution


def sqnr_db(reference: Array, other: Array) -> float:
    """Signal to quantization noise ratio in dB: 10 log10(sum reference² / sum (reference - other)²), within ±200.

    >>> sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 4.5]))
    20.0
    """
    a, b = _pair(reference, other)
    noise = float(np.sum((a - b) ** 2))
    signal = float(np.sum(a**2))
    if noise == 0.0:
        return IDENTICAL_DB
    if signal == 0.0:
        return -IDENTICAL_DB
    return float(np.clip(10.0 * (math.log10(signal) - math.log10(noise)), -IDENTICAL_DB, IDENTICAL_DB))


def max_abs(reference: Array, other: Array) -> float:
    """The largest absolute difference."""
    a, b = _pair(reference, other)
    return float(np.max(np.abs(a - b), initial=0.0))


def mean_abs(reference: Array, other: Array) -> float:
    """The mean absolute difference."""
    a, b = _pair(reference, other)
    return float(np.mean(np.abs(a - b))) if a.size else 0.0


def cosine(reference: Array, other: Array) -> float:
    """Cosine of the angle between the flattened arrays, -1..1; 1 when both are zero, 0 when only one is."""
    a, b = _pair(reference, other)
    # Scaled to a largest value of 1 first, so that squares neither overflow nor vanish.
    lengths = [float(np.max(np.abs(x), initial=0.0)) for x in (a, b)]
    if 0.0 in lengths:
        return 1.0 if lengths == [0.0, 0.0] else 0.0
    a, b = a.ravel() / lengths[0], b.ravel() / lengths[1]
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))


def agreement(reference: Array, other: Array) -> float:
    """Fraction of items whose largest value along the last axis stands at the same index; the first wins a tie.

    >>> agreement(np.array([[1.0, 2.0], [4.0, 3.0]]), np.array([[0.0, 9.0], [0.0, 1.0]]))
    0.5
    """
    a, b = _pair(reference, other)
    if a.ndim == 0 or a.shape[-1] == 0 or a.size == 0:
        raise DataError(f"Agreement needs at least one item of at least one class; got shape {a.shape}.")
    return float(np.mean(np.argmax(a, axis=-1) == np.argmax(b, axis=-1)))


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval (low, high) of the proportion ``successes`` / ``n`` (Wilson 1927; Brown et al. 2001, eq. 4).

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if not 0 <= successes <= n or n == 0:
        raise DataError(f"A proportion needs 0 <= successes <= n and n > 0; got {successes} of {n}.")
    p, z2 = successes / n, _Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (0.0 if successes == 0 else max(0.0, centre - half), 1.0 if successes == n else min(1.0, centre + half))


def require_finite(values: Array, what: str) -> None:
    """`DataError` when ``values`` hold NaN or infinity; ``what`` begins the sentence."""
    if np.issubdtype(values.dtype, np.inexact) and not np.all(np.isfinite(values)):
        bad = int(np.sum(~np.isfinite(values)))
        raise DataError(
            f"{what} has {bad} of {values.size} values that are NaN or infinite; expected finite numbers: "
            "look for the layer that makes them with `edgekit compare`."
        )


def _pair(reference: Array, other: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if reference.shape != other.shape:
        raise DataError(
            f"Two outputs to be compared have shapes {reference.shape} and {other.shape}; expected equal ones."
        )
    require_finite(reference, "The reference output")
    require_finite(other, "The compared output")
    return reference.astype(np.float64), other.astype(np.float64)
