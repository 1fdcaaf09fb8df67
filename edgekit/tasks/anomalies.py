"""Anomaly detection: how well scores tell anomalies from normal items, and what a threshold makes of them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.data.base import Dataset
from edgekit.data.known_tables import NAMES
from edgekit.errors import DataError
from edgekit.measure.metrics import require_finite

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
TASK = "anomaly-detection"
NORMAL, ANOMALY = NAMES
QUANTILE = 0.99
"""Of the scores of normal items, the threshold where no anomaly is known."""

_RESAMPLES = 1000
_AT_ONCE = 1 << 22  # numbers at a time, so that many items need no more memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """``pr``, the average precision, and ``roc``, the area under the curve of both rates: each one number or several.

    The average precision is the sum of the precisions at every score, each times what the recall grows there, without
    interpolation (Davis and Goadrich 2006: straight lines between points of a precision-recall curve promise too much).
    """

    pr: Floats
    roc: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyResult:
    """How well ``count`` items were told apart, ``anomalies`` of which are some.

    The areas have 95 % intervals; ``precision``, ``recall`` and ``f1`` are those of items with a score above
    ``threshold``. ``drawn`` are the areas of resampled items, the same ones for the same items and seed.
    """

    pr_auc: float
    pr_auc_low: float
    pr_auc_high: float
    roc_auc: float
    roc_auc_low: float
    roc_auc_high: float
    precision: float
    recall: float
    f1: float
    threshold: float
    count: int
    anomalies: int
    drawn: Areas

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        names = [name for name in self.__slots__ if name not in ("count", "drawn")]
        return {name: getattr(self, name) for name in names}


def evaluate_anomalies(scores: Floats, anomalous: Flags, *, threshold: float, seed: int = 0) -> AnomalyResult:
    """What ``scores`` (count,), high for anomalies, come to beside the truth ``anomalous`` (count,).

    Intervals are percentiles of 1,000 resamples (Efron and Tibshirani 1993, chapter 13) in which normal and anomalous
    items are drawn each among themselves, so that the share of anomalies, on which precision depends, stays.
    `DataError` where the items are all of one kind, or a score is not finite.
    """
    if scores.ndim != 1 or scores.shape != anomalous.shape:
        raise DataError(f"Scores and their truth are {scores.shape} and {anomalous.shape}; expected as many of both.")
    require_finite(scores, "The model's score")
    anomalies = int(anomalous.sum())
    if not 0 < anomalies < len(scores):
        raise DataError(
            f"All {len(scores):,} items are {'anomalies' if anomalies else 'normal'}; expected some of both kinds: "
            "judge on items with the labels 0, normal, and 1, anomaly."
        )
    ranking = _Ranking.of(scores, anomalous)
    whole, drawn = ranking.whole(), ranking.resampled(seed)
    (pr_low, pr_high), (roc_low, roc_high) = (np.quantile(area, [0.025, 0.975]) for area in (drawn.pr, drawn.roc))
    told = scores > threshold
    precision, recall, f1 = _figures(int((told & anomalous).sum()), int(told.sum()), anomalies)
    return AnomalyResult(
        pr_auc=float(whole.pr[0]),
        pr_auc_low=float(pr_low),
        pr_auc_high=float(pr_high),
        roc_auc=float(whole.roc[0]),
        roc_auc_low=float(roc_low),
        roc_auc_high=float(roc_high),
        precision=precision,
        recall=recall,
        f1=f1,
        threshold=threshold,
        count=len(scores),
        anomalies=anomalies,
        drawn=drawn,
    )


def average_precision(scores: Floats, anomalous: Flags) -> float:
    """The area under the precision-recall curve of ``scores`` (count,), both kinds among the items; see `Areas`."""
    return float(_Ranking.of(scores, anomalous).whole().pr[0])


def difference_interval(first: AnomalyResult, second: AnomalyResult) -> tuple[float, float]:
    """The 95 % interval of the PR-AUC of ``second`` less that of ``first``, for the same items, resampled alike."""
    low, high = np.quantile(second.drawn.pr - first.drawn.pr, [0.025, 0.975])
    return float(low), float(high)


def precisions(scores: Floats, anomalous: Flags) -> Floats:
    """The precision at the score of each anomaly, in the order of the items; their mean is the average precision.

    >>> precisions(np.array([1.0, 2.0, 4.0, 3.0]), np.array([True, False, True, False]))
    array([0.5, 1. ])
    """
    ranking = _Ranking.of(scores, anomalous)
    last = ranking.ends[np.searchsorted(ranking.ends, np.arange(len(scores)))]  # of items with the score of this one
    found = np.empty(len(scores))
    found[ranking.order] = ranking.anomalous.cumsum()[last] / (1.0 + last)
    return found[anomalous]


def best_threshold(scores: Floats, anomalous: Flags) -> float:
    """The threshold of the best F1: between the lowest score that then counts as an anomaly and the next lower one.

    >>> best_threshold(np.array([1.0, 2.0, 4.0, 3.0]), np.array([False, False, True, True]))
    2.5
    """
    ranking = _Ranking.of(scores, anomalous)
    found = ranking.anomalous.cumsum()[ranking.ends]
    f1 = 2 * found / (1 + ranking.ends + found[-1])
    best = int(np.argmax(f1))
    at = ranking.scores[ranking.ends]
    return float((at[best] + at[best + 1]) / 2) if best + 1 < len(at) else float(np.nextafter(at[best], -np.inf))


def curve(scores: Floats, anomalous: Flags) -> tuple[Floats, Floats]:
    """Recall and precision at every score, the highest one first, (scores,) each."""
    ranking = _Ranking.of(scores, anomalous)
    found = ranking.anomalous.cumsum()[ranking.ends]
    return found / found[-1], found / (1.0 + ranking.ends)


def require_binary(data: Dataset) -> npt.NDArray[np.int64]:
    """0 for each normal item of ``data`` and 1 for each anomaly, (count,); `DataError` where its labels do not say so.

    They are these numbers; of data with named classes, as folders are, normal is the one called so, in whatever case.
    """
    if data.labels is None:
        raise DataError(f"{data.name} has no labels; expected 0 for a normal item and 1 for an anomaly.")
    if data.class_names is not None:
        normal = _normal_classes(data.class_names)
        if not normal:
            raise DataError(
                f"{data.name} has the classes {', '.join(data.class_names)}; expected one called {NORMAL}, beside "
                "which all others are anomalies."
            )
        anomalous: Flags = ~np.isin(data.labels, normal)
        return anomalous.astype(np.int64)
    others = np.unique(data.labels[data.labels > 1])
    if len(others):
        raise DataError(f"{data.name} has the label {others[0]}; expected 0 for a normal item and 1 for an anomaly.")
    return data.labels


def tells_normal(data: Dataset) -> bool:
    """Whether the labels of ``data`` can say which items are normal, as `require_binary` takes them."""
    if data.labels is None:
        return False
    if data.class_names is not None:
        return bool(_normal_classes(data.class_names))
    return bool((data.labels <= 1).all())


def _normal_classes(names: Sequence[str]) -> list[int]:
    """The places of classes called `NORMAL`, in whatever case."""
    return [place for place, name in enumerate(names) if name.casefold() == NORMAL]


def normal_items(data: Dataset) -> Dataset:
    """The normal items of ``data``, all where it has no labels; `DataError` where all are anomalies."""
    if data.labels is None:
        return data
    places = np.flatnonzero(require_binary(data) == 0)
    if not len(places):
        raise DataError(f"All {len(data):,} items of {data.name} are anomalies; expected normal ones, with label 0.")
    return data.subset(places.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranking:
    """Items by falling score: ``order`` are their places, ``ends`` the last places of equal scores."""

    scores: Floats
    anomalous: Flags
    order: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, scores: Floats, anomalous: Flags) -> "_Ranking":
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        return cls(scores=ranked, anomalous=anomalous[order], order=order, ends=ends)

    def whole(self) -> Areas:
        """Those of the items themselves."""
        return self.areas(np.ones((1, len(self.order))))

    def areas(self, weights: npt.NDArray[Any]) -> Areas:
        """Those of items that are there so many times, ``weights`` (samples, count) in the order of the ranking."""
        found = (weights * self.anomalous).cumsum(axis=1)[:, self.ends]
        wrong = (weights * ~self.anomalous).cumsum(axis=1)[:, self.ends]
        precision = np.divide(found, found + wrong, out=np.zeros_like(found, np.float64), where=found + wrong > 0)
        recall, alarms = found / found[:, -1:], wrong / wrong[:, -1:]
        before = np.pad(recall, ((0, 0), (1, 0)))[:, :-1]
        grown = np.diff(alarms, axis=1, prepend=0.0)
        return Areas(pr=((recall - before) * precision).sum(axis=1), roc=(grown * (recall + before) / 2).sum(axis=1))

    def resampled(self, seed: int) -> Areas:
        """The areas of `_RESAMPLES` samples."""
        drawn, step = self._drawn(seed), max(1, _AT_ONCE // len(self.order))
        made = [
            self.areas(np.stack(list(itertools.islice(drawn, min(step, _RESAMPLES - start)))))
            for start in range(0, _RESAMPLES, step)
        ]
        return Areas(pr=np.concatenate([m.pr for m in made]), roc=np.concatenate([m.roc for m in made]))

    def _drawn(self, seed: int) -> Iterator[npt.NDArray[np.int64]]:
        """For each sample how often the items come, drawn by their places in the data: the same for all files."""
        flags = np.empty_like(self.anomalous)
        flags[self.order] = self.anomalous
        kinds, random = [np.flatnonzero(flags == kind) for kind in (False, True)], np.random.default_rng(seed)
        while True:
            chosen = np.concatenate([own[random.integers(len(own), size=len(own))] for own in kinds])
            yield np.bincount(chosen, minlength=len(flags))[self.order]


def _figures(right: int, told: int, anomalies: int) -> tuple[float, float, float]:
    """Precision, 0 where nothing was told, recall and F1."""
    return right / told if told else 0.0, right / anomalies, 2 * right / (told + anomalies)
