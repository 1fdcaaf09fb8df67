"""Windows of a series as a model's input, and its answers as values of the series."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.sequences import Scaling, Series

Array = npt.NDArray[Any]


def scale_of(window: Array, how: Series) -> float:
    """What the values of ``window`` (rows, columns) are divided by; `DataError` where that is 0 or not finite."""
    if how.scaling is Scaling.NONE:
        return 1.0
    last = float(window[how.length - 1, 0])
    if last == 0 or not np.isfinite(last):
        raise DataError(
            f"The last value of a window is {last:g}, by which the model's inputs are divided; expected another number "
            "than 0: give a series that stays away from it."
        )
    return last


def encode_window(window: Array, how: Series) -> Array:
    """The first ``how.length`` rows of ``window`` as one item of a model's input, (length, columns) float32."""
    if window.ndim != 2 or window.shape[1] != len(how.columns) or len(window) < how.length:
        got = " x ".join(map(str, window.shape))
        raise DataError(
            f"A window of a series is {got}; the model takes {how.length} rows of {len(how.columns)}: "
            f"{', '.join(how.columns)}."
        )
    if not np.all(np.isfinite(window)):
        raise DataError("A window of a series holds NaN or infinity; expected finite numbers: clean the data.")
    scale = scale_of(window, how)
    with np.errstate(over="ignore"):
        scaled = (window[: how.length] / scale).astype(np.float32)
    if not np.all(np.isfinite(scaled)):
        raise DataError(
            f"A window of a series is divided by {scale:g} and no longer fits into float32; expected values of a like "
            "size: give a series that stays away from 0."
        )
    return scaled
