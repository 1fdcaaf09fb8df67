"""Pass, regress or improve: what is said of each budget of a model, by tests on the same items."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

import numpy as np

from edgekit.check.baseline import MOST_SCORES, Metric, ModelRecord
from edgekit.check.objects import same_sure_objects
from edgekit.check.scored import BY_METRIC, Ties
from edgekit.measure.metrics import sqnr_db
from edgekit.measure.paired import at_most_p, difference_interval, mcnemar_p, mean_difference_interval, sign_flip_p
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.trials import Pairs

ALPHA = 0.05
"""A difference is told from chance where chance alone makes one as large in fewer than this part of the cases."""
LEAST_DIFFERING = 6
"""Of five items that differ all are on one side by chance in 2 of 32 cases, which is more than `ALPHA`; of six in 2 of
64."""
_ROUNDING = 1e-9  # 0.02 - 0.01 is a little more than 0.01
_SHOWN = 3
_UNTOLD = "; beyond the budget, and not to be told from chance"


class Verdict(StrEnum):
    """What is said of a line."""

    PASS = "pass"  # noqa: S105 - no password
    REGRESS = "regress"
    IMPROVE = "improve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict with the baseline's figure, today's, the limit, and in words what decided; ``figures`` are for JSON."""

    verdict: Verdict
    baseline: str
    now: str
    limit: str
    why: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model to be judged: the baseline's record, and today's of those of its items that are at ``places``.

    ``pairs`` are those of all items of the baseline, where these are compared with each other, and ``window`` the steps
    of an item, where these are windows.
    """

    metric: Metric
    base: ModelRecord
    now: ModelRecord
    places: tuple[int, ...]
    pairs: Pairs | None = None
    window: int = 0


def top1(case: Case, limit: float) -> Finding:
    """A drop in accuracy beyond ``limit`` that McNemar's exact test tells from chance is a regression."""
    before, now = (
        np.array([flag == "1" for flag in flags])
        for flags in ([case.base.correct[place] for place in case.places], case.now.correct)
    )
    interval, p = difference_interval(now, before, seed=0), mcnemar_p(before, now)
    lost, won = int(np.sum(before & ~now)), int(np.sum(~before & now))
    why = f"{lost} items lost, {won} won of {len(now)}; McNemar's exact p {p:.2g}"
    means = float(before.mean()), float(now.mean())
    return _dropped(limit, means, interval, certain=p < ALPHA, why=why)


def mean_average_precision(case: Case, limit: float) -> Finding:
    """A drop beyond ``limit`` is a regression where the interval of a paired bootstrap over images leaves out 0.

    The randomization test must agree, since a bootstrap is too sure where few images, or one that outweighs all others,
    decide.
    """
    before = np.array([case.base.contributions[place] for place in case.places])
    now = np.array(case.now.contributions)
    low, high = mean_difference_interval(now, before, seed=0)
    p = sign_flip_p(now, before, seed=0)
    why = f"drop of {100 * low:.2f} to {100 * high:.2f} points (95 %); randomization p {p:.2g}"
    certain = p < ALPHA and not low <= 0 <= high
    return _dropped(limit, (float(before.mean()), float(now.mean())), (low, high), certain=certain, why=why)


def by_scores(case: Case, limit: float) -> Finding:
    """A loss beyond ``limit``, a fraction or one of the baseline's figure, is a regression if it is told from chance.

    The interval of the paired bootstrap must leave out 0 and the randomization test agree, as for detectors of objects.
    """
    scored = BY_METRIC[case.metric]
    pairs, kept = (None, list(case.places)) if case.pairs is None else case.pairs.among(case.places)
    before, now = np.array(case.base.scores).T[kept], np.array(case.now.scores).T
    change = scored.change(before, now, Ties(pairs=pairs, window=case.window))
    loss, low, high = scored.loss(change)
    certain = change.p < ALPHA and not low <= 0 <= high
    unit = "%" if scored.relative else "points"
    why = f"loss of {100 * low:.2f} to {100 * high:.2f} {unit} (95 %); randomization p {change.p:.2g}"
    verdict, why = _judged(loss, limit, certain=certain, why=why)
    allowed = scored.allowed(change.before, limit)
    return Finding(
        verdict=verdict,
        baseline=case.metric.text(change.before),
        now=case.metric.text(change.now),
        limit=f"{case.metric.text(allowed)} or {'less' if scored.smaller_is_better else 'more'}",
        why=why,
        figures={"baseline": change.before, "now": change.now, "loss": loss, "loss_low": low, "loss_high": high},
    )


def _judged(loss: float, limit: float, *, certain: bool, why: str) -> tuple[Verdict, str]:
    """The verdict on a ``loss``, and ``why``, with a remark where it is beyond the ``limit`` but not ``certain``."""
    beyond = loss > limit + _ROUNDING
    if certain and beyond:
        return Verdict.REGRESS, why
    if certain and loss < 0:
        return Verdict.IMPROVE, why
    return Verdict.PASS, why + _UNTOLD if beyond else why


def _dropped(
    limit: float, means: tuple[float, float], interval: tuple[float, float], *, certain: bool, why: str
) -> Finding:
    before, now = means
    drop = before - now
    verdict, why = _judged(drop, limit, certain=certain, why=why)
    return Finding(
        verdict=verdict,
        baseline=f"{100 * before:.2f} %",
        now=f"{100 * now:.2f} %",
        limit=f"{100 * (before - limit):.2f} % or more",
        why=why,
        figures={"baseline": before, "now": now, "drop": drop, "drop_low": interval[0], "drop_high": interval[1]},
    )


def agreement(case: Case, limit: float) -> Finding:
    """Fewer of the baseline's answers than ``limit``, so few that chance seldom leaves no more, are a regression."""
    if case.base.classes:
        same = [case.base.classes[place] == answer for place, answer in zip(case.places, case.now.classes, strict=True)]
    else:
        sure = (case.base.sure or 0.0, case.now.sure or 0.0)
        same = [
            same_sure_objects(case.base.objects[place], found, sure=sure)
            for place, found in zip(case.places, case.now.objects, strict=True)
        ]
    count, total = sum(same), len(same)
    p, beyond = at_most_p(count, total, limit), count / total < limit - _ROUNDING
    why = f"{total - count} of {total} answers differ"
    if beyond:
        why += f"; so many or more by chance: p {p:.2g}"
    return Finding(
        verdict=Verdict.REGRESS if beyond and p < ALPHA else Verdict.PASS,
        baseline="100 %",
        now=f"{100 * count / total:.2f} %",
        limit=f"{100 * limit:.4g} % or more",
        why=why,
        figures={"agreement": count / total, "p": p},
    )


def outputs(case: Case, limit: float) -> Finding:
    """Outputs for the first items that are further from the baseline's than ``limit`` dB are a regression.

    Of outputs that the baseline did not keep it is known that they were no larger than the least of those it kept.
    """
    pairs, beyond = list[tuple[float, float]](), list[tuple[float, float]]()
    for before, now in zip(case.base.outputs, case.now.outputs, strict=True):
        kept, least = dict(zip(before.places, before.values, strict=True)), min(before.values)
        pairs += [(value, now.values[place]) for place, value in kept.items() if place < len(now.values)]
        if len(kept) == MOST_SCORES:
            others = (value for place, value in enumerate(now.values) if place not in kept)
            beyond += [(0.0, value - least) for value in others if value > least]
    complete = len(pairs) == sum(len(before.values) for before in case.base.outputs)
    found = sqnr_db(*(np.array(column) for column in zip(*pairs, *beyond, strict=True))) if complete else -math.inf
    return Finding(
        verdict=Verdict.PASS if found >= limit else Verdict.REGRESS,
        baseline="-",
        now=f"{found:.1f} dB" if complete else "fewer",
        limit=f"{limit:.4g} dB or more",
        why=f"outputs for {len(case.now.outputs)} items against the baseline's",
        figures={"sqnr_db": found} if complete else {},
    )


def size(case: Case, limit: float) -> Finding:
    """A file larger by more than the fraction ``limit`` is a regression, one smaller by more an improvement."""
    growth = case.now.model_bytes / case.base.model_bytes - 1
    verdict = Verdict.PASS
    if growth > limit + _ROUNDING:
        verdict = Verdict.REGRESS
    elif growth < -limit - _ROUNDING:
        verdict = Verdict.IMPROVE
    return Finding(
        verdict=verdict,
        baseline=f"{case.base.model_bytes:,} bytes",
        now=f"{case.now.model_bytes:,} bytes",
        limit=f"{math.floor((1 + limit) * case.base.model_bytes + _ROUNDING):,} bytes or less",
        why=f"{100 * growth:+.1f} %",
        figures={"growth": growth},
    )


def latency(case: Case, limit: float) -> Finding:
    """A ratio to the reference whose whole interval is above ``limit`` is a regression.

    One whose whole interval is as far below the baseline's ratio as the limit is above it is an improvement.
    """
    before, now = case.base.latency, case.now.latency
    assert now is not None  # noqa: S101 - what is limited was timed
    verdict, why = Verdict.PASS, f"95 % interval {now.low:.3g} to {now.high:.3g}"
    if not now.low <= limit:  # what is no number passes nothing
        verdict = Verdict.REGRESS
    elif before is not None and now.high < before.value / max(1.0, limit / before.value):
        verdict = Verdict.IMPROVE
    elif now.value > limit:
        why += "; beyond the budget, and not surely so"
    return Finding(
        verdict=verdict,
        baseline="-" if before is None else f"{before.value:.3g} ×",
        now=f"{now.value:.3g} ×",
        limit=f"{limit:.4g} × the reference or less",
        why=why,
        figures={"ratio": now.value, "ratio_low": now.low, "ratio_high": now.high},
    )


def calibration(case: Case, limit: float) -> Finding:
    """A calibration on fewer items than the share ``limit`` of the baseline's, or on unknown ones, is a regression."""
    base, now = case.base.calibration, case.now.calibration
    assert base is not None  # noqa: S101 - what has none has no such line
    why = ""
    if now is None:
        why = "the card does not tell what it was calibrated on"
    elif now.digest != base.digest:
        why = f"other items, of {now.name}"
    return Finding(
        verdict=Verdict.REGRESS if now is None or now.count < limit * base.count - _ROUNDING else Verdict.PASS,
        baseline=f"{base.count} items",
        now="-" if now is None else f"{now.count} items",
        limit=f"{math.ceil(limit * base.count - _ROUNDING)} items or more",
        why=why,
    )


def preprocessing(case: Case) -> Finding:
    """Another preprocessing in the card, or other inputs made of the same items, are a regression."""
    changed = _changes(case.base.preprocessing, case.now.preprocessing)
    fed = sum(a != b for a, b in zip(case.base.inputs, case.now.inputs, strict=True))
    if fed:
        changed.append(f"{fed} of {len(case.now.inputs)} inputs differ")
    return Finding(
        verdict=Verdict.REGRESS if changed else Verdict.PASS,
        baseline="-",
        now="another" if changed else "the same",
        limit="the same",
        why="; ".join(changed),
    )


def _changes(before: Preprocessing | None, now: Preprocessing | None) -> list[str]:
    if before is None or now is None:
        known = {True: "stated", False: "not stated"}
        return [] if before is now else [f"{known[now is not None]}, and {known[before is not None]} before"]
    pairs = [(f.name, getattr(before, f.name), getattr(now, f.name)) for f in fields(Preprocessing)]
    return [f"{name} {new}, before {old}" for name, old, new in pairs if old != new]


def labels(case: Case) -> Finding:
    """Other names of classes, or the same in another order, are a regression."""
    before, now = case.base.labels or (), case.now.labels or ()
    moved = [
        f"{name!r} is at {now.index(name)}, before at {place}" if name in now else f"{name!r} is gone"
        for place, name in enumerate(before)
        if now[place : place + 1] != (name,)
    ]
    moved += [f"{name!r} is new" for name in now if name not in before]
    if not moved and before != now:  # one name twice
        moved = ["there are others"]
    more = [f"{len(moved) - _SHOWN} more"] if len(moved) > _SHOWN else []
    return Finding(
        verdict=Verdict.REGRESS if moved else Verdict.PASS,
        baseline=f"{len(before)} names",
        now=f"{len(now)} names",
        limit="the same",
        why="; ".join([*moved[:_SHOWN], *more]),
    )
