"""Error rates of pairs and one-shot trials, and the files that they are measured of."""

import itertools
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from tiny_tables import detector
from tiny_verifier import head, long_head, pictures, verifier

from edgekit.artifact import open_artifact
from edgekit.card import dump_card, load_card
from edgekit.companion import Companion
from edgekit.data import Dataset, open_data
from edgekit.data.base import Part
from edgekit.errors import DataError, InputError
from edgekit.files import sha256_file
from edgekit.identities import Measure, Verification
from edgekit.measure.evaluate_by_task import evaluate_by_task
from edgekit.measure.evaluate_verification import VerificationReport, evaluate_verification, judged, trials_of
from edgekit.measure.verifiers import Verifier, open_verifiers
from edgekit.runtimes import open_runtime
from edgekit.tasks import verification
from edgekit.tasks.trials import MOST_PAIRS, Pairs, draw_pairs, draw_trials, pixels_likeness
from edgekit.tasks.verification import (
    VerificationResult,
    eer_difference,
    eer_interval,
    equal_error_rate,
    right_answers,
)

PEOPLE = np.repeat(np.arange(6), 5)


def scores(pairs: Pairs, noise: float, seed: int = 0) -> Any:
    """Likeness that is 1 for same pairs and 0 for different ones, and noise."""
    return pairs.same + np.random.default_rng(seed).normal(0, noise, len(pairs))


def figures(likeness: Any, pairs: Pairs, **options: Any) -> VerificationResult:
    return verification.evaluate_verification(likeness, pairs, [], threshold=options.get("threshold"), seed=0)


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
def test_the_rate_is_where_both_mistakes_are_as_frequent(noise: float) -> None:
    pairs = draw_pairs(PEOPLE, 0)
    likeness, same = scores(pairs, noise), pairs.same
    rate, threshold = equal_error_rate(likeness, same)
    accepted, rejected = (likeness[~same] >= threshold).mean(), (likeness[same] < threshold).mean()
    step = 1 / min(same.sum(), (~same).sum())  # what one pair more or less changes
    assert abs(accepted - rate) <= step
    assert abs(rejected - rate) <= step
    assert rate == pytest.approx({0.1: 0.0, 0.5: 0.155, 2.0: 0.4}[noise], abs=0.06)


def test_what_tells_nothing_or_the_contrary_is_seen() -> None:
    pairs = draw_pairs(PEOPLE, 0)
    assert equal_error_rate(np.zeros(len(pairs)), pairs.same)[0] == 0.5
    assert figures(np.zeros(len(pairs)), pairs).auc == 0.5
    good = scores(pairs, 0.1)
    assert equal_error_rate(-good, pairs.same)[0] == pytest.approx(1.0)
    assert (figures(good, pairs).auc, figures(-good, pairs).auc) == (1.0, 0.0)
    with pytest.raises(DataError) as caught:
        figures(np.where(np.arange(len(pairs)) == 3, np.nan, good), pairs)
    assert str(caught.value) == (
        f"What the files tell of pairs has 1 of {len(pairs)} values that are NaN or infinite; expected finite numbers."
    )


def test_the_area_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    pairs = draw_pairs(PEOPLE, 0)
    likeness = np.round(scores(pairs, 0.7), 1)  # with ties
    assert figures(likeness, pairs).auc == pytest.approx(roc_auc_score(pairs.same, likeness), abs=1e-12)


def test_the_interval_holds_the_rate_and_narrows_with_more_people() -> None:
    widths = []
    for count in (6, 30):
        pairs = draw_pairs(np.repeat(np.arange(count), 5), 0)
        likeness = scores(pairs, 0.6)
        low, high = eer_interval(likeness, pairs, seed=0)
        assert low <= equal_error_rate(likeness, pairs.same)[0] <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 1.5


def test_the_seed_draws_the_people_of_an_interval() -> None:
    pairs = draw_pairs(PEOPLE, 0)
    good, bad = scores(pairs, 0.6), scores(pairs, 1.0, 1)
    assert eer_interval(good, pairs, seed=0) == pytest.approx((0.1169166667, 0.2327424242), abs=1e-9)
    results = {
        seed: [verification.evaluate_verification(told, pairs, [], threshold=None, seed=seed) for told in (good, bad)]
        for seed in (0, 1)
    }
    for seed, (first, _) in results.items():
        assert (first.eer_low, first.eer_high) == eer_interval(good, pairs, seed=seed)
    assert results[0][0].eer_low != results[1][0].eer_low
    assert eer_difference(*results[0], seed=0) != eer_difference(*results[0], seed=1)


def test_a_difference_is_told_of_the_same_pairs_alone() -> None:
    pairs = draw_pairs(PEOPLE, 0)
    good, bad = figures(scores(pairs, 0.3), pairs), figures(scores(pairs, 1.0, 1), pairs)
    assert set(eer_difference(good, good, seed=0).values()) == {0.0}
    told = eer_difference(good, bad, seed=0)
    assert told["eer_difference"] == bad.eer - good.eer
    assert 0 < told["eer_difference_low"] < told["eer_difference"] < told["eer_difference_high"]
    fewer = draw_pairs(PEOPLE[:20], 0)
    with pytest.raises(DataError) as caught:
        eer_difference(good, figures(scores(fewer, 0.3), fewer), seed=0)
    assert str(caught.value) == "Two equal error rates are compared on the same pairs; got different ones."


def test_mistakes_at_the_threshold_are_counted() -> None:
    pairs = Pairs(
        first=np.array([0, 0, 1, 1]), second=np.array([1, 2, 2, 3]), people=np.array([0, 0, 1, 0]), whole=False
    )
    assert pairs.same.tolist() == [True, False, False, True]
    found = figures(np.array([3.0, 2.0, 0.0, 1.0]), pairs, threshold=2.0)
    assert (found.accepted, found.rejected) == (0.5, 0.5)
    assert figures(np.array([3.0, 2.0, 0.0, 1.0]), pairs).accepted is None


def test_all_pairs_are_taken_where_they_are_few() -> None:
    pairs = draw_pairs(PEOPLE, 0)
    assert list(zip(pairs.first, pairs.second, strict=True)) == list(itertools.combinations(range(30), 2))
    assert (pairs.whole, int(pairs.same.sum())) == (True, 6 * 10)


def test_of_many_pairs_as_many_of_each_kind_are_drawn() -> None:
    people = np.repeat(np.arange(120), 30)
    pairs = draw_pairs(people, 0)
    assert (len(pairs), pairs.whole) == (MOST_PAIRS // 2 + int(pairs.same.sum()), False)
    assert int(pairs.same.sum()) == 120 * 190  # twenty pictures of each
    assert len({(a, b) for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}) == len(pairs)
    assert (pairs.first != pairs.second).all()
    assert np.array_equal(draw_pairs(people, 0).first, pairs.first)
    assert not np.array_equal(draw_pairs(people, 1).first, pairs.first)


@pytest.mark.parametrize(("people", "lacking"), [([0, 0, 0], "of different people"), ([0, 1, 2], "of the same person")])
def test_pairs_of_both_kinds_are_needed(people: list[int], lacking: str) -> None:
    with pytest.raises(DataError) as caught:
        draw_pairs(np.array(people), 0)
    assert str(caught.value) == (
        f"The 3 pictures have no two {lacking}; expected two or more people, and one with two or more."
    )


def test_pictures_without_pairs_are_refused_before_one_is_looked_at(tmp_path: Path) -> None:
    class Unseen:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int, /) -> Any:
            raise AssertionError(index)

    with pytest.raises(DataError) as caught:
        evaluate_verification([verifier(tmp_path)], Dataset(name="d", items=Unseen(), labels=np.arange(3)))
    assert str(caught.value) == (
        "The 3 pictures of d have no two of the same person; expected two or more people, and one with two or more."
    )


def test_a_trial_offers_another_picture_of_one_person_and_one_of_each_other() -> None:
    people = np.array([0, 0, 0, 1, 1, 2, 3])  # of the last two there is one picture, which is never asked about
    trials = draw_trials(people, 4, 0, count=200)
    assert trials.offered.shape == (200, 4)
    assert (people[trials.offered[:, 0]] == people[trials.asked]).all()
    assert (trials.offered[:, 0] != trials.asked).all()
    assert all(len(set(people[row])) == 4 for row in trials.offered)
    assert set(people[trials.asked]) == {0, 1}
    assert len(set(trials.asked.tolist())) == 5
    assert np.array_equal(draw_trials(people, 4, 0, count=200).offered, trials.offered)
    with pytest.raises(DataError) as caught:
        draw_trials(people, 5, 0)
    assert str(caught.value) == "There are 4 people; expected 5 or more, and one with two pictures or more."


def test_a_file_that_cannot_decide_is_not_right() -> None:
    trials = draw_trials(PEOPLE, 4, 0)
    assert not right_answers(np.zeros((10, 4))).any()
    values = PEOPLE[:, None] * np.ones((1, 3)) + np.random.default_rng(0).normal(0, 0.01, (30, 3))
    assert right_answers(pixels_likeness(values, trials)).all()
    blind = np.random.default_rng(0).normal(0, 1, (30, 3))
    assert 0.1 < right_answers(pixels_likeness(blind, trials)).mean() < 0.4  # of four


def test_a_threshold_is_finite_and_the_card_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Verification(threshold=float("nan"))
    assert str(caught.value) == "The threshold of a verification is a finite number; got nan."
    card = open_artifact(verifier(tmp_path)).card
    assert load_card(dump_card(card)) == card
    assert card.verification is not None
    assert (card.verification.likeness(3.0), replace(card.verification, measure=Measure.LOGIT).likeness(3.0)) == (-3, 3)


def test_files_are_measured_and_compared_on_the_same_pairs(tmp_path: Path) -> None:
    data = open_data(str(pictures(tmp_path / "people")), part=Part.EVALUATION, data_dir=None)
    good, blind = verifier(tmp_path), verifier(tmp_path, name="blind", gain=0.0)
    report = evaluate_by_task([good, blind], data)
    assert isinstance(report, VerificationReport)
    first, second = report.entries
    assert (report.count, report.people, len(report.pairs)) == (20, 5, 190)
    assert first.result.eer < 0.05
    assert first.result.auc > 0.99
    assert first.difference is None
    assert (second.result.eer, second.result.auc) == (0.5, 0.5)  # a tower that tells nothing is seen
    assert second.difference is not None
    assert second.difference["eer_difference_low"] > 0.3
    assert [trial.ways for trial in first.result.one_shot] == [4]
    assert first.result.one_shot[0].accuracy > 0.97
    assert second.result.one_shot[0].accuracy == 0  # it never decides
    assert first.result.one_shot[0].pixels == second.result.one_shot[0].pixels > 0.97
    embeddings = [np.asarray(open_verifiers([good], preprocess=None, threads=1)[0].embed(np.asarray(item)))
                  for item in data.items]  # type: ignore[attr-defined]  # fmt: skip
    gaps = [-float(np.square(embeddings[a] - embeddings[b]).sum())
            for a, b in zip(report.pairs.first, report.pairs.second, strict=True)]  # fmt: skip
    np.testing.assert_allclose(first.result.likeness, gaps, atol=1e-5)
    accepted = float(np.mean(np.array(gaps)[~report.pairs.same] >= -0.1))
    assert first.metrics()["false_accepts"] == accepted


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """One whose head compares embeddings of 4,096 numbers, any number of pairs at a time."""
    folder = tmp_path_factory.mktemp("wide")
    (small,) = open_verifiers([verifier(folder)], preprocess=None, threads=1)
    return replace(small, head=open_runtime(head(folder / "wide.onnx", size=4096, batch=None), threads=1))


def test_pairs_compared_in_several_batches_are_compared_as_in_one(wide: Verifier) -> None:
    people, random = np.repeat(np.arange(16), 5), np.random.default_rng(0)
    embeddings = random.normal(0, 1, (80, 4096)).astype(np.float32)
    pairs, trials = draw_pairs(people, 0), trials_of(people, 0)
    found = judged(wide, embeddings, pairs, trials, [random.random(trial.offered.shape) for trial in trials], seed=0)
    assert len(pairs) == 3160  # three whole batches and a part
    (told,) = wide.head.run({"first": embeddings[pairs.first], "second": embeddings[pairs.second]}).values()
    np.testing.assert_array_equal(found.likeness, -told[:, 0].astype(np.float64))
    for trial, told_of in zip(trials, found.one_shot, strict=True):
        gaps = np.square(embeddings[trial.offered] - embeddings[trial.asked][:, None]).sum(axis=2)
        assert told_of.accuracy == right_answers(-gaps).mean()


def test_comparing_all_pairs_takes_memory_for_a_batch_of_them_alone(wide: Verifier) -> None:
    people = np.repeat(np.arange(40), 5)
    embeddings = np.random.default_rng(0).normal(0, 1, (200, 4096)).astype(np.float32)
    pairs = draw_pairs(people, 0)
    assert len(pairs) * embeddings[0].nbytes * 2 > 650e6
    tracemalloc.start()
    try:
        judged(wide, embeddings, pairs, (), (), seed=0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 350e6  # 200 of them for the interval


def test_the_interval_of_trials_counts_people() -> None:
    """Of draws of people with easy and hard ones, nineteen in twenty intervals hold the share of all people."""
    people, random, held = np.repeat(np.arange(30), 2), np.random.default_rng(0), 0
    pairs, trials = draw_pairs(people, 0), draw_trials(people, 9, 0)
    for _ in range(100):
        easy = random.random(30) < 0.7
        told = np.zeros(trials.offered.shape)
        told[:, 0] = np.where(easy[people[trials.asked]], 1, -1)
        likeness = pairs.same.astype(float)
        result = verification.evaluate_verification(likeness, pairs, [(trials, told, told)], threshold=None, seed=0)
        (found,) = result.one_shot
        held += found.low <= 0.7 <= found.high
    assert held >= 90


def test_evaluate_tells_it_on_the_command_line(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "people", people=4)
    done = edgekit("evaluate", verifier(tmp_path), "--data", folder, "--json", "-")
    (row,) = json.loads(done.stdout)["results"]
    assert (row["n"], row["people"], row["pairs"], row["all_pairs"]) == (16, 4, 120, True)
    assert set(row["metrics"]) == {
        "eer", "eer_low", "eer_high", "auc", "false_accepts", "false_rejects",
        "one_shot_4", "one_shot_4_low", "one_shot_4_high", "pixels_4",
    }  # fmt: skip
    table = edgekit("evaluate", verifier(tmp_path), "--data", folder)
    assert "120 pairs (all) of 16 pictures of 4 people of people" in " ".join(table.stdout.split())
    assert "nearest pixels" in table.stdout
    few = "The pictures show 4 people: with fewer than 10 figures and intervals say little of others.\n"
    assert done.stderr == table.stderr == few
    many = edgekit("evaluate", verifier(tmp_path), "--data", pictures(tmp_path / "many", people=10))
    assert (many.returncode, many.stderr) == (0, "")


def _without_head(folder: Path) -> str:
    path = verifier(folder)
    (folder / "v.head.onnx").unlink()
    return f"{path} needs v.head.onnx in the same folder; copy both files of the model."


def _other_head(folder: Path) -> str:
    path = verifier(folder)
    head(folder / "v.head.onnx", size=5)
    return f"{folder / 'v.head.onnx'} is not the file that {path} was made with; copy both files of one conversion."


def _misfit(folder: Path) -> str:
    other = head(folder / "other.onnx", size=5)
    path = verifier(folder, head=Companion(name="other.onnx", sha256=sha256_file(other)))
    return (
        f"{other} takes {{'first': (5,), 'second': (5,)}} and gives 1 outputs; expected first and second of the shape "
        f"that {path} gives, (12,), and one output."
    )


def _no_companion(folder: Path) -> str:
    return f"The card of {verifier(folder, head=None)} names no second file; train, build or convert the model anew."


@pytest.mark.parametrize("broken", [_without_head, _other_head, _misfit, _no_companion])
def test_a_tower_without_its_head_is_refused(broken: Any, tmp_path: Path) -> None:
    message = broken(tmp_path)
    with pytest.raises(InputError) as caught:
        open_verifiers([tmp_path / "v.onnx"], preprocess=None, threads=1)
    assert str(caught.value) == message


@pytest.mark.parametrize("told", [0, 12])
def test_a_head_that_tells_no_single_number_is_refused(told: int, tmp_path: Path) -> None:
    other = long_head(tmp_path / "other.onnx", told=told)
    path = verifier(tmp_path, head=Companion(name="other.onnx", sha256=sha256_file(other)))
    with pytest.raises(InputError) as caught:
        open_verifiers([path], preprocess=None, threads=1)
    assert str(caught.value) == f"{other} gives numbers of the shape ({told},) for a pair; expected one number."
    other = long_head(other, told=told, open_shape=True)
    path = verifier(tmp_path, head=Companion(name="other.onnx", sha256=sha256_file(other)))
    (opened,) = open_verifiers([path], preprocess=None, threads=1)
    with pytest.raises(InputError) as caught:
        opened.likeness(*np.zeros((2, 1, 12), np.float32))
    assert str(caught.value) == (
        f"The second file of {path} gives numbers of the shape ({told},) for a pair; expected one number."
    )


def test_a_file_that_compares_nothing_is_refused(tmp_path: Path) -> None:
    path = verifier(tmp_path).with_name("v.head.onnx")
    with pytest.raises(InputError) as caught:
        open_verifiers([path], preprocess=None, threads=1)
    assert str(caught.value) == (
        f"The card of {path} does not say what compares its embeddings; take a model for verification that edgekit "
        "trained, and its first file."
    )


def test_a_file_of_another_task_is_refused(tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", [1, 1, 1])
    with pytest.raises(InputError) as caught:
        open_verifiers([path], preprocess=None, threads=1)
    assert str(caught.value) == f"{path} is for anomaly-detection; expected a model for verification."


def test_labels_are_refused_since_the_model_knows_nobody(tmp_path: Path) -> None:
    data = Dataset(name="d", items=[np.zeros((8, 8, 3), np.uint8)] * 2, labels=np.array([0, 1]))
    with pytest.raises(InputError) as caught:
        evaluate_verification([verifier(tmp_path)], data, labels=("a", "b"))
    assert str(caught.value) == (
        "--labels are the names of classes, which no model for verification has; leave them out."
    )
