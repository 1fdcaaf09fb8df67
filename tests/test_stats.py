"""Figures against numpy and by hand, and the interval of a ratio."""

import math
import re
import statistics
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.measure.stats import RESAMPLES, Ratio, median_ratio, summarize


def test_figures_by_hand() -> None:
    found = summarize([4.0, 1.0, 3.0, 2.0, 10.0], first_ms=99.0)
    assert (found.first, found.mean, found.min, found.p50, found.max) == (99.0, 4.0, 1.0, 3.0, 10.0)
    assert found.stdev == pytest.approx(statistics.stdev([4.0, 1.0, 3.0, 2.0, 10.0]))
    assert found.p90 == pytest.approx(4 + 0.6 * 6)  # position 0.9 * 4 = 3.6 between 4 and 10


def test_percentiles_are_those_of_numpy() -> None:
    samples = np.random.default_rng(3).lognormal(size=997)
    found = summarize(samples.tolist(), first_ms=0.0)
    assert (found.p50, found.p90, found.p95, found.p99) == pytest.approx(np.percentile(samples, (50, 90, 95, 99)))


def test_one_sample_has_no_deviation() -> None:
    assert summarize([2.0], first_ms=1.0).stdev == 0.0


def test_no_sample_is_refused() -> None:
    with pytest.raises(InputError, match=r"^There is no sample to sum up; expected at least 1 timed run\.$"):
        summarize([], first_ms=1.0)


def rounds(median: float, *, seed: int, spread: float = 0.05, count: int = 20) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    return [(median * generator.normal(1, spread, 10)).tolist() for _ in range(count)]


def test_a_clear_difference_is_decided_and_inside_the_interval() -> None:
    ratio = median_ratio(rounds(2.0, seed=1), rounds(1.0, seed=2), seed=0)
    assert ratio.low < 2.0 < ratio.high
    assert ratio.low > 1.9
    assert ratio.decided


def test_the_same_model_twice_is_not_decided() -> None:
    assert not median_ratio(rounds(1.0, seed=1), rounds(1.0, seed=2), seed=0).decided
    assert not Ratio(value=1.0, low=1.0, high=1.0).decided
    assert not Ratio(value=math.nan, low=math.nan, high=math.nan).decided
    assert Ratio(value=0.5, low=0.4, high=0.6).decided


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    hits = 0
    for trial in range(100):
        ratio = median_ratio(rounds(1.5, seed=trial), rounds(1.0, seed=1000 + trial), seed=trial, resamples=200)
        hits += ratio.low <= 1.5 <= ratio.high
    assert hits >= 85


def test_the_interval_holds_95_of_100_drawn_ratios() -> None:
    """Of seven rounds with 1 to 7 ms the median drawn is 1 in a hundredth of the cases, 2 or less in a tenth."""
    ratio = median_ratio([[float(i)] for i in range(1, 8)], [[1.0]] * 7, seed=0)
    assert (ratio.low, ratio.value, ratio.high) == (2.0, 4.0, 6.0)


def test_the_docs_say_how_often_rounds_are_drawn() -> None:
    text = (Path(__file__).parent.parent / "docs" / "benchmarking.md").read_text()
    assert RESAMPLES == 1000
    assert f"rounds are drawn again {RESAMPLES:,} times" in text


@pytest.mark.parametrize(("ours", "theirs"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_a_ratio_of_no_time_is_refused(ours: float, theirs: float) -> None:
    with pytest.raises(InputError) as caught:
        median_ratio([[ours, ours, 2.0]], [[theirs, theirs, 2.0]], seed=0)
    assert str(caught.value) == "A median time is 0 ms, of which there is no ratio; time it where the clock is finer."


def test_rounds_that_slow_both_alike_do_not_widen_the_interval() -> None:
    slow = np.random.default_rng(5).uniform(1, 10, 20)
    ours = [[2.0 * s] * 5 for s in slow]
    theirs = [[1.0 * s] * 5 for s in slow]
    paired = median_ratio(ours, theirs, seed=0)
    assert (paired.low, paired.value, paired.high) == (2.0, 2.0, 2.0)
    mixed = median_ratio(ours, theirs[::-1], seed=0)
    assert mixed.high - mixed.low > 0.5


def test_a_ratio_of_unequal_rounds_is_refused() -> None:
    with pytest.raises(InputError, match="^" + re.escape("A ratio needs the same rounds of both; got 2 and 1.") + "$"):
        median_ratio([[1.0], [1.0]], [[1.0]], seed=0)


def test_the_interval_repeats_with_its_seed() -> None:
    a, b = rounds(1.1, seed=1), rounds(1.0, seed=2)
    assert median_ratio(a, b, seed=7) == median_ratio(a, b, seed=7) != median_ratio(a, b, seed=8)
