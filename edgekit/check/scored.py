"""Tasks whose items, or pairs of them, each get a row of scores: what two files' rows of the same ones tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.check.baseline import Metric
from edgekit.measure import blocks
from edgekit.measure.paired import mean_difference_interval, sign_flip_p
from edgekit.tasks import anomalies, forecasting, recommendation, text_generation, verification
from edgekit.tasks.trials import Pairs

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The metric ``before`` and ``now``, and the 95 % interval of now - before; ``p`` is that of a change as large."""

    before: float
    now: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What rows of scores have to do with each other.

    They are of ``pairs``, where there are any; of windows of a series each overlaps with ``window`` that follow.
    """

    pairs: Pairs | None = None
    window: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A ``task`` that is watched by its ``metric``: ``change`` is that from the first to the second rows of scores.

    With ``relative`` the figure has no natural scale, and a loss is a fraction of what it was.
    """

    task: str
    metric: Metric
    smaller_is_better: bool
    relative: bool
    change: Callable[[Floats, Floats, Ties], Change]

    @property
    def budget(self) -> str:
        """Which of `edgekit.check.budgets.Budgets` limits its loss."""
        return "max_relative_loss" if self.relative else "max_drop"

    def loss(self, change: Change) -> tuple[float, float, float]:
        """How much worse it got, with the interval of that; below 0 it got better."""
        gap = change.now - change.before
        worse = (gap, change.low, change.high) if self.smaller_is_better else (0 - gap, 0 - change.high, 0 - change.low)
        scale = max(change.before, np.finfo(np.float64).tiny) if self.relative else 1.0
        return worse[0] / scale, worse[1] / scale, worse[2] / scale

    def allowed(self, before: float, limit: float) -> float:
        """The worst figure within the ``limit`` where it was ``before``."""
        loss = limit * (before if self.relative else 1.0)
        return before + loss if self.smaller_is_better else before - loss


def _of_anomalies(before: Floats, now: Floats, _ties: Ties) -> Change:
    flags = now[:, 1] > 0
    first, second = (anomalies.evaluate_anomalies(rows[:, 0], flags, threshold=0.0) for rows in (before, now))
    low, high = anomalies.difference_interval(first, second)
    p = sign_flip_p(*(anomalies.precisions(rows[:, 0], flags) for rows in (before, now)), seed=0)
    return Change(before=first.pr_auc, now=second.pr_auc, low=low, high=high, p=p)


def _of_ratings(before: Floats, now: Floats, _ties: Ties) -> Change:
    first, second = (recommendation.evaluate_recommendations(rows) for rows in (before, now))
    counted = second.errors.ratings > 0
    gaps, ratings = (second.errors.model - first.errors.model)[counted], second.errors.ratings[counted]
    interval = recommendation.ratio_interval(gaps, ratings, seed=0)
    low, high = interval or sorted((0.0, second.mse - first.mse))  # of one user's ratings nothing is certain
    p = sign_flip_p(first.errors.model[counted], second.errors.model[counted], seed=0)
    return Change(before=first.mse, now=second.mse, low=low, high=high, p=p)


def _of_pairs(before: Floats, now: Floats, ties: Ties) -> Change:
    pairs = ties.pairs
    assert pairs is not None  # noqa: S101 - `Baseline` has been asked
    first, second = before[:, 0], now[:, 0]
    low, high = verification.difference_interval(first, second, pairs, seed=0)
    return Change(
        before=verification.equal_error_rate(first, pairs.same)[0],
        now=verification.equal_error_rate(second, pairs.same)[0],
        low=low,
        high=high,
        p=sign_flip_p(*(verification.mistakes_of_people(likeness, pairs) for likeness in (first, second)), seed=0),
    )


def _of_texts(before: Floats, now: Floats, _ties: Ties) -> Change:
    first, second = before[:, 0], now[:, 0]
    low, high = mean_difference_interval(first, second, seed=0)
    p = sign_flip_p(first, second, seed=0)
    return Change(before=float(first.mean()), now=float(second.mean()), low=low, high=high, p=p)


def _of_forecasts(before: Floats, now: Floats, ties: Ties) -> Change:
    first, second, unchanged = before[:, 0] ** 2, now[:, 0] ** 2, float(np.square(now[:, 1]).mean())
    low, high = blocks.difference_interval(first, second, reach=ties.window, seed=0)
    return Change(
        before=float(first.mean()) / unchanged,
        now=float(second.mean()) / unchanged,
        low=low / unchanged,
        high=high / unchanged,
        p=sign_flip_p(*(blocks.block_sums(squared, reach=ties.window) for squared in (first, second)), seed=0),
    )


_ALL = (
    Scored(task=anomalies.TASK, metric=Metric.PR_AUC, smaller_is_better=False, relative=True, change=_of_anomalies),
    Scored(task=recommendation.TASK, metric=Metric.MSE, smaller_is_better=True, relative=True, change=_of_ratings),
    Scored(task=verification.TASK, metric=Metric.EER, smaller_is_better=True, relative=False, change=_of_pairs),
    Scored(task=text_generation.TASK, metric=Metric.NATS, smaller_is_better=True, relative=True, change=_of_texts),
    Scored(task=forecasting.TASK, metric=Metric.MSE_RATIO, smaller_is_better=True, relative=True, change=_of_forecasts),
)
SCORED: Mapping[str, Scored] = {scored.task: scored for scored in _ALL}
"""By task."""
BY_METRIC: Mapping[Metric, Scored] = {scored.metric: scored for scored in _ALL}
"""The same by metric."""
