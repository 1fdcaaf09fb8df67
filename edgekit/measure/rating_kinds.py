"""What is measured of recommenders."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.data.base import Dataset
from edgekit.errors import DataError, InputError
from edgekit.measure.kind import Array, Kind
from edgekit.ratings import RECONSTRUCTION, Ratings, is_user
from edgekit.tasks import recommendation


def _score(outputs: Mapping[str, Array], data: Dataset, place: int, how: Ratings) -> tuple[float, ...]:
    user = data.items[place]
    if RECONSTRUCTION not in outputs:
        raise DataError(f"A recommender has an output {RECONSTRUCTION!r}; the file has: {', '.join(outputs)}.")
    assert is_user(user)  # noqa: S101 - by `Kind.fits`
    return recommendation.errors_of(outputs[RECONSTRUCTION], user, how)


def _difference(first: Any, second: Any, _how: Ratings, seed: int) -> dict[str, float]:
    if not np.array_equal(first.errors.ratings, second.errors.ratings):
        raise InputError(
            "The files know different items, so that they foretell different ratings; expected files of one model: "
            "evaluate them apart."
        )
    gaps, difference = second.errors.model - first.errors.model, second.mse - first.mse
    counted = first.errors.ratings > 0
    interval = recommendation.ratio_interval(gaps[counted], first.errors.ratings[counted], seed=seed)
    ends = {} if interval is None else dict(zip(("mse_difference_low", "mse_difference_high"), interval, strict=True))
    return {"mse_difference": difference, **ends}


def _interval(figures: Mapping[str, float], name: str, form: str, between: str) -> str:
    """The ends of the interval of ``name`` for people; a dash where there is none."""
    ends = [figures.get(f"{name}_{end}") for end in ("low", "high")]
    return "-" if None in ends else between.join(format(end, form) for end in ends)


def _cells(m: Mapping[str, float]) -> list[str]:
    ratio = f"{m['mse_ratio']:.4f}" if "mse_ratio" in m else "-"
    return [
        *(f"{m['mse']:.5f}", _interval(m, "mse", ".5f", "-")),
        *(f"{m['item_mean_mse']:.5f}", f"{m['offset_mse']:.5f}", ratio, _interval(m, "mse_ratio", ".4f", "-")),
        f"{m['ratings']:,.0f}",
    ]


RATING_KINDS: tuple[Kind, ...] = (
    Kind(
        task=recommendation.TASK,
        wanted="ratings: movielens or a .csv with the columns user, item and rating",
        fits=lambda data: data.catalogue is not None,
        items="users",
        missing="does not say which items are rated",
        how=lambda card: card.ratings,
        score=_score,
        result=lambda scores, _, seed: recommendation.evaluate_recommendations(scores, seed=seed),
        difference=_difference,
        columns=["MSE", "95 %", "item means", "with offset", "ratio", "95 %", "ratings"],
        cells=_cells,
        difference_columns=["difference, MSE", "95 %"],
        difference_cells=lambda d: [
            f"{d['mse_difference']:+.3g}",
            _interval(d, "mse_difference", "+.3g", " to "),
        ],
    ),
)
