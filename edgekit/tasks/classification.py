"""Classification: from scores to probabilities, accuracies, confusions and calibration error."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.metrics import require_finite, wilson_interval

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
TASK = "classification"
TEXT_TASK = "text-classification"
TASKS = (TASK, TEXT_TASK)
"""Those whose outputs are a score for each class."""

LEAST_PROBABILITY = 1e-12
"""A quantized softmax says 0, whose logarithm no mean survives."""
_ECE_BINS = 15
_TOP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """How sure a classifier was of its answers, by the probabilities of all classes.

    ``ece``, the calibration error, is a fraction; ``nll`` is the mean negative log-likelihood of the labels and
    ``entropy`` the mean of the predictive entropies, both in nats; ``mutual_information``, none for a single pass, is
    how much of the entropy comes from the passes of a Bayesian classifier that disagree. By item, (count,), are the
    probability ``confidence`` of the predicted class, ``losses`` and ``entropies``, whose means are ``nll`` and
    ``entropy``.
    """

    ece: float
    nll: float
    entropy: float
    mutual_information: float | None
    confidence: Floats
    losses: Floats
    entropies: Floats

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        named = {"ece": self.ece, "nll": self.nll, "entropy": self.entropy}
        return named if self.mutual_information is None else named | {"mutual_information": self.mutual_information}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationResult:
    """How well ``count`` items were classified.

    ``top1`` and ``top5`` are fractions; ``top5`` is none for models of five classes or fewer, where it says nothing.
    ``certainty`` is none where scores are no probabilities. ``confusion[true, predicted]`` counts items by output
    index; ``correct`` (count,) tells of each whether it was.
    """

    top1: float
    top1_low: float
    top1_high: float
    top5: float | None
    certainty: Certainty | None
    confusion: npt.NDArray[np.int64]
    count: int
    correct: npt.NDArray[np.bool_]

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        named = {"top1": self.top1, "top1_low": self.top1_low, "top1_high": self.top1_high}
        if self.certainty is not None:
            named |= self.certainty.metrics()
        return named if self.top5 is None else named | {"top5": self.top5}


def evaluate_classification(
    scores: Array, labels: Array, *, pass_entropies: Floats | None = None, independent: bool = False
) -> ClassificationResult:
    """Accuracy of ``scores`` (count, classes), logits or probabilities, for ``labels`` (count,) of output indexes.

    Where ``scores`` are the mean probabilities of several passes, ``pass_entropies`` (count,) are the means of the
    entropies of each. ``independent`` ones tell of each class for itself, and nothing of certainty.

    The first of equal scores wins, so the k-th best is well defined for constant outputs too. `DataError` for other
    shapes, non-finite scores, and labels outside 0..classes-1.
    """
    if scores.ndim != 2 or scores.shape[1] < 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise DataError(
            f"Classification needs scores (items, classes) and a label for each item; "
            f"got {scores.shape} and {labels.shape}."
        )
    count, classes = scores.shape
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"A label is {labels.max()}; the model has {classes} outputs, so expected 0..{classes - 1}.")
    require_finite(scores, "The model's output")
    predicted = scores.argmax(axis=1)
    correct = predicted == labels
    low, high = wilson_interval(int(correct.sum()), count)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    return ClassificationResult(
        top1=float(correct.mean()),
        top1_low=low,
        top1_high=high,
        top5=float((rank_of(scores, labels) < _TOP).mean()) if classes > _TOP else None,
        certainty=None if independent else _certainty(as_probabilities(scores), labels, correct, pass_entropies),
        confusion=confusion,
        count=count,
        correct=correct,
    )


def _certainty(
    probabilities: Floats, labels: Array, correct: npt.NDArray[np.bool_], pass_entropies: Floats | None
) -> Certainty:
    confidence = probabilities.max(axis=1)
    losses, entropies = negative_log_likelihood(probabilities, labels), entropy_of(probabilities)
    return Certainty(
        ece=expected_calibration_error(confidence, correct),
        nll=float(losses.mean()),
        entropy=float(entropies.mean()),
        mutual_information=None if pass_entropies is None else float((entropies - pass_entropies).mean()),
        confidence=confidence,
        losses=losses,
        entropies=entropies,
    )


def negative_log_likelihood(probabilities: Floats, labels: Array) -> Floats:
    """-log of the probability of each of ``labels``, (count,), in nats; one below `LEAST_PROBABILITY` counts as that.

    >>> negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([0])).tolist()
    [0.0]
    """
    of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    losses: Floats = np.abs(np.log(np.clip(of_label, LEAST_PROBABILITY, 1.0)))
    return losses


def entropy_of(probabilities: Floats) -> Floats:
    """-sum(p log p) of each row of ``probabilities`` (count, classes), (count,), in nats; 0 log 0 counts as 0.

    >>> entropy_of(np.array([[1.0, 0.0], [0.5, 0.5]])).round(4).tolist()
    [0.0, 0.6931]
    """
    logs = np.log(probabilities, where=probabilities > 0, out=np.zeros_like(probabilities))
    entropies: Floats = np.abs((probabilities * logs).sum(axis=1))
    return entropies


def as_probabilities(scores: Array) -> npt.NDArray[np.float64]:
    """``scores`` (count, classes) as probabilities: themselves when they are, else their softmax.

    They are when all lie in 0..1 and the rows sum to 1, within what 8-bit rounding of a softmax makes of it: half a
    step of 1/256 for each class, the median row counting.

    >>> as_probabilities(np.array([[0.25, 0.75]])).tolist()
    [[0.25, 0.75]]
    >>> as_probabilities(np.array([[2.0, 2.0]])).tolist()
    [[0.5, 0.5]]
    """
    require_finite(scores, "The model's output")
    values = scores.astype(np.float64)
    tolerance = 0.01 + min(values.shape[1], 256) / 512
    if values.min() >= 0.0 and values.max() <= 1.001 and abs(np.median(values.sum(axis=1)) - 1.0) <= tolerance:
        return values
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    softmax: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return softmax


def guessed_by(independent: bool) -> str:
    """What the figures of classes are called in tables and JSON; ``independent`` scores are no probabilities.

    >>> guessed_by(False), guessed_by(True)
    ('probability', 'score')
    """
    return "score" if independent else "probability"


def rank_of(scores: Array, labels: Array) -> npt.NDArray[np.int64]:
    """How many classes stand before the labelled one, (count,): those of higher score, and equal ones of lower index.

    >>> rank_of(np.array([[3.0, 5.0, 3.0]]), np.array([2])).tolist()
    [2]
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < labels[:, None]))
    ranks: npt.NDArray[np.int64] = before.sum(axis=1)
    return ranks


def expected_calibration_error(confidence: Array, correct: Array) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins (m-1, m] / 15, weighted by their sizes.

    ``confidence`` is (count,) in 0..1, the probability of the predicted class; ``correct`` (count,) bool. Guo et al.
    2017, "On Calibration of Modern Neural Networks", equation 3.

    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    bins = np.clip(np.ceil(confidence * _ECE_BINS).astype(np.int64) - 1, 0, _ECE_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=_ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def class_scores(outputs: Mapping[str, Array], *, model: str) -> Array:
    """The one vector of scores, (classes,), in a classifier's ``outputs`` for one item, else `DataError`."""
    if len(outputs) != 1:
        names = ", ".join(outputs)
        raise DataError(f"{model} has {len(outputs)} outputs ({names}); expected a classifier with one.")
    ((name, values),) = outputs.items()
    scores = values.reshape([n for n in values.shape if n != 1] or [1])
    if scores.ndim != 1 or len(scores) < 2:
        shape = " x ".join(str(n) for n in values.shape) or "scalar"
        raise DataError(
            f"Output {name!r} of {model} is {shape} for one item; expected one score for each of two or more classes."
        )
    return scores
