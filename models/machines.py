"""Linear machines on a network's features: what scores and moves the regions of R-CNN, as two of its layers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import need

Floats = npt.NDArray[np.float32]

_NORM = 20.0
"""The mean length of features for which the published settings are meant (the authors' code)."""
_COST = 1e-3
_POSITIVE_WEIGHT = 2.0
_BIAS_SCALE = 10.0
_FIRST = 2000
"""Regions without the object that a machine learns from at first."""
_ROUNDS = 3
_MARGIN = -1.0
"""Regions without the object are hard where a machine scores them higher."""
RIDGE = 1000.0
"""What shrinks the weights of box regressors (appendix C)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """``kernel`` (features, outputs) and ``bias`` (outputs,) float32 of a dense layer."""

    kernel: Floats
    bias: Floats


def scale_of(features: Floats) -> float:
    """The factor that brings ``features`` (count, width) to the mean length that the settings are meant for."""
    length = float(np.linalg.norm(features, axis=1).mean())
    return _NORM / length if length > 0 else 1.0


def machines(
    positives: Floats,
    classes: npt.NDArray[np.int64],
    others: Floats,
    unlike: npt.NDArray[np.bool_],
    *,
    count: int,
    seed: int,
) -> Linear:
    """A linear machine for each of ``count`` classes; the first output, of the background, is 0 for all features.

    ``positives`` (objects, width) are features of objects of ``classes`` (objects,). ``others`` (regions, width) are
    those of regions, and ``unlike`` (regions, count) tells which of them show none of a class. Each machine begins with
    some of these, and goes on with those that it takes for the object (Girshick et al. 2014, section 2.3: "hard
    negative mining").
    """
    scale = scale_of(np.concatenate([positives, others]))
    kernel = np.zeros((positives.shape[1], 1 + count), np.float32)
    bias = np.zeros(1 + count, np.float32)
    bias[1:] = _MARGIN  # of a class that no object has
    for index in range(count):
        own, not_own = positives[classes == index] * scale, others[unlike[:, index]] * scale
        if not len(own) or not len(not_own):
            continue
        random = np.random.default_rng([seed, index])
        learned = np.zeros(len(not_own), bool)
        learned[random.permutation(len(not_own))[:_FIRST]] = True
        for _ in range(_ROUNDS):
            machine = _fitted(own, not_own[learned])
            hard = (machine.decision_function(not_own) > _MARGIN) & ~learned
            if not hard.any():
                break
            learned |= hard
        kernel[:, 1 + index] = machine.coef_[0] * scale
        bias[1 + index] = machine.intercept_[0]
    return Linear(kernel=kernel, bias=bias)


def _fitted(own: Floats, others: Floats) -> Any:
    svm = need("sklearn.svm", extra="train")
    answers = np.repeat([1, 0], [len(own), len(others)])
    machine = svm.LinearSVC(
        C=_COST, dual=False, class_weight={1: _POSITIVE_WEIGHT}, intercept_scaling=_BIAS_SCALE, max_iter=10_000
    )
    return machine.fit(np.concatenate([own, others]), answers)


def regressors(features: Floats, offsets: Floats, classes: npt.NDArray[np.int64], count: int) -> Linear:
    """Four linear outputs for each of ``count`` classes, that give ``offsets`` (regions, 4) for ``features``.

    Ridge regression on the regions of each of ``classes`` (regions,) (appendix C); a class without any moves nothing.
    """
    scale = scale_of(features) if len(features) else 1.0
    kernel = np.zeros((features.shape[1], count, 4), np.float32)
    bias = np.zeros((count, 4), np.float32)
    for index in range(count):
        own, wanted = features[classes == index].astype(np.float64) * scale, offsets[classes == index]
        if not len(own):
            continue
        middle, mean = own.mean(axis=0), wanted.mean(axis=0)
        centred = own - middle
        normal = centred.T @ centred + RIDGE * np.eye(own.shape[1])
        weights = np.linalg.solve(normal, centred.T @ (wanted - mean))
        kernel[:, index], bias[index] = weights * scale, mean - middle @ weights
    return Linear(kernel=kernel.reshape(features.shape[1], 4 * count), bias=bias.reshape(-1))
