"""Sequence to sequence: answers that are right as a whole, and tokens of them that are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.metrics import require_finite, wilson_interval
from edgekit.sequences import ANSWERS, Text
from edgekit.tasks.texts import fitted, token_ids

Array = npt.NDArray[Any]
TASK = ANSWERS


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersResult:
    """How well ``count`` answers were given.

    ``exact`` is the fraction whose every token is right, those that fill up the answer too, with its 95 % interval;
    ``top1`` the fraction of right tokens, without those that fill up. ``correct`` is (count,) bool.
    """

    exact: float
    exact_low: float
    exact_high: float
    top1: float
    count: int
    correct: npt.NDArray[np.bool_]

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        return {
            "exact": self.exact,
            "exact_low": self.exact_low,
            "exact_high": self.exact_high,
            "top1": self.top1,
        }


def answer_ids(answer: str, how: Text) -> Array:
    """The tokens that ``answer`` should be, (length,); `DataError` for one that is longer than the model's answers."""
    ids = token_ids(answer, how.vocabulary)
    if len(ids) > how.length:
        raise DataError(f"An answer has {len(ids)} tokens; the model gives {how.length}: leave out what is longer.")
    return fitted(ids, how)


def require_answer(logits: Array, how: Text) -> None:
    """`DataError` unless ``logits`` are finite and (length, tokens) as ``how`` says."""
    tokens = len(how.vocabulary.tokens)
    if logits.shape != (how.length, tokens):
        raise DataError(
            f"An answer of the model is {' x '.join(map(str, logits.shape))}; expected {how.length} x {tokens}: a "
            "logit for each token of each step."
        )
    require_finite(logits, "The model's output")


def right_tokens(logits: Array, wanted: Array, how: Text) -> tuple[bool, int, int]:
    """Whether all of ``wanted`` (length,) have the largest of ``logits`` (length, tokens), how many have, and of how
    many, which leaves out what fills up.
    """
    require_answer(logits, how)
    right = logits.argmax(axis=1) == wanted
    counted = np.ones(len(wanted), bool) if how.vocabulary.padding is None else wanted != how.vocabulary.padding
    return bool(right.all()), int((right & counted).sum()), int(counted.sum())


def evaluate_answers(exact: npt.NDArray[np.bool_], right: Array, tokens: Array) -> AnswersResult:
    """What answers come to, of each of which (count,) is known what `right_tokens` says.

    >>> evaluate_answers(np.array([True, False]), np.array([2, 1]), np.array([2, 2])).metrics()["top1"]
    0.75
    """
    if exact.ndim != 1 or not len(exact) or not tokens.sum():
        raise DataError("Answers need at least one with a token that does not fill up; got none.")
    low, high = wilson_interval(int(exact.sum()), len(exact))
    return AnswersResult(
        exact=float(exact.mean()),
        exact_low=low,
        exact_high=high,
        top1=float(right.sum() / tokens.sum()),
        count=len(exact),
        correct=exact.astype(bool),
    )
