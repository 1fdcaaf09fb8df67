"""Metrics of texts, forecasts and answers: figures that are known, and canaries that a broken one would not notice."""

import math

import numpy as np
import pytest
from tiny_sequences import LETTERS, one_hot

from edgekit.errors import DataError
from edgekit.measure.blocks import block_length, difference_interval, ratio_interval
from edgekit.measure.kinds import KINDS
from edgekit.sequences import Level, Scaling, Sequences, Series
from edgekit.tasks.answers import answer_ids, evaluate_answers, right_tokens
from edgekit.tasks.forecasting import errors_of, evaluate_forecasts
from edgekit.tasks.text_generation import evaluate_text, token_nats
from edgekit.tasks.texts import vocabulary_of

RANDOM = np.random.default_rng(0)
CLOSE = Series(length=3, columns=("close",), scaling=Scaling.LAST)


def test_nats_are_the_cross_entropy() -> None:
    logits, ids = RANDOM.normal(0, 3, (50, 7)), RANDOM.integers(0, 7, 50)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(50), ids])
    np.testing.assert_allclose(token_nats(logits, ids), expected, rtol=1e-12)
    np.testing.assert_allclose(token_nats(logits + 1000, ids), expected, rtol=1e-9)  # no overflow


def test_a_text_that_is_foretold_has_no_nats_and_one_that_is_not_has_many() -> None:
    ids = RANDOM.integers(0, 5, 40)
    sure = np.eye(5)[ids] * 50
    assert token_nats(sure, ids).max() < 1e-15
    assert token_nats(np.roll(sure, 1, axis=1), ids).min() == pytest.approx(50)
    result = evaluate_text(np.full(9, math.log(5)), np.full(9, 0.2))
    assert result.metrics() == pytest.approx(
        {
            "nats_per_token": math.log(5),
            "nats_per_token_low": math.log(5),
            "nats_per_token_high": math.log(5),
            "perplexity": 5.0,
            "top1": 0.2,
        }
    )
    assert evaluate_text(np.array([5000.0]), np.zeros(1)).perplexity == pytest.approx(math.exp(700))


def test_the_interval_of_nats_holds_their_mean() -> None:
    nats = RANDOM.normal(1.3, 0.2, 400)
    result = evaluate_text(nats, np.zeros(400))
    assert result.nats_low < nats.mean() < result.nats_high
    assert result.nats_high - result.nats_low == pytest.approx(2 * 1.96 * 0.2 / 20, rel=0.15)


@pytest.mark.parametrize(
    ("logits", "ids", "message"),
    [
        (np.zeros(3), np.zeros(1, int), "Text needs logits (steps, tokens) and a token a step; got (3,) and (1,)."),
        (np.zeros((1, 3)), np.array([3]), "A token has the number 3; the model has 3 logits a step."),
        (
            np.full((1, 2), np.nan),
            np.array([0]),
            "The model's output has 2 of 2 values that are NaN or infinite; expected finite numbers.",
        ),
        (
            np.full((2, 4), 0.25),
            np.array([0, 1]),
            "The model's outputs are probabilities; expected logits: leave its softmax out.",
        ),
    ],
)
def test_what_has_no_nats_is_refused(logits: np.ndarray, ids: np.ndarray, message: str) -> None:
    with pytest.raises(DataError) as caught:
        token_nats(logits, ids)
    assert str(caught.value) == message


def test_a_text_without_windows_is_refused() -> None:
    with pytest.raises(DataError, match=r"^Text needs two means a window; got \(0,\) and \(0,\)\.$"):
        evaluate_text(np.zeros(0), np.zeros(0))


def test_errors_are_scaled_as_the_inputs_are() -> None:
    window = np.array([[10.0], [20], [40], [50]])
    assert errors_of(1.5, window, CLOSE) == (0.25, -0.25)
    whole = Series(length=3, columns=("close",), scaling=Scaling.NONE)
    assert errors_of(60.0, window, whole) == (10, -10)
    assert errors_of(0.1, np.full((4, 1), 0.1), whole) == (0, 0)  # as float64 has it
    with pytest.raises(
        DataError,
        match=r"^A forecast of 3 rows is judged by the next; got a window of 3: give a series\.$",
    ):
        errors_of(1.0, window[:3], CLOSE)


def test_a_forecast_of_the_last_value_is_as_good_as_persistence_and_a_better_one_is_better() -> None:
    persistence = RANDOM.normal(0, 0.01, 600)
    same = evaluate_forecasts(persistence, persistence, reach=10)
    assert (same.mse_ratio, same.mse_ratio_low, same.mse_ratio_high) == pytest.approx((1, 1, 1))
    half = evaluate_forecasts(persistence / 2, persistence, reach=10)
    assert half.metrics() == pytest.approx(
        {
            "mse": float((persistence**2).mean()) / 4,
            "mae": float(np.abs(persistence).mean()) / 2,
            "persistence_mse": float((persistence**2).mean()),
            "persistence_mae": float(np.abs(persistence).mean()),
            "mse_ratio": 0.25,
            "mse_ratio_low": 0.25,
            "mse_ratio_high": 0.25,
        }
    )
    worse = evaluate_forecasts(persistence + RANDOM.normal(0, 0.01, 600), persistence, reach=10)
    assert worse.mse_ratio_low is not None
    assert worse.mse_ratio_low > 1


def test_a_series_that_never_changes_has_no_ratio() -> None:
    result = evaluate_forecasts(np.full(20, 0.1), np.zeros(20), reach=3)
    assert result.metrics() == pytest.approx({"mse": 0.01, "mae": 0.1, "persistence_mse": 0.0, "persistence_mae": 0.0})
    with pytest.raises(DataError, match=r"^Forecasts need two errors each; got \(0,\) and \(0,\)\.$"):
        evaluate_forecasts(np.zeros(0), np.zeros(0), reach=3)
    with pytest.raises(DataError, match=r"^The model's output has 1 of 2 values that are NaN or infinite"):
        evaluate_forecasts(np.array([0, np.nan]), np.zeros(2), reach=3)


def test_blocks_know_that_neighbours_depend_on_each_other() -> None:
    """The same values shuffled are independent: then their mean is surer than that of long swings."""
    steps = np.repeat(RANDOM.normal(0, 1, 40), 25)
    swings = difference_interval(np.zeros(1000), steps, reach=50, seed=0)
    shuffled = difference_interval(np.zeros(1000), RANDOM.permutation(steps), reach=1, seed=0)
    assert swings[1] - swings[0] > 3 * (shuffled[1] - shuffled[0])
    assert ratio_interval(steps**2, np.zeros(1000), reach=50, seed=0) is None
    with pytest.raises(DataError, match=r"^A bootstrap of a series needs at least one step; got none\.$"):
        ratio_interval(np.zeros(0), np.zeros(0), reach=1, seed=0)


def test_resampled_series_are_as_long_as_the_series() -> None:
    """Of a constant one every resample has the same mean, whatever is left over after whole blocks."""
    for count in (1, 2, 7, 23, 1000):
        ones = np.ones(count)
        assert difference_interval(np.zeros(count), ones, reach=5, seed=0) == pytest.approx((1, 1))
        assert 1 <= block_length(count, 5) <= max(1, count // 4)


def test_independent_values_get_about_the_interval_of_the_normal_distribution() -> None:
    values = RANDOM.normal(0, 1, 2000)
    low, high = difference_interval(np.zeros(2000), values, reach=1, seed=0)
    assert (high - low) / (2 * 1.96 * values.std() / math.sqrt(2000)) == pytest.approx(1, abs=0.12)


def test_answers_are_right_as_a_whole_or_in_part() -> None:
    padded = vocabulary_of("abc", level=Level.CHARACTER, padding="_")
    how = one_hot(4, padded)
    wanted = answer_ids("ab", how)
    assert wanted.tolist() == [1, 2, 0, 0]
    right = np.eye(4)[[1, 2, 0, 0]]
    assert right_tokens(right, wanted, how) == (True, 2, 2)
    assert right_tokens(np.eye(4)[[1, 2, 3, 0]], wanted, how) == (False, 2, 2)  # what is too much is wrong
    assert right_tokens(np.eye(4)[[1, 3, 0, 0]], wanted, how) == (False, 1, 2)
    result = evaluate_answers(np.array([True, False, False]), np.array([2, 2, 1]), np.array([2, 2, 2]))
    assert result.metrics() == pytest.approx(
        {"exact": 1 / 3, "exact_low": 0.0615, "exact_high": 0.7923, "top1": 5 / 6}, abs=1e-4
    )


def test_answers_that_do_not_fit_are_refused() -> None:
    how = one_hot(2)
    with pytest.raises(DataError, match=r"^An answer has 3 tokens; the model gives 2: leave out what is longer\.$"):
        answer_ids("abc", how)
    with pytest.raises(
        DataError,
        match=r"^An answer of the model is 3 x 3; expected 2 x 3: a logit for each token of each step\.$",
    ):
        right_tokens(np.zeros((3, 3)), answer_ids("ab", how), how)
    with pytest.raises(DataError, match=r"^The model's output has 6 of 6 values that are NaN or infinite"):
        right_tokens(np.full((2, len(LETTERS.tokens)), np.nan), answer_ids("ab", how), how)
    with pytest.raises(DataError, match=r"^Answers need at least one with a token that does not fill up; got none\.$"):
        evaluate_answers(np.zeros(0, bool), np.zeros(0), np.zeros(0))


def test_a_ratio_gets_about_the_interval_of_the_normal_distribution() -> None:
    values = RANDOM.normal(5, 1, 2000)
    interval = ratio_interval(values, np.ones(2000), reach=1, seed=0)
    assert interval is not None
    low, high = interval
    assert (high - low) / (2 * 1.96 * values.std() / math.sqrt(2000)) == pytest.approx(1, abs=0.12)
    assert low < values.mean() < high


def test_forecasts_overlap_as_far_as_the_card_says() -> None:
    kind = KINDS["forecasting"]
    errors = np.repeat(RANDOM.normal(0, 1, (20, 2)), 30, axis=0)
    how = Sequences(series=Series(length=30, columns=("close",), scaling=Scaling.LAST))
    wide, narrow = (evaluate_forecasts(*errors.T, reach=reach).metrics() for reach in (30, 1))
    assert kind.result(errors, how, 0).metrics() == wide != narrow
    difference = kind.difference(kind.result(errors, how, 0), evaluate_forecasts(*errors.T[::-1], reach=30), how, 0)
    assert difference["mse_difference_low"] < difference["mse_difference"] < difference["mse_difference_high"]


def test_a_difference_lies_in_its_interval() -> None:
    how = Sequences(text=one_hot(3))
    better, worse = (evaluate_text(RANDOM.normal(mean, 0.1, 100), np.zeros(100)) for mean in (1, 2))
    texts = KINDS["text-generation"].difference(better, worse, how, 0)
    assert 0 < texts["nats_difference_low"] < texts["nats_difference"] < texts["nats_difference_high"]
    right, wrong = (evaluate_answers(RANDOM.random(200) < p, np.ones(200), np.ones(200)) for p in (0.9, 0.3))
    answers = KINDS["sequence-to-sequence"].difference(right, wrong, how, 0)
    assert answers["exact_difference_low"] < answers["exact_difference"] < answers["exact_difference_high"] < 0
