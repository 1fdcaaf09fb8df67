"""The area under the ROC curve beside scikit-learn's, its interval beside resampling, and canaries."""

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.measure.auroc import auroc, auroc_difference


def scores(seed: int, *, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(0, 1, 300).round(1), random.normal(shift, 1.5, 200).round(1)  # with equal ones


def test_it_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    low, high = scores(0)
    truth = np.r_[np.zeros(len(low)), np.ones(len(high))]
    assert auroc(low, high).value == pytest.approx(metrics.roc_auc_score(truth, np.r_[low, high]), abs=1e-12)


def test_the_extremes_and_chance() -> None:
    low, high = np.arange(10.0), np.arange(10.0, 20)
    assert (auroc(low, high).value, auroc(high, low).value) == (1, 0)
    assert (auroc(low, high).low, auroc(low, high).high) == (1, 1)
    assert auroc(low, low).value == 0.5
    assert auroc(np.zeros(5), np.zeros(7)).value == 0.5


def test_the_interval_is_that_of_resampling() -> None:
    low, high = scores(1)
    random = np.random.default_rng(2)
    again = [auroc(random.choice(low, len(low)), random.choice(high, len(high))).value for _ in range(1500)]
    found = auroc(low, high)
    assert [found.low, found.high] == pytest.approx(np.quantile(again, [0.025, 0.975]).tolist(), abs=0.008)


def test_the_interval_of_a_difference_is_that_of_resampling_both() -> None:
    low, high = scores(3)
    random = np.random.default_rng(4)
    worse_low, worse_high = low + random.normal(0, 1, len(low)), high + random.normal(0, 1, len(high))
    gap, least, most = auroc_difference(auroc(low, high), auroc(worse_low, worse_high))
    again = []
    for _ in range(1500):
        i, j = random.integers(len(low), size=len(low)), random.integers(len(high), size=len(high))
        again.append(auroc(worse_low[i], worse_high[j]).value - auroc(low[i], high[j]).value)
    assert gap < 0
    assert [least, most] == pytest.approx(np.quantile(again, [0.025, 0.975]).tolist(), abs=0.008)
    assert auroc_difference(auroc(low, high), auroc(low, high)) == (0, 0, 0)


def test_a_damaged_score_tells_less() -> None:
    low, high = scores(5)
    mixed = np.random.default_rng(6).permutation(np.r_[low, high])
    assert auroc(mixed[:300], mixed[300:]).value < auroc(low, high).value - 0.15


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match=r"^Two sets of two or more finite scores can be told apart; got 1 and 3\.$"):
        auroc(np.zeros(1), np.zeros(3))
    with pytest.raises(DataError, match=r"^Two sets of two or more finite scores .* got 2 and 3\.$"):
        auroc(np.array([0.0, np.nan]), np.zeros(3))
    with pytest.raises(DataError) as caught:
        auroc_difference(auroc(np.zeros(2), np.zeros(3)), auroc(np.zeros(2), np.zeros(4)))
    assert str(caught.value) == ("A paired comparison needs the same items twice; got (3,), (2,) and (4,), (2,).")
