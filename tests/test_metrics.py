"""Metrics against scikit-learn, SciPy and closed forms, and that damage is noticed."""

import math
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import binom, binomtest
from sklearn.metrics.pairwise import cosine_similarity

from edgekit.errors import DataError
from edgekit.measure.metrics import (
    IDENTICAL_DB,
    Totals,
    agreement,
    cosine,
    max_abs,
    mean_abs,
    sqnr_db,
    totals,
    wilson_interval,
)
from edgekit.measure.paired import at_most_p, difference_interval, mcnemar_p, mean_difference_interval, sign_flip_p

FLOATS = st.floats(-1e6, 1e6, width=32)
PAIRS = array_shapes(max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(arrays(np.float32, shape, elements=FLOATS), arrays(np.float32, shape, elements=FLOATS))
)


@given(PAIRS)
def test_metrics_equal_their_formulas(pair: tuple[Any, Any]) -> None:
    a, b = (x.astype(np.float64) for x in pair)
    assert max_abs(*pair) == np.abs(a - b).max()
    assert mean_abs(*pair) == pytest.approx(np.abs(a - b).mean())
    noise, signal = ((a - b) ** 2).sum(), (a**2).sum()
    if noise and signal:
        assert sqnr_db(*pair) == pytest.approx(np.clip(10 * np.log10(signal / noise), -200, 200), abs=1e-9)
    if a.any() and b.any() and min(np.abs(a).max(), np.abs(b).max()) > 1e-9:  # scikit-learn takes less for zero
        expected = cosine_similarity(a.reshape(1, -1), b.reshape(1, -1)).item()
        assert cosine(*pair) == pytest.approx(expected, abs=1e-9)


@given(PAIRS)
def test_totals_of_parts_add_up(pair: tuple[Any, Any]) -> None:
    a, b = (x.ravel() for x in pair)
    whole, parts = totals(a, b), totals(a[:2], b[:2]) + totals(a[2:], b[2:])
    for name in Totals.__slots__:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name))


@given(arrays(np.float32, (3, 4), elements=FLOATS))
def test_an_array_equals_itself(a: Any) -> None:
    assert (max_abs(a, a), mean_abs(a, a), sqnr_db(a, a), agreement(a, a)) == (0.0, 0.0, IDENTICAL_DB, 1.0)
    assert cosine(a, a) == pytest.approx(1.0)


def test_zeros_are_as_far_off_as_can_be() -> None:
    zeros, ones = np.zeros(3), np.ones(3)
    assert (sqnr_db(zeros, ones), sqnr_db(ones, zeros)) == (-IDENTICAL_DB, 0.0)
    assert (cosine(zeros, ones), cosine(zeros, zeros)) == (0.0, 1.0)


def test_the_first_of_equal_values_wins() -> None:
    assert agreement(np.array([[1.0, 1.0]]), np.array([[2.0, 0.0]])) == 1.0
    assert agreement(np.array([[1.0, 1.0]]), np.array([[0.0, 2.0]])) == 0.0


@pytest.mark.parametrize("metric", [sqnr_db, max_abs, mean_abs, cosine, agreement])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(metric: Any, bad: float) -> None:
    good, broken = np.ones((2, 2)), np.array([[1.0, bad], [1.0, 1.0]])
    with pytest.raises(DataError) as caught:
        metric(good, broken)
    assert str(caught.value) == (
        "The compared output has 1 of 4 values that are NaN or infinite; expected finite numbers."
    )
    with pytest.raises(DataError) as caught:
        metric(broken, good)
    assert str(caught.value) == (
        "The reference output has 1 of 4 values that are NaN or infinite; expected finite numbers."
    )


@pytest.mark.parametrize("metric", [sqnr_db, max_abs, mean_abs, cosine])
def test_other_shapes_are_refused(metric: Any) -> None:
    with pytest.raises(DataError) as caught:
        metric(np.ones((2, 1)), np.ones(2))
    assert str(caught.value) == "Two outputs to compare have shapes (2, 1) and (2,); expected equal ones."


def test_agreement_refuses_other_shapes() -> None:
    with pytest.raises(DataError) as caught:
        agreement(np.ones((2, 3)), np.ones((2, 4)))
    assert str(caught.value) == (
        "Agreement needs two outputs of one shape with at least one item; got (2, 3) and (2, 4)."
    )


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_equals_scipys(counts: tuple[int, int]) -> None:
    successes, n = counts
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    low, high = wilson_interval(successes, n)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= successes / n <= high <= 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_an_impossible_proportion_is_refused(successes: int, n: int) -> None:
    with pytest.raises(DataError) as caught:
        wilson_interval(successes, n)
    assert str(caught.value) == f"A proportion needs 0 <= successes <= n and n > 0; got {successes} of {n}."


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_mcnemar_equals_the_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(x) for x in zip(*pairs, strict=True))
    losses, wins = int((first & ~second).sum()), int((~first & second).sum())
    expected = binomtest(losses, losses + wins).pvalue if losses + wins else 1.0
    assert mcnemar_p(first, second) == pytest.approx(expected)


def test_mcnemar_bears_thousands_of_differences() -> None:
    first = np.arange(6000) < 4000
    assert 0 < mcnemar_p(first, ~first) < 1e-100


def test_the_bootstrap_interval_is_that_of_the_normal_approximation_and_repeats() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.random(4000) < 0.85, rng.random(4000) < 0.80
    difference = second.astype(float) - first
    half = 1.96 * difference.std() / math.sqrt(len(difference))
    interval = difference_interval(first, second, seed=3)
    assert interval == pytest.approx((difference.mean() - half, difference.mean() + half), abs=0.001)
    assert interval == difference_interval(first, second, seed=3) != difference_interval(first, second, seed=4)


def test_the_bootstrap_of_scores_is_that_of_the_normal_approximation_and_repeats() -> None:
    rng = np.random.default_rng(6)
    first = rng.random(600)
    second = first + rng.normal(0.1, 0.5, 600)
    gaps = second - first
    half = 1.96 * gaps.std() / math.sqrt(len(gaps))
    interval = mean_difference_interval(first, second, seed=3)
    assert interval == pytest.approx((gaps.mean() - half, gaps.mean() + half), abs=0.003)
    assert (
        interval == mean_difference_interval(first, second, seed=3) != mean_difference_interval(first, second, seed=4)
    )


def test_the_bootstrap_of_scores_pairs_them() -> None:
    scores = np.random.default_rng(7).random(50)
    assert mean_difference_interval(scores, scores - 0.01, seed=0) == pytest.approx((-0.01, -0.01))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_the_randomization_test_of_answers_is_mcnemars(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(x) for x in zip(*pairs, strict=True))
    expected = pytest.approx(mcnemar_p(first, second))
    assert sign_flip_p(first.astype(float), second.astype(float), seed=0) == expected


def test_the_randomization_test_of_many_is_that_of_all_ways_and_repeats() -> None:
    rng = np.random.default_rng(8)
    first = rng.random(13)
    second = first + rng.normal(0.1, 0.3, 13)
    signs = np.array(list(product((-1, 1), repeat=13)))
    exact = np.mean(np.abs(signs @ (second - first)) >= abs((second - first).sum()) - 1e-12)
    assert sign_flip_p(first, second, seed=1) == pytest.approx(exact, abs=0.02)
    assert sign_flip_p(first, second, seed=1) == sign_flip_p(first, second, seed=1)
    assert sign_flip_p(first, first + 1, seed=1) == pytest.approx(1 / 10_001, abs=3e-4)


@given(st.integers(1, 400), st.data())
def test_the_probability_of_at_most_so_many_is_the_binomial_one(n: int, data: st.DataObject) -> None:
    successes, share = data.draw(st.integers(0, n)), data.draw(st.floats(0, 1))
    assert at_most_p(successes, n, share) == pytest.approx(float(binom.cdf(successes, n, share)), abs=1e-9)


@pytest.mark.parametrize(("successes", "n", "share"), [(0, 0, 0.5), (3, 2, 0.5), (-1, 2, 0.5), (1, 2, 1.5)])
def test_an_impossible_share_is_refused(successes: int, n: int, share: float) -> None:
    with pytest.raises(DataError) as caught:
        at_most_p(successes, n, share)
    assert str(caught.value) == (
        f"A probability needs 0 <= successes <= n, n > 0 and a share of 0 to 1; got {successes} of {n} and {share:g}."
    )


def test_paired_figures_need_the_same_items() -> None:
    intervals = (difference_interval, mean_difference_interval, sign_flip_p)
    for figure in (mcnemar_p, *(partial(interval, seed=0) for interval in intervals)):
        with pytest.raises(DataError) as caught:
            figure(np.ones(2, bool), np.ones(3, bool))
        assert str(caught.value) == "A paired comparison needs the same items twice; got (2,) and (3,)."
