"""Forecasting: how far the next values of a series were off, beside a forecast that nothing changes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.blocks import ratio_interval
from edgekit.measure.metrics import require_finite
from edgekit.sequences import FORECASTING, Series
from edgekit.tasks.series import scale_of

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
TASK = FORECASTING


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastResult:
    """How well ``count`` values of a series were forecast, all scaled as the model's inputs are.

    ``mse_ratio`` is ``mse`` over ``persistence_mse``, that of the forecast that the next value is the last one: less
    than 1 is better than to know nothing. It has a 95 % interval, and is none where the series never changes.
    ``errors`` (count,) are in the order of time, as is ``squared``.
    """

    mse: float
    mae: float
    persistence_mse: float
    mse_ratio: float | None
    mse_ratio_low: float | None
    mse_ratio_high: float | None
    count: int
    errors: Floats
    persistence_mae: float

    @property
    def squared(self) -> Floats:
        """The squared errors."""
        return self.errors**2

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        names = ("mse", "mae", "persistence_mse", "persistence_mae", "mse_ratio", "mse_ratio_low", "mse_ratio_high")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def errors_of(forecast: float, window: Array, how: Series) -> tuple[float, float]:
    """Errors of the scaled ``forecast`` and of the last value, for a ``window`` (rows, columns) and the row after it.

    >>> from edgekit.sequences import Scaling
    >>> how = Series(length=2, columns=("close",), scaling=Scaling.LAST)
    >>> errors_of(1.25, np.array([[1.0], [2.0], [3.0]]), how)
    (-0.25, -0.5)
    """
    if len(window) != how.length + 1:
        raise DataError(
            f"A forecast of {how.length} rows is judged by the next; got a window of {len(window)}: give a series."
        )
    scale = scale_of(window, how)
    last, actual = (float(value) / scale for value in window[-2:, 0])
    return forecast - actual, last - actual


def evaluate_forecasts(errors: Floats, persistence: Floats, *, reach: int, seed: int = 0) -> ForecastResult:
    """What the errors of forecasts and of the last values, (count,) in the order of time, come to.

    Windows overlap with the ``reach`` ones that follow, which is heeded by the interval (`edgekit.measure.blocks`).
    """
    if errors.ndim != 1 or errors.shape != persistence.shape or not len(errors):
        raise DataError(f"Forecasts need two errors each; got {errors.shape} and {persistence.shape}.")
    require_finite(errors, "The model's output")
    squared, baseline = errors**2, persistence**2
    mse, persistence_mse = float(squared.mean()), float(baseline.mean())
    interval = ratio_interval(squared, baseline, reach=reach, seed=seed)
    low, high = interval if interval is not None else (None, None)
    return ForecastResult(
        mse=mse,
        mae=float(np.abs(errors).mean()),
        persistence_mse=persistence_mse,
        mse_ratio=mse / persistence_mse if persistence_mse > 0 else None,
        mse_ratio_low=low,
        mse_ratio_high=high,
        count=len(errors),
        errors=errors,
        persistence_mae=float(np.abs(persistence).mean()),
    )
