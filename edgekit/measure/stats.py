"""Figures that sum up repeated times, and how sure the ratio of two of them is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.errors import InputError

RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Times of repeated runs in ms. ``first`` is the very first run after loading and is in no other figure."""

    first: float
    mean: float
    stdev: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of medians with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 1, so that one of the two is the faster."""
        return self.low > 1.0 or self.high < 1.0


def summarize(samples_ms: Sequence[float], *, first_ms: float) -> Latency:
    """The figures of ``samples_ms``; percentiles by linear interpolation, deviation of a sample (n - 1).

    >>> summarize([1.0, 2.0, 3.0], first_ms=9.0).p50
    2.0
    """
    values = np.asarray(samples_ms, np.float64)
    if values.size == 0:
        raise InputError("There is no sample to sum up; expected at least 1 timed run.")
    p50, p90, p95, p99 = (float(p) for p in np.percentile(values, (50, 90, 95, 99)))
    return Latency(
        first=first_ms,
        mean=float(values.mean()),
        stdev=float(values.std(ddof=1)) if values.size > 1 else 0.0,
        min=float(values.min()),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        max=float(values.max()),
    )


def median_ratio(
    rounds: Sequence[Sequence[float]], reference: Sequence[Sequence[float]], *, seed: int, resamples: int = RESAMPLES
) -> Ratio:
    """median(rounds) / median(reference), with a 95 % bootstrap interval.

    Both hold the samples of the same rounds, in the same order. Whole rounds are drawn with replacement, the same ones
    for both: neighbouring runs resemble each other, so that drawing single runs would claim too much, and what slowed
    a whole round slowed both (block bootstrap, Kuensch 1989; percentile interval, Efron and Tibshirani 1993, ch. 13).
    """
    if len(rounds) != len(reference) or not rounds:
        raise InputError(f"A ratio needs the same rounds of both; got {len(rounds)} and {len(reference)}.")
    generator = np.random.default_rng(seed)
    ours = [np.asarray(r, np.float64) for r in rounds]
    theirs = [np.asarray(r, np.float64) for r in reference]
    drawn = np.empty(resamples)
    for i in range(resamples):
        chosen = generator.integers(len(ours), size=len(ours))
        drawn[i] = _median([ours[j] for j in chosen]) / _median([theirs[j] for j in chosen])
    low, high = (float(v) for v in np.percentile(drawn, (2.5, 97.5)))
    return Ratio(value=_median(ours) / _median(theirs), low=low, high=high)


def _median(rounds: Sequence[npt.NDArray[np.float64]]) -> float:
    found = float(np.median(np.concatenate(rounds)))
    if not found > 0:
        raise InputError(
            f"A median time is {found:g} ms, of which there is no ratio; time it where the clock is finer."
        )
    return found
