"""What the answers of a model choose, and whether two runs choose the same: the card tells which outputs do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.anomaly import SCORE, Anomaly
from edgekit.card import ModelCard
from edgekit.measure.same import Sameness
from edgekit.tasks import answers, forecasting, text_generation

Array = npt.NDArray[Any]
Booleans = npt.NDArray[np.bool_]

TOKEN_TASKS = (text_generation.TASK, answers.TASK)
"""Tasks whose answers are one vector a token."""


def largest_is_chosen(card: ModelCard) -> bool:
    """Whether the largest value of an output may be its answer.

    It is not of forecasts, pictures, ratings, embeddings, and all that a detector of anomalies tells.
    """
    told = (card.anomaly, card.ratings, card.verification, card.generator)
    return all(each is None for each in told) and card.task != forecasting.TASK


def same_choices(card: ModelCard | None, name: str, reference: Array, other: Array) -> Booleans | None:
    """Where the output ``name``, (count, ...) real numbers of two runs, chooses the same; None where it chooses none.

    Of anomalies the choice is that of the threshold, of models of texts it is one a token. Without a ``card`` the
    largest value of a vector is taken for one.
    """
    if card is not None and card.anomaly is not None:
        return _same_verdicts(card.anomaly, reference, other) if name == SCORE else None
    wanted = 3 if card is not None and card.task in TOKEN_TASKS else 2
    if (card is not None and not largest_is_chosen(card)) or reference.ndim != wanted or reference.shape[-1] < 2:
        return None
    return np.asarray(reference.argmax(axis=-1) == other.argmax(axis=-1))


def agreement(card: ModelCard, same: Sameness, here: Mapping[str, Array], there: Mapping[str, Array]) -> float | None:
    """The fraction of items of which two runs choose the ``same``; ``here`` and ``there`` are them in real numbers."""
    if card.anomaly is not None:
        return float(np.mean(_same_verdicts(card.anomaly, here[SCORE], there[SCORE])))
    return same.agreement if largest_is_chosen(card) else None


def _same_verdicts(how: Anomaly, reference: Array, other: Array) -> Booleans:
    flagged = [values.reshape(len(values), -1)[:, 0] > how.threshold for values in (reference, other)]
    return np.asarray(flagged[0] == flagged[1])
