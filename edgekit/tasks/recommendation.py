"""Recommendation: how far what is expected of hidden ratings is off, beside what a list of mean ratings says."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.metrics import require_finite
from edgekit.ratings import Ratings, hidden_of, known_ratings

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
TASK = "recommendation"
DAMPING = 10.0
"""Ratings of a user that must speak for an offset until half of it is believed (Koren 2010, section 2.1)."""
_RESAMPLES = 10_000
_AT_ONCE = 1 << 22  # numbers drawn at a time, so that many users need no more memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """What one user's hidden ratings say, each (count,) float64: sums of squared errors, of ratings from 0 to 1.

    ``model`` is off by these, ``item_mean`` takes each item's mean rating, ``mean`` that of all items, and ``offset``
    the item's mean and how far the user's shown ratings are from theirs. ``ratings`` counts the hidden ratings,
    ``unknown`` those of items that the model does not know, which are in no sum.
    """

    model: Floats
    item_mean: Floats
    mean: Floats
    offset: Floats
    ratings: Floats
    unknown: Floats


FIELDS = tuple(field.name for field in fields(Errors))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationResult:
    """How well hidden ratings, from 0 to 1, of ``count`` users were foretold.

    ``mse`` is the mean squared error over all ``ratings``; ``item_mean_mse``, ``mean_mse`` and ``offset_mse`` are those
    of three forecasts without a model, see `Errors`. ``mse_ratio`` is ``mse`` over ``item_mean_mse``: less than 1 is
    better than a list of mean ratings; none where that list is never wrong. Intervals are at 95 %, over users; none
    where ratings of fewer than two count. ``known`` is the share of the hidden ratings whose items the model knows.
    """

    mse: float
    mse_low: float | None
    mse_high: float | None
    item_mean_mse: float
    mean_mse: float
    offset_mse: float
    mse_ratio: float | None
    mse_ratio_low: float | None
    mse_ratio_high: float | None
    ratings: int
    known: float
    count: int
    errors: Errors

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        names = (
            *("mse", "mse_low", "mse_high", "item_mean_mse", "mean_mse", "offset_mse"),
            *("mse_ratio", "mse_ratio_low", "mse_ratio_high", "ratings", "known"),
        )
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def errors_of(reconstruction: Array, user: Array, how: Ratings) -> tuple[float, ...]:
    """A row of the fields of `Errors` for the expected ratings (items,) of a ``user`` (`edgekit.ratings.user_of`).

    >>> from edgekit.ratings import user_of
    >>> how = Ratings(items=("a", "b"), titles=("A", "B"), lowest=1, highest=5, mean=3, means=(3, 4))
    >>> user = user_of(np.array(["a", "b"]), np.array([5, 1]), np.array([False, True]))
    >>> errors_of(np.array([0.9, 0.5]), user, how)[:3]
    (0.25, 0.5625, 0.25)
    """
    if reconstruction.shape != (len(how.items),):
        raise DataError(
            f"A recommender's output has the shape {reconstruction.shape} for one user; expected a rating for each of "
            f"its {len(how.items):,} items."
        )
    places, actual = hidden_of(user, how)
    require_finite(reconstruction, "The model's output")
    means, mean = how.scaled(how.means).astype(np.float64), float(how.scaled(how.mean))
    shown, ratings = known_ratings(user[~user["hidden"]], how)
    offset = float((ratings - means[shown]).sum()) / (DAMPING + len(shown))
    forecasts = (
        reconstruction[places].astype(np.float64),
        means[places],
        np.full(len(places), mean),
        np.clip(means[places] + offset, 0, 1),
    )
    squared = (float(((forecast - actual) ** 2).sum()) for forecast in forecasts)
    return (*squared, float(len(places)), float(user["hidden"].sum() - len(places)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """An item that a user has not rated, and the rating to be expected, in the units of the ratings."""

    item: str
    title: str
    rating: float


def best_unseen(reconstruction: Array, user: Array, how: Ratings, count: int) -> tuple[Recommended, ...]:
    """The ``count`` items that ``user`` has not rated with the highest expected ratings (items,), the best first."""
    seen = set(known_ratings(user, how)[0].tolist())
    order = [place for place in np.argsort(-reconstruction, kind="stable").tolist() if place not in seen]
    return tuple(
        Recommended(
            item=how.items[place],
            title=how.titles[place],
            rating=how.lowest + how.span * float(reconstruction[place]),
        )
        for place in order[:count]
    )


def evaluate_recommendations(rows: Floats, *, seed: int = 0) -> RecommendationResult:
    """What the rows of `errors_of` of the users, (count, 6), come to; `DataError` where no rating was hidden."""
    errors = Errors(**dict(zip(FIELDS, rows.T, strict=True)))
    total, users = float(errors.ratings.sum()), len(rows)
    if not total:
        raise DataError(
            "The users have no hidden rating of an item that the model knows; give ratings of the items that it was "
            "trained on, by users with two or more."
        )
    mse, item_mean, mean, offset = (
        float(sums.sum()) / total for sums in (errors.model, errors.item_mean, errors.mean, errors.offset)
    )
    counted = errors.ratings > 0
    interval = ratio_interval(errors.model[counted], errors.ratings[counted], seed=seed)
    ratio = ratio_interval(errors.model[counted], errors.item_mean[counted], seed=seed)
    return RecommendationResult(
        mse=mse,
        mse_low=None if interval is None else interval[0],
        mse_high=None if interval is None else interval[1],
        item_mean_mse=item_mean,
        mean_mse=mean,
        offset_mse=offset,
        mse_ratio=mse / item_mean if item_mean > 0 else None,
        mse_ratio_low=None if ratio is None else ratio[0],
        mse_ratio_high=None if ratio is None else ratio[1],
        ratings=int(total),
        known=total / (total + float(errors.unknown.sum())),
        count=users,
        errors=errors,
    )


def ratio_interval(numerators: Floats, denominators: Floats, *, seed: int) -> tuple[float, float] | None:
    """The 95 % interval of sum(numerators) / sum(denominators), (count,) each; none of one, or where a sum below is 0.

    Users are drawn with replacement, 10,000 times: ratings of one user depend on each other, users do not (percentile
    bootstrap of clusters, Efron and Tibshirani 1993, chapters 8 and 13).
    """
    count, generator = len(numerators), np.random.default_rng(seed)
    if count < 2:
        return None
    sums: list[Floats] = []
    step = max(1, _AT_ONCE // count)
    for start in range(0, _RESAMPLES, step):
        drawn = generator.integers(count, size=(min(step, _RESAMPLES - start), count))
        sums.append(np.stack([numerators[drawn].sum(axis=1), denominators[drawn].sum(axis=1)]))
    above, below = np.concatenate(sums, axis=1)
    if not below.min() > 0:
        return None
    low, high = np.quantile(above / below, [0.025, 0.975])
    return float(low), float(high)
