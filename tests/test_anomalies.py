"""Figures of anomaly scores: scikit-learn's, intervals that hold what they say, and damaged scores that are noticed."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics
from tiny_tables import table

from edgekit.data import Dataset
from edgekit.errors import DataError
from edgekit.tasks.anomalies import (
    average_precision,
    best_threshold,
    curve,
    difference_interval,
    evaluate_anomalies,
    normal_items,
    require_binary,
)


def drawn(count: int, *, seed: int = 0, apart: float = 1.5, digits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    anomalous = random.random(count) < 0.1
    return np.round(random.normal(0, 1, count) + apart * anomalous, digits), anomalous


@pytest.mark.parametrize("digits", [8, 1, 0])
@pytest.mark.parametrize("count", [40, 1000])
def test_areas_are_those_of_scikit_learn_with_ties_too(count: int, digits: int) -> None:
    scores, anomalous = drawn(count, digits=digits)
    found = evaluate_anomalies(scores, anomalous, threshold=0.5)
    assert found.pr_auc == pytest.approx(metrics.average_precision_score(anomalous, scores), abs=1e-12)
    assert found.roc_auc == pytest.approx(metrics.roc_auc_score(anomalous, scores), abs=1e-12)
    assert average_precision(scores, anomalous) == found.pr_auc
    told = metrics.precision_recall_fscore_support(anomalous, scores > 0.5, average="binary", zero_division=0)
    assert (found.precision, found.recall, found.f1) == pytest.approx(told[:3], abs=1e-12)
    assert (found.count, found.anomalies, found.threshold) == (count, anomalous.sum(), 0.5)


def test_the_curve_is_that_of_scikit_learn() -> None:
    scores, anomalous = drawn(200, digits=1)
    precision, recall, _ = metrics.precision_recall_curve(anomalous, scores)
    ours = curve(scores, anomalous)
    np.testing.assert_allclose(ours[0], recall[-2::-1], atol=1e-12)
    np.testing.assert_allclose(ours[1], precision[-2::-1], atol=1e-12)


def test_scores_the_wrong_way_round_are_noticed() -> None:
    scores, anomalous = drawn(500, apart=3)
    right, wrong = (evaluate_anomalies(s, anomalous, threshold=1.5) for s in (scores, -scores))
    assert right.pr_auc > 0.8
    assert wrong.pr_auc < anomalous.mean() < right.pr_auc
    assert wrong.roc_auc == pytest.approx(1 - right.roc_auc)
    low, high = difference_interval(right, wrong)
    assert low < high < 0
    assert evaluate_anomalies(scores, anomalous, threshold=1e9).precision == 0


def test_intervals_shrink_with_more_items_and_hold_the_figure() -> None:
    widths, (scores, anomalous) = [], drawn(200)
    for times in (1, 16):
        found = evaluate_anomalies(np.tile(scores, times), np.tile(anomalous, times), threshold=1.0, seed=3)
        assert found.pr_auc_low < found.pr_auc < found.pr_auc_high
        assert found.roc_auc_low < found.roc_auc < found.roc_auc_high
        widths.append(found.roc_auc_high - found.roc_auc_low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.15)


@pytest.mark.slow
def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    """The area under the ROC curve of normal scores that are 1.5 apart is Phi(1.5 / sqrt 2)."""
    truth, covered = 0.8555778168267576, 0
    for seed in range(60):
        found = evaluate_anomalies(*drawn(300, seed=seed), threshold=1.0, seed=seed)
        covered += found.roc_auc_low <= truth <= found.roc_auc_high
    assert 51 <= covered <= 60


def test_a_difference_is_paired() -> None:
    """Files that rank alike differ by nothing, however wide the interval of each is."""
    scores, anomalous = drawn(300)
    first = evaluate_anomalies(scores, anomalous, threshold=1.0)
    same = evaluate_anomalies(np.exp(scores), anomalous, threshold=1.0)
    assert difference_interval(first, same) == (0, 0)
    noisy = evaluate_anomalies(scores + np.random.default_rng(1).normal(0, 2, 300), anomalous, threshold=1.0)
    low, high = difference_interval(first, noisy)
    assert low < noisy.pr_auc - first.pr_auc < high < 0


def test_the_threshold_of_the_best_f1_is_the_best() -> None:
    scores, anomalous = drawn(120, digits=1)
    best = max(metrics.f1_score(anomalous, scores >= score) for score in np.unique(scores))
    found = best_threshold(scores, anomalous)
    assert metrics.f1_score(anomalous, scores > found) == pytest.approx(best)
    assert found not in scores


def test_where_all_count_as_anomalies_the_threshold_is_below_all_scores() -> None:
    scores = np.array([1.0, 2.0, 3.0])
    assert best_threshold(scores, np.array([True, False, True])) < 1


@pytest.mark.parametrize(
    ("scores", "anomalous", "sentence"),
    [
        ([1.0, 2.0], [False, False], "All 2 items are normal; expected some of both kinds: judge on items with the "
         "labels 0, normal, and 1, anomaly."),
        ([1.0, 2.0], [True, True], "All 2 items are anomalies; expected some of both kinds: judge on items with the "
         "labels 0, normal, and 1, anomaly."),
        ([1.0], [True, False], "Scores and their truth are (1,) and (2,); expected as many of both."),
        ([np.nan, 1.0], [True, False], "The model's score has 1 of 2 values that are NaN or infinite; expected "
         "finite numbers."),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(scores: list[float], anomalous: list[bool], sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        evaluate_anomalies(np.array(scores), np.array(anomalous), threshold=0.0)
    assert str(caught.value) == sentence


def test_labels_are_0_and_1() -> None:
    data = table()
    assert require_binary(data) is data.labels
    assert len(normal_items(data)) == 48
    assert len(normal_items(replace(data, labels=None))) == 60
    folders = replace(data, labels=np.arange(60) % 3, class_names=("broken", "Normal", "odd"))
    np.testing.assert_array_equal(require_binary(folders), np.arange(60) % 3 != 1)
    for wrong, sentence in (
        (
            replace(data, class_names=("cats", "dogs")),
            "machines has the classes cats, dogs; expected one called normal, beside which all others are anomalies.",
        ),
        (replace(data, labels=None), "machines has no labels; expected 0 for a normal item and 1 for an anomaly."),
        (
            replace(data, labels=np.full(60, 3)),
            "machines has the label 3; expected 0 for a normal item and 1 for an anomaly.",
        ),
    ):
        with pytest.raises(DataError) as caught:
            require_binary(wrong)
        assert str(caught.value) == sentence
    with pytest.raises(DataError) as caught:
        normal_items(Dataset(name="machines", items=data.items, labels=np.ones(60, np.int64)))
    assert str(caught.value) == "All 60 items of machines are anomalies; expected normal ones, with label 0."
