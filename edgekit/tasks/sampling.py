"""Choosing the next token of a text by the logits that a model gives."""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError, InputError

Array = npt.NDArray[Any]


def sample(
    logits: Array, generator: np.random.Generator, *, temperature: float = 1.0, top_k: int | None = None,
    never: Collection[int] = (),
) -> int:  # fmt: skip
    """One of the tokens (tokens,) by the softmax of ``logits`` / ``temperature``, computed in float64.

    At ``temperature`` 0 the likeliest, without a draw. Only the ``top_k`` likeliest are chosen from, and none of
    ``never``. One number is drawn for each token and looked up in the sums of probabilities in the order of the tokens,
    so that files whose logits differ a little choose alike nearly always.

    >>> sample(np.array([0.0, 9.0, 8.0]), np.random.default_rng(0), temperature=0, never=(1,))
    2
    """
    if not 0 <= temperature < np.inf or (top_k is not None and top_k < 1) or len(set(never)) >= len(logits):
        raise InputError(
            f"A token is drawn at a temperature from 0 on, of one or more; got the temperature {temperature:g}, top_k "
            f"{top_k} and {len(set(never))} of {len(logits)} tokens that may never come."
        )
    values = np.asarray(logits, np.float64).copy()
    if not np.isfinite(values).all():
        raise DataError("The model's logits hold NaN or infinity; expected finite numbers: convert the model again.")
    values[list(never)] = -np.inf
    if temperature == 0:
        return int(np.argmax(values))
    if top_k is not None and top_k < len(values):
        values[np.argsort(-values, kind="stable")[top_k:]] = -np.inf
    with np.errstate(over="ignore"):  # a low temperature makes -inf of what is far from the likeliest
        weights = np.exp((values - values.max()) / temperature)
    sums = np.cumsum(weights)
    return min(
        int(np.searchsorted(sums, generator.random() * sums[-1], side="right")), int(np.flatnonzero(weights)[-1])
    )
