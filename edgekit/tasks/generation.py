"""Generators of pictures: how far what they make is from real pictures, as a classifier's features see both.

A set of pictures is an array (count, features): what the last layer of the classifier takes. All figures depend on that
classifier and on the counts, so they are compared only where both are the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError, need
from edgekit.measure.metrics import require_finite, wilson_interval

Array = npt.NDArray[Any]
TASK = "image-generation"

NEIGHBOURS = 3
"""The k of precision and recall, as in the paper."""
MOST_FEATURES = 4096
"""A covariance of more takes minutes and gigabytes."""
_ROWS = 1024  # of a matrix of distances at a time, so that 10,000 pictures take 40 MB and not 400


@dataclass(frozen=True, slots=True)
class Gaussian:
    """The ``mean`` (features,) and the ``covariance`` (features, features) of a set of pictures, float64."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]


def gaussian(features: Array) -> Gaussian:
    """The mean of ``features`` (count, features) and their covariance, that of a sample (count - 1).

    `DataError` for fewer than two rows, values that are not finite, and more than 4,096 features.
    """
    _require_set(features, least=2)
    values = features.astype(np.float64)
    return Gaussian(values.mean(axis=0), np.cov(values, rowvar=False).reshape(values.shape[1], values.shape[1]))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Frechet distance of two Gaussians, 0 for equal ones: |ma - mb|² + tr(Ca + Cb - 2 (Ca Cb)^½).

    Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", equation 6.
    The trace of the root is that of (Ca^½ Cb Ca^½)^½, which is symmetric: no complex numbers, and no failure where a
    covariance has no inverse, as that of fewer pictures than features.

    >>> frechet_distance(Gaussian(np.zeros(2), np.eye(2)), Gaussian(np.array([3.0, 4.0]), 4 * np.eye(2)))
    27.0
    """
    if a.mean.shape != b.mean.shape:
        raise DataError(
            f"Two sets of pictures have {len(a.mean)} and {len(b.mean)} features; expected those of one classifier."
        )
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = root @ b.covariance @ root
    of_root = np.sqrt(np.maximum(np.linalg.eigvalsh((inner + inner.T) / 2), 0.0)).sum()
    gap = a.mean - b.mean
    return max(0.0, float(gap @ gap + np.trace(a.covariance) + np.trace(b.covariance) - 2.0 * of_root))


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A set of pictures, ``points`` (count, features), and the squared distance of each to its third nearest other."""

    points: Array
    radii2: Array


def neighbourhood(features: Array) -> Neighbourhood:
    """The neighbourhood of ``features`` (count, features); `DataError` for fewer than four rows."""
    _require_set(features, least=NEIGHBOURS + 1)
    radii2 = np.empty(len(features), np.float64)
    for start in range(0, len(features), _ROWS):
        near = _distances2(features[start : start + _ROWS], features)
        near[np.arange(len(near)), start + np.arange(len(near))] = np.inf  # itself
        radii2[start : start + len(near)] = np.partition(near, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
    return Neighbourhood(features, radii2)


def precision_recall(real: Neighbourhood, made: Neighbourhood) -> tuple[float, float]:
    """(precision, recall): the share of made pictures that lie among real ones, and of real ones among made ones.

    A picture lies among others when it is no farther from one of them than that one's third nearest neighbour.
    Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", equations 1 and 2.

    >>> corners = neighbourhood(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    >>> far = neighbourhood(np.array([[0.5, 0.5], [9.0, 9.0], [9.0, 9.1], [9.1, 9.0]]))
    >>> precision_recall(corners, far)
    (0.25, 1.0)
    """
    if real.points.shape[1] != made.points.shape[1]:
        raise DataError(
            f"Two sets of pictures have {real.points.shape[1]} and {made.points.shape[1]} features; "
            "expected those of one classifier."
        )
    precise, recalled = 0, np.zeros(len(real.points), bool)
    for start in range(0, len(made.points), _ROWS):
        apart = _distances2(made.points[start : start + _ROWS], real.points)
        precise += int((apart <= real.radii2).any(axis=1).sum())
        recalled |= (apart <= made.radii2[start : start + _ROWS, None]).any(axis=0)
    return precise / len(made.points), float(recalled.mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of ``count`` pictures with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int


def conditional_accuracy(asked: Array, judged: Array) -> Share:
    """The share of pictures of which the classifier says the class that was asked for, with its Wilson interval.

    ``asked`` and ``judged`` are (count,) numbers of classes.

    >>> conditional_accuracy(np.array([7, 7, 1, 0]), np.array([7, 1, 1, 0])).value
    0.75
    """
    _require_pairs(asked, judged)
    right = int(np.sum(asked == judged))
    low, high = wilson_interval(right, len(asked))
    return Share(value=right / len(asked), low=low, high=high, count=len(asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class Purity:
    """How well categories that a generator found by itself agree with classes, as fractions.

    ``purity`` counts as right the class that each category shows most, even where several show the same one;
    ``matched`` lets each category stand for a class of its own. ``classes`` (categories,) are those of ``matched``, -1
    where there are more categories than classes.
    """

    purity: float
    matched: float
    classes: tuple[int, ...]


def category_purity(categories: Array, judged: Array, *, shape: tuple[int, int]) -> Purity:
    """The purity of ``categories`` (count,) by the classes ``judged`` (count,); ``shape`` is (categories, classes).

    The best one-to-one assignment is the Hungarian algorithm's (Kuhn 1955), by scipy.

    >>> category_purity(np.array([0, 0, 1, 1]), np.array([1, 1, 1, 1]), shape=(2, 2))
    Purity(purity=1.0, matched=0.5, classes=(1, 0))
    """
    _require_pairs(categories, judged)
    table = np.zeros(shape, np.int64)
    np.add.at(table, (categories, judged), 1)
    rows, columns = need("scipy.optimize", extra="train").linear_sum_assignment(table, maximize=True)
    assigned = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return Purity(
        purity=float(table.max(axis=1).sum() / len(judged)),
        matched=float(table[rows, columns].sum() / len(judged)),
        classes=tuple(assigned.get(category, -1) for category in range(shape[0])),
    )


def _distances2(a: Array, b: Array) -> Array:
    """Squared distances (rows of a, rows of b), float64.

    From the middle of ``b``, since far from it the terms of this sum are large and what is left of them is not.
    """
    middle = b.mean(axis=0, dtype=np.float64)
    a, b = a - middle, b - middle
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    apart: Array = np.maximum(squares - 2.0 * (a @ b.T), 0.0)
    return apart


def _require_set(features: Array, *, least: int) -> None:
    if features.ndim != 2 or len(features) < least or not 1 <= features.shape[1] <= MOST_FEATURES:
        shape = " x ".join(map(str, features.shape))
        raise DataError(
            f"A set of pictures is {shape}; expected {least} or more rows of 1 to {MOST_FEATURES:,} features: "
            "give more pictures, or a smaller classifier."
        )
    require_finite(features, "What the judge saw")


def _require_pairs(asked: Array, judged: Array) -> None:
    if asked.shape != judged.shape or asked.ndim != 1 or not len(asked):
        raise DataError(f"Each picture needs one class of each kind; got {asked.shape} and {judged.shape}.")
