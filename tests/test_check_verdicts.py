"""What is said of a line: chance is no regression, and what is none of chance is one."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from check_project import RECORD
from test_coco_contributions import FOUND, MANY, NAMES

from edgekit.check import verdicts
from edgekit.check.baseline import MOST_SCORES, Calibration, Found, Metric, Scores
from edgekit.check.objects import same_sure_objects
from edgekit.check.verdicts import Case, Finding, Verdict
from edgekit.measure.stats import Ratio
from edgekit.preprocessing import preset
from edgekit.tasks.coco_contributions import image_contributions


def case(base: dict[str, Any], now: dict[str, Any], *, metric: Metric = Metric.TOP1, count: int = 0) -> Case:
    return Case(metric=metric, base=replace(RECORD, **base), now=replace(RECORD, **now), places=tuple(range(count)))


def flags(values: Any) -> str:
    return "".join("01"[int(v)] for v in values)


def top1(before: Any, now: Any, limit: float = 0.0) -> Finding:
    return verdicts.top1(case({"correct": flags(before)}, {"correct": flags(now)}, count=len(now)), limit)


def lost(count: int, of: int) -> Finding:
    return top1([True] * of, [False] * count + [True] * (of - count))


# Accuracy of classifiers


def test_six_items_that_are_lost_are_told_from_chance_and_five_are_not() -> None:
    assert lost(6, 100).verdict is Verdict.REGRESS
    assert lost(5, 100).verdict is Verdict.PASS
    assert lost(5, 100).why == (
        "5 items lost, 0 won of 100; McNemar's exact p 0.062; beyond the budget, and not to be told from chance"
    )
    assert lost(0, 100).why == "0 items lost, 0 won of 100; McNemar's exact p 1"


def test_what_is_sure_and_within_the_budget_passes() -> None:
    before, now = np.ones(1000, bool), np.arange(1000) >= 10
    assert top1(before, now, limit=0.01).verdict is Verdict.PASS  # exactly a point
    assert top1(before, now, limit=0.009).verdict is Verdict.REGRESS
    assert top1(now, before, limit=0.01).verdict is Verdict.IMPROVE


def test_only_the_items_that_were_measured_again_count() -> None:
    given = Case(
        metric=Metric.TOP1,
        base=replace(RECORD, correct="1111111100000000"),
        now=replace(RECORD, correct="00000000"),
        places=tuple(range(8, 16)),
    )
    assert verdicts.top1(given, 0.0).figures["drop"] == 0


def test_two_models_of_one_accuracy_seldom_regress() -> None:
    """Without any budget, at most 2.5 in 100 of the changes that change nothing fail; the test is exact."""
    random = np.random.default_rng(1)
    failed = 0
    for _ in range(400):
        right = random.random(300) < 0.85
        first, second = (right ^ (random.random(300) < 0.06) for _ in range(2))
        failed += top1(first, second).verdict is Verdict.REGRESS
    assert failed <= 400 * 0.05


def test_a_loss_of_five_points_seldom_passes() -> None:
    random = np.random.default_rng(2)
    seen = 0
    for _ in range(100):
        first = random.random(1000) < 0.85
        second = first & (random.random(1000) >= 0.08)  # 6.8 points lost
        second |= ~first & (random.random(1000) < 0.12)  # 1.8 won
        seen += top1(first, second, limit=0.01).verdict is Verdict.REGRESS
    assert seen >= 95


# Mean average precision


def mean_ap(before: Any, now: Any, limit: float = 0.0) -> Finding:
    given = case({"contributions": tuple(before)}, {"contributions": tuple(now)}, metric=Metric.MAP, count=len(now))
    return verdicts.mean_average_precision(given, limit)


def test_a_detector_regresses_where_the_images_agree_on_it() -> None:
    random = np.random.default_rng(3)
    before = random.random(60)
    assert mean_ap(before, before).verdict is Verdict.PASS
    assert mean_ap(before, before - random.random(60) * 0.1, limit=0.01).verdict is Verdict.REGRESS
    assert mean_ap(before, before - random.random(60) * 0.1, limit=0.1).verdict is Verdict.PASS
    assert mean_ap(before, before + random.random(60) * 0.1).verdict is Verdict.IMPROVE


def test_one_bad_image_is_not_told_from_chance() -> None:
    before = np.full(20, 0.5)
    now = before - np.eye(20)[0]
    found = mean_ap(before, now, limit=0.01)
    assert found.verdict is Verdict.PASS
    assert found.why == (
        "drop of 0.00 to 15.00 points (95 %); randomization p 1; beyond the budget, and not to be told from chance"
    )
    assert mean_ap(before, before - np.r_[np.ones(5), np.zeros(15)]).verdict is Verdict.PASS
    assert mean_ap(before, before - np.r_[np.ones(6), np.zeros(14)]).verdict is Verdict.REGRESS


def test_a_loss_that_one_image_outweighs_in_some_draws_is_not_told_from_chance() -> None:
    """Where the signs of the differences alone would be sure."""
    before = np.full(30, 0.5)
    found = mean_ap(before, before + np.r_[0.475, np.full(29, -0.05)], limit=0.01)
    assert found.why.startswith("drop of -0.25 to 5.00 points (95 %); randomization p 0.033; beyond the budget")
    assert found.verdict is Verdict.PASS


def test_detections_lost_in_one_image_are_not_told_from_chance_and_in_many_are() -> None:
    """With the contributions of real detections, of which all change a little when one does."""
    before = image_contributions(FOUND, MANY, NAMES)

    def without(count: int) -> Finding:
        blind = [found.at(slice(0)) for found in FOUND[:count]]
        return mean_ap(before, image_contributions([*blind, *FOUND[count:]], MANY, NAMES), limit=0.01)

    assert without(0).why == "drop of 0.00 to 0.00 points (95 %); randomization p 1"
    assert without(2).verdict is Verdict.PASS
    assert without(2).figures["drop"] > 0.01
    assert without(10).verdict is Verdict.REGRESS


def test_two_detectors_of_one_quality_seldom_regress() -> None:
    random = np.random.default_rng(4)
    failed = 0
    for _ in range(60):
        before, now = (0.5 + random.normal(0, 0.3, 40) for _ in range(2))
        failed += mean_ap(before, now).verdict is Verdict.REGRESS
    assert failed <= 6  # 1.5 are expected, and a percentile interval of 40 images is a little short


# Agreement


def agreement(differing: int, count: int, limit: float) -> Finding:
    given = case({"classes": (0,) * count}, {"classes": (1,) * differing + (0,) * (count - differing)}, count=count)
    return verdicts.agreement(given, limit)


def test_few_other_answers_pass_and_many_do_not() -> None:
    assert agreement(0, 20, 1.0).verdict is Verdict.PASS
    assert agreement(1, 20, 1.0).verdict is Verdict.REGRESS  # what must be certain has no chance
    assert agreement(2, 20, 0.95).verdict is Verdict.PASS
    assert agreement(2, 20, 0.95).why == "2 of 20 answers differ; so many or more by chance: p 0.26"
    assert agreement(4, 20, 0.95).verdict is Verdict.REGRESS
    assert agreement(10, 200, 0.95).why == "10 of 200 answers differ"


BOX = (0.1, 0.1, 0.5, 0.5)
NEAR = (0.1, 0.1, 0.5, 0.55)
FAR = (0.5, 0.5, 0.9, 0.9)


def found(class_id: int, score: float, box: tuple[float, float, float, float]) -> Found:
    return (class_id, score, *box)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ((), (), True),
        ((found(1, 0.9, BOX),), (found(1, 0.8, NEAR),), True),
        ((found(1, 0.9, BOX),), (found(2, 0.9, BOX),), False),
        ((found(1, 0.9, BOX),), (found(1, 0.9, FAR),), False),
        ((found(1, 0.9, BOX),), (), False),
        ((), (found(1, 0.9, BOX),), False),
        ((found(1, 0.51, BOX),), (found(1, 0.3, BOX),), True),  # just below what is shown
        ((found(1, 0.9, BOX),), (found(1, 0.3, BOX),), False),
        ((found(1, 0.4, BOX),), (), True),  # shown by neither
    ],
)
def test_objects_are_the_same_where_neither_is_in_doubt(
    first: tuple[Found, ...], second: tuple[Found, ...], same: bool
) -> None:
    assert same_sure_objects(first, second, sure=(0.5, 0.5)) is same
    given = case(
        {"objects": (first,) * 20, "sure": 0.5}, {"objects": (second,) * 20, "sure": 0.5}, metric=Metric.MAP, count=20
    )
    assert (verdicts.agreement(given, 0.95).verdict is Verdict.PASS) is same


def test_each_model_has_a_score_of_its_own_from_which_it_is_sure() -> None:
    """What is shown now at 0.6 was not there; from a model that shows objects from 0.7 on it would not count."""
    for sure, verdict in ((0.5, Verdict.REGRESS), (0.7, Verdict.PASS)):
        given = case(
            {"objects": ((),) * 20, "sure": 1.2 - sure},
            {"objects": ((found(1, 0.6, BOX),),) * 20, "sure": sure},
            metric=Metric.MAP,
            count=20,
        )
        assert verdicts.agreement(given, 0.95).verdict is verdict


# Outputs, size, latency


def outputs(before: list[float], now: list[float], limit: float = 10.0) -> Finding:
    kept = Scores(places=tuple(range(len(before))), values=tuple(before))
    given = Scores(places=tuple(range(len(now))), values=tuple(now))
    return verdicts.outputs(case({"outputs": (kept,)}, {"outputs": (given,)}), limit)


def test_outputs_of_another_scale_are_seen() -> None:
    assert outputs([3.0, 4.0], [3.0, 4.5], limit=20).verdict is Verdict.PASS
    assert outputs([3.0, 4.0], [3.0, 4.6], limit=20).verdict is Verdict.REGRESS
    assert outputs([3.0, 4.0], [6.0, 8.0]).now == "0.0 dB"
    assert outputs([3.0, 4.0], [3.0]).now == "fewer"
    assert outputs([3.0, 4.0], [3.0]).verdict is Verdict.REGRESS


def test_outputs_are_compared_by_their_places() -> None:
    kept = Scores(places=(0, 1, 2, 3), values=(0.1, 7.0, 0.2, 5.0)).largest(2)
    assert kept == Scores(places=(1, 3), values=(7.0, 5.0))
    now = Scores(places=(0, 1, 2, 3), values=(9.0, 7.0, 9.0, 5.0))
    assert verdicts.outputs(case({"outputs": (kept,)}, {"outputs": (now,)}), 10.0).figures["sqnr_db"] == 200


def test_outputs_that_were_not_kept_were_no_larger() -> None:
    before = Scores(places=tuple(range(150)), values=tuple(float(v) for v in range(150)))
    kept = before.largest(MOST_SCORES)
    assert min(kept.values) == 50

    def said(**changed: float) -> Finding:
        values = [changed.get(f"at_{place}", value) for place, value in enumerate(before.values)]
        now = Scores(places=before.places, values=tuple(values))
        return verdicts.outputs(case({"outputs": (kept,)}, {"outputs": (now,)}), 10.0)

    assert said().figures["sqnr_db"] == 200
    assert said(at_3=-900.0, at_4=50.0).figures["sqnr_db"] == 200  # as it may have been
    assert 30 < said(at_3=80.0).figures["sqnr_db"] < 40
    assert said(at_3=80.0).verdict is Verdict.PASS
    assert said(at_3=900.0).verdict is Verdict.REGRESS


@pytest.mark.parametrize(
    ("now", "verdict"),
    [(1100, Verdict.PASS), (1101, Verdict.REGRESS), (900, Verdict.PASS), (899, Verdict.IMPROVE)],
)
def test_a_file_may_grow_as_far_as_its_budget(now: int, verdict: Verdict) -> None:
    assert verdicts.size(case({}, {"model_bytes": now}), 0.1).verdict is verdict


def latency(before: float, low: float, high: float, limit: float) -> Finding:
    now = Ratio(value=(low + high) / 2, low=low, high=high)
    given = case({"latency": Ratio(value=before, low=before, high=before)}, {"latency": now})
    return verdicts.latency(given, limit)


def test_a_latency_regresses_where_the_whole_interval_is_beyond() -> None:
    assert latency(1.0, 1.3, 1.5, 1.25).verdict is Verdict.REGRESS
    unsure = latency(1.0, 1.2, 1.5, 1.25)
    assert (unsure.verdict, unsure.why) == (
        Verdict.PASS,
        "95 % interval 1.2 to 1.5; beyond the budget, and not surely so",
    )
    assert latency(1.0, 0.85, 0.95, 1.25).verdict is Verdict.PASS
    assert latency(1.0, 0.6, 0.75, 1.25).verdict is Verdict.IMPROVE
    assert latency(1.0, 0.4, 1.2, 0.5).verdict is Verdict.PASS  # the budget asks for more than the baseline had
    assert verdicts.latency(case({}, {"latency": Ratio(value=1, low=1, high=1)}), 2.0).baseline == "-"


def test_a_latency_that_is_no_number_does_not_pass() -> None:
    given = case({}, {"latency": Ratio(value=1.0, low=math.nan, high=math.nan)})
    assert verdicts.latency(given, 1.25).verdict is Verdict.REGRESS


# What must stay


def calibration(before: int, now: int | None, limit: float) -> Finding:
    def used(count: int) -> Calibration:
        return Calibration(name="photos", count=count, digest=str(count))

    given = case({"calibration": used(before)}, {"calibration": None if now is None else used(now)})
    return verdicts.calibration(given, limit)


def test_fewer_calibration_items_than_agreed_regress() -> None:
    assert calibration(200, 200, 1.0).why == ""
    assert calibration(200, 300, 1.0).verdict is Verdict.PASS
    assert calibration(200, 199, 1.0).verdict is Verdict.REGRESS
    assert calibration(200, 100, 0.5).verdict is Verdict.PASS
    assert calibration(200, 100, 0.5).why == "other items, of photos"
    assert calibration(200, None, 0.0).verdict is Verdict.REGRESS
    assert 0.07 * 100 > 7
    assert calibration(100, 7, 0.07).verdict is Verdict.PASS
    assert calibration(100, 7, 0.07).limit == "7 items or more"


def test_each_change_of_the_preprocessing_is_named() -> None:
    how = preset("unit", size_hw=(8, 8))

    def said(before: Any, now: Any, fed: tuple[str, ...] = ("a", "b")) -> Finding:
        return verdicts.preprocessing(
            case({"preprocessing": before, "inputs": ("a", "b")}, {"preprocessing": now, "inputs": fed})
        )

    assert said(how, how).verdict is Verdict.PASS
    assert said(None, None).verdict is Verdict.PASS
    assert said(how, replace(how, pad_value=0)).why == "pad_value 0, before 114"
    assert said(how, None).why == "not stated, and stated before"
    assert said(None, how).why == "stated, and not stated before"
    assert said(how, how, ("a", "c")).why == "1 of 2 inputs differ"
    assert said(how, how, ("a", "c")).verdict is Verdict.REGRESS


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (("a", "b", "c"), ""),
        (("b", "a", "c"), "'a' is at 1, before at 0; 'b' is at 0, before at 1"),
        (("a", "b"), "'c' is gone"),
        (("a", "b", "c", "d"), "'d' is new"),
        (("a", "b", "c", "c"), "there are others"),
        (("w", "x", "y", "z"), "'a' is gone; 'b' is gone; 'c' is gone; 4 more"),
        (None, "'a' is gone; 'b' is gone; 'c' is gone"),
    ],
)
def test_labels_stay_in_their_places(now: tuple[str, ...] | None, why: str) -> None:
    said = verdicts.labels(case({"labels": ("a", "b", "c")}, {"labels": now}))
    assert (said.why, said.verdict is Verdict.REGRESS) == (why, bool(why))
