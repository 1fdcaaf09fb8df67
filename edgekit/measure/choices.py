"""What the answers of a model choose, and whether two runs choose the same: the card tells which outputs do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.anomaly import SCORE, Anomaly
from edgekit.card import ModelCard
from edgekit.measure.same import Sameness
from edgekit.sequences import ANSWERS, FORECASTING, TEXT_GENERATION

Array = npt.NDArray[Any]
Booleans = npt.NDArray[np.bool_]

TOKEN_TASKS = (TEXT_GENERATION, ANSWERS)
"""Tasks whose answers are one vector a token."""


def largest_is_chosen(card: ModelCard) -> bool:
    """Whether the largest value of an output may be its answer.

    It is not of forecasts, pictures, ratings, embeddings, and all that a detector of anomalies tells.
    """
    told = (card.anomaly, card.ratings, card.verification, card.generator)
    return all(each is None for each in told) and card.task != FORECASTING


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
    """The fraction of items, or tokens, of which two runs choose the ``same``; None where they choose nothing.

    ``here`` and ``there`` are the runs in real numbers. Detectors choose objects, which are compared as such elsewhere.
    """
    if card.anomaly is not None:
        return float(np.mean(_same_verdicts(card.anomaly, here[SCORE], there[SCORE])))
    if card.task in TOKEN_TASKS:
        return _same_tokens(card, here, there)
    return same.agreement if largest_is_chosen(card) and card.detection is None else None


def agreed_in_words(card: ModelCard, agreement: float | None) -> str:
    """The ``agreement`` of two runs for a list of figures, begun with a comma; nothing where they choose nothing."""
    if agreement is None:
        return ""
    chosen = "verdict" if card.anomaly is not None else "token" if card.task in TOKEN_TASKS else "class"
    return f", the same {chosen} for {agreement:.0%}"


def _same_tokens(card: ModelCard, here: Mapping[str, Array], there: Mapping[str, Array]) -> float | None:
    """Of logits (count, length, tokens), or (count, tokens) of one time step, whose states choose nothing."""
    states = {state.output for state in card.sequences.states} if card.sequences is not None else set()
    axes = 2 if states else 3
    told = [(values, there[name]) for name, values in here.items() if name not in states and values.ndim == axes]
    same = [np.ravel(first.argmax(axis=-1) == second.argmax(axis=-1)) for first, second in told]
    return float(np.mean(np.concatenate(same))) if same else None


def _same_verdicts(how: Anomaly, reference: Array, other: Array) -> Booleans:
    flagged = [values.reshape(len(values), -1)[:, 0] > how.threshold for values in (reference, other)]
    return np.asarray(flagged[0] == flagged[1])
