"""Verification: whether two pictures show the same, and which of several shows the same as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import DataError
from edgekit.measure.auroc import roc_auc
from edgekit.measure.metrics import require_finite, wilson_interval
from edgekit.tasks.trials import Pairs, Trials

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

TASK = "verification"
EMBEDDING = "embedding"
"""What the first file gives for a picture."""
FIRST, SECOND = "first", "second"
"""The embeddings that the second file compares."""
_RESAMPLES = 1000
_AT_ONCE = 1 << 22  # weights at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """The share of trials with ``ways`` people that are answered right, with its 95 % interval.

    ``pixels`` is that of the nearest neighbour by raw pixels on the same trials.
    """

    ways: int
    accuracy: float
    low: float
    high: float
    pixels: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationResult:
    """How well ``count`` pictures were told apart, by ``pairs`` of them and by one-shot trials.

    ``eer`` is the equal error rate with its 95 % interval (people drawn with replacement), ``auc`` the area under the
    ROC curve. At the threshold of the card, where it has one, ``accepted`` is the share of different pairs that are
    taken for the same, ``rejected`` that of same pairs that are not. ``likeness`` (pairs,) are the scores.
    """

    eer: float
    eer_low: float
    eer_high: float
    auc: float
    accepted: float | None
    rejected: float | None
    one_shot: tuple[OneShot, ...]
    count: int
    pairs: Pairs
    likeness: Floats = field(repr=False)

    def metrics(self) -> dict[str, float]:
        """The figures by the names they have in JSON."""
        found = {"eer": self.eer, "eer_low": self.eer_low, "eer_high": self.eer_high, "auc": self.auc}
        if self.accepted is not None and self.rejected is not None:
            found |= {"false_accepts": self.accepted, "false_rejects": self.rejected}
        for trial in self.one_shot:
            name = f"one_shot_{trial.ways}"
            found |= {name: trial.accuracy, f"{name}_low": trial.low, f"{name}_high": trial.high}
            found[f"pixels_{trial.ways}"] = trial.pixels
        return found


def right_answers(likeness: Array) -> Flags:
    """Which trials are answered right by ``likeness`` (count, ways), of which the first column is; a tie is a miss.

    >>> right_answers(np.array([[0.9, 0.1], [0.5, 0.5]])).tolist()
    [True, False]
    """
    return np.asarray(likeness[:, 0] > likeness[:, 1:].max(axis=1))


def equal_error_rate(likeness: Array, same: Flags) -> tuple[float, float]:
    """The equal error rate of ``likeness`` (count,), more for pairs more alike, and the threshold where it is.

    There the share of different pairs at or above it equals that of same pairs below; between two thresholds both are
    taken to change evenly. Where the kinds do not overlap the rate is 0, and the threshold in the middle of the gap.

    >>> equal_error_rate(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, False, True, True]))
    (0.0, 2.5)
    """
    _require_pairs(likeness, same)
    values, thresholds, place = _thresholds(likeness)
    accepted, rejected = _shares(values, place, same, np.ones((1, len(same))))
    rates, at = _crossings(accepted, rejected)
    low, high = thresholds[int(at[0])], thresholds[min(int(at[0]) + 1, len(thresholds) - 1)]
    return float(rates[0]), float(low + (at[0] % 1) * (high - low))


def eer_interval(likeness: Array, pairs: Pairs, *, seed: int) -> tuple[float, float]:
    """The 95 % interval of the equal error rate when people are drawn with replacement; see `_weights`."""
    low, high = np.quantile(_resampled(likeness, pairs, seed), [0.025, 0.975])
    return float(low), float(high)


def eer_difference(first: VerificationResult, second: VerificationResult, *, seed: int) -> dict[str, float]:
    """By how much the ``second`` file's equal error rate is above the ``first``'s, with the 95 % interval.

    Both compared the same pairs, and the same people are drawn for both.
    """
    if not (np.array_equal(first.pairs.first, second.pairs.first) and len(first.pairs) == len(second.pairs)):
        raise DataError("Two equal error rates are compared on the same pairs; got different ones.")
    low, high = difference_interval(first.likeness, second.likeness, first.pairs, seed=seed)
    return {"eer_difference": second.eer - first.eer, "eer_difference_low": low, "eer_difference_high": high}


def difference_interval(first: Array, second: Array, pairs: Pairs, *, seed: int) -> tuple[float, float]:
    """The 95 % interval of the equal error rate of ``second`` above that of ``first``, both of the same pairs."""
    low, high = np.quantile(_resampled(second, pairs, seed) - _resampled(first, pairs, seed), [0.025, 0.975])
    return float(low), float(high)


def mistakes_of_people(likeness: Array, pairs: Pairs) -> Floats:
    """The share of each of n people in the equal error rate, (n,), which is about their mean.

    It is n times the person's part of both rates at the threshold where these are equal, halved: each pair taken for
    the wrong kind counts for the people in it alike.
    """
    same, (_, threshold) = pairs.same, equal_error_rate(likeness, pairs.same)
    people = np.unique(pairs.people, return_inverse=True)[1]
    count = int(people.max()) + 1
    wrong = (likeness >= threshold) != same
    weights = wrong * np.where(same, 1 / same.sum(), 1 / (~same).sum())
    parts = sum(np.bincount(people[side], weights, count) for side in (pairs.first, pairs.second))
    return np.asarray(count * parts / 4)


def evaluate_verification(
    likeness: Array,
    pairs: Pairs,
    answers: Sequence[tuple[Trials, Array, Array]],
    *,
    threshold: float | None,
    seed: int,
) -> VerificationResult:
    """The figures of ``likeness`` (pairs,); ``answers`` are trials with the likeness by the files and by pixels.

    Trials of one person are of the same few pictures, so that the interval of a share counts people, not trials.
    """
    require_finite(likeness, "What the files tell of pairs")
    same, scores = pairs.same, np.asarray(likeness, np.float64)
    eer, _ = equal_error_rate(scores, same)
    low, high = eer_interval(scores, pairs, seed=seed)
    one_shot = []
    for trials, told, by_pixels in answers:
        accuracy, people = float(right_answers(told).mean()), len(np.unique(pairs.people[trials.asked]))
        low_share, high_share = wilson_interval(accuracy * people, people)
        one_shot.append(
            OneShot(
                ways=trials.offered.shape[1],
                accuracy=accuracy,
                low=low_share,
                high=high_share,
                pixels=float(right_answers(by_pixels).mean()),
            )
        )
    return VerificationResult(
        eer=eer,
        eer_low=low,
        eer_high=high,
        auc=roc_auc(scores[~same], scores[same]),
        accepted=None if threshold is None else float((scores[~same] >= threshold).mean()),
        rejected=None if threshold is None else float((scores[same] < threshold).mean()),
        one_shot=tuple(one_shot),
        count=len(pairs.people),
        pairs=pairs,
        likeness=scores,
    )


def embedding_of(outputs: Mapping[str, Array], *, model: str) -> Array:
    """The one vector that a tower gives for a picture; `DataError` for other outputs."""
    if len(outputs) != 1 or (values := next(iter(outputs.values()))).ndim != 1:
        told = ", ".join(f"{name} {values.shape}" for name, values in outputs.items())
        raise DataError(f"{model} gives {told} for one picture; expected one embedding, a row of numbers.")
    require_finite(values, f"The output of {model}")
    return values


def _require_pairs(likeness: Array, same: Flags) -> None:
    if likeness.shape != same.shape or likeness.ndim != 1 or same.all() or not same.any():
        raise DataError(
            f"Error rates need a score for each pair, and pairs of both kinds; got {likeness.shape} and {same.shape}, "
            f"{int(same.sum())} of them the same."
        )
    require_finite(likeness, "What the files tell of pairs")


def _thresholds(likeness: Array) -> tuple[Floats, Floats, Indices]:
    """Sorted different scores, thresholds below, between and above them, and the place of each pair's score."""
    values, place = np.unique(np.asarray(likeness, np.float64), return_inverse=True)
    between = (values[:-1] + values[1:]) / 2
    return values, np.concatenate([values[:1], between, [np.nextafter(values[-1], np.inf)]]), place


def _shares(values: Floats, place: Indices, same: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """For each threshold, (resamples, thresholds): different pairs accepted and same pairs rejected, as shares."""
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    kinds = []
    for kind in (~same, same):
        at = np.add.reduceat((weights * kind)[:, order], starts, axis=1)
        below = np.concatenate([np.zeros((len(at), 1)), np.cumsum(at, axis=1)], axis=1)
        kinds.append(below / below[:, -1:])
    return 1 - kinds[0], kinds[1]


def _crossings(accepted: Floats, rejected: Floats) -> tuple[Floats, Floats]:
    """Where both shares are equal, (resamples,): the share, and the place among the thresholds, between two of them."""
    gap = accepted - rejected
    after = np.maximum((gap <= 0).argmax(axis=1), 1)
    rows = np.arange(len(gap))
    before, behind = gap[rows, after - 1], gap[rows, after]
    part = before / (before - behind)
    rates = accepted[rows, after - 1] + part * (accepted[rows, after] - accepted[rows, after - 1])
    return np.asarray(rates), np.asarray(after - 1 + part)


def _resampled(likeness: Array, pairs: Pairs, seed: int) -> Floats:
    values, _, place = _thresholds(likeness)
    random, same = np.random.default_rng(seed), pairs.same
    people = np.unique(pairs.people, return_inverse=True)[1]
    step, found = max(1, _AT_ONCE // len(pairs)), list[Floats]()
    for start in range(0, _RESAMPLES, step):
        weights = _weights(people, pairs, same, min(step, _RESAMPLES - start), random)
        found.append(_crossings(*_shares(values, place, same, weights))[0])
    return np.concatenate(found)


def _weights(people: Indices, pairs: Pairs, same: Flags, count: int, random: np.random.Generator) -> Floats:
    """How often each pair is there, (count, pairs), when as many people as there are are drawn with replacement.

    A different pair counts as often as both of its people together, a same pair as often as its one: pairs of one
    person depend on each other, and drawing pairs would claim too much (Bolle et al. 2004). A draw that leaves out one
    kind is drawn again.
    """
    most, rows = people.max() + 1, list[Floats]()
    while len(rows) < count:
        times = np.bincount(random.integers(0, most, most), minlength=most).astype(np.float64)
        first, second = times[people[pairs.first]], times[people[pairs.second]]
        row = np.where(same, first, first * second)
        if row[same].any() and row[~same].any():
            rows.append(row)
    return np.stack(rows)
