"""Text generation: how well logits of the next token foretell a text."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.metrics import require_finite
from edgekit.measure.paired import mean_difference_interval
from edgekit.sequences import TEXT_GENERATION

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
TASK = TEXT_GENERATION

_UNIT = 1e-3  # how far the probabilities of a softmax may be from a sum of 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult:
    """How well ``count`` windows of a text were foretold, all of one length.

    ``nats_per_token`` is the mean of -ln p(token), the cross-entropy, with its 95 % interval over windows; ``top1`` the
    fraction of tokens that had the largest logit. ``nats`` (count,) is the mean of each window.
    """

    nats_per_token: float
    nats_low: float
    nats_high: float
    top1: float
    count: int
    nats: Floats

    @property
    def perplexity(self) -> float:
        """exp of the cross-entropy: of so many equally likely tokens the next is one (Jelinek et al. 1977)."""
        return math.exp(min(self.nats_per_token, 700.0))  # what is beyond no float holds

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        return {
            "nats_per_token": self.nats_per_token,
            "nats_per_token_low": self.nats_low,
            "nats_per_token_high": self.nats_high,
            "perplexity": self.perplexity,
            "top1": self.top1,
        }


def token_nats(logits: Array, ids: Array) -> Floats:
    """-ln softmax(logits)[id] of every token, (steps,), for ``logits`` (steps, tokens) and ``ids`` (steps,).

    `DataError` for other shapes, values that are not finite, and what are probabilities already.

    >>> token_nats(np.zeros((1, 4)), np.array([2])).round(4).tolist() == [round(math.log(4), 4)]
    True
    """
    if logits.ndim != 2 or ids.shape != logits.shape[:1] or not len(ids):
        raise DataError(f"Text needs logits (steps, tokens) and a token a step; got {logits.shape} and {ids.shape}.")
    if ids.min() < 0 or ids.max() >= logits.shape[1]:
        raise DataError(f"A token has the number {ids.max()}; the model has {logits.shape[1]} logits a step.")
    require_finite(logits, "The model's output")
    values = logits.astype(np.float64)
    if values.min() >= 0 and np.all(np.abs(values.sum(axis=1) - 1) < _UNIT):
        raise DataError("The model's outputs are probabilities; expected logits: leave its softmax out.")
    shifted = values - values.max(axis=1, keepdims=True)
    nats: Floats = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(ids)), ids]
    return nats


def evaluate_text(nats: Floats, right: Floats, *, seed: int = 0) -> TextResult:
    """What the means of windows, ``nats`` and the share of tokens ``right``, (count,) each, come to."""
    if nats.ndim != 1 or nats.shape != right.shape or not len(nats):
        raise DataError(f"Text needs two means a window; got {nats.shape} and {right.shape}.")
    low, high = mean_difference_interval(np.zeros(len(nats)), nats, seed=seed)
    return TextResult(
        nats_per_token=float(nats.mean()),
        nats_low=low,
        nats_high=high,
        top1=float(right.mean()),
        count=len(nats),
        nats=nats,
    )
