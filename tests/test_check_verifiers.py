"""Regression tests of models that compare pictures: all pairs then and now, and people drawn again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_project import RECORD, change_card, project
from command import edgekit
from tiny_verifier import PIXELS, pictures, verifier

from edgekit.artifact import open_artifact
from edgekit.card import DataRef, Provenance
from edgekit.check import CheckReport, Line, Verdict, check, init, update
from edgekit.check.baseline import Figure, Metric, read_baseline
from edgekit.check.verdicts import Case, by_scores
from edgekit.data import Part, item_digest, open_data
from edgekit.errors import DataError, InputError
from edgekit.identities import Measure
from edgekit.measure.evaluate_verification import evaluate_verification
from edgekit.tasks.trials import Pairs, draw_pairs
from edgekit.tasks.verification import equal_error_rate, mistakes_of_people

MODEL = "v.onnx"


def start(folder: Path, *, people: int = 10, noise: int = 50, gain: float = 1.0) -> Path:
    """``folder`` with pictures of people, a verifier of them and its baseline."""
    init([verifier(folder, gain=gain)], str(pictures(folder / "people", people=people, noise=noise)), output_dir=folder)
    return folder


def lines(folder: Path) -> dict[str, Line]:
    return {line.name: line for line in check(folder / "edgekit.toml").lines}


def regressed(report: CheckReport) -> list[str]:
    return [line.name for line in report.regressed]


def test_an_honest_run_passes_every_line(tmp_path: Path) -> None:
    found = lines(start(tmp_path))
    assert {name: line.found.verdict for name, line in found.items()} == dict.fromkeys(
        ("eer", "size", "preprocessing"), Verdict.PASS
    )
    (told,) = evaluate_verification([tmp_path / MODEL], str(tmp_path / "people")).entries
    baseline = read_baseline(tmp_path / "baseline.json")
    record, pairs = baseline.models[MODEL], baseline.data.pairs
    assert pairs is not None
    assert (len(pairs.people), len(pairs.first), len(record.scores[0])) == (40, 780, 780)
    assert pairs.pairs().whole
    assert record.metric == Figure(value=told.result.eer, low=told.result.eer_low, high=told.result.eer_high)
    assert found["eer"].sentence() == (
        f"v.onnx eer: pass: {100 * told.result.eer:.2f} %, baseline {100 * told.result.eer:.2f} %, budget "
        f"{100 * told.result.eer + 1:.2f} % or less (loss of 0.00 to 0.00 points (95 %); randomization p 1)"
    )
    text = (tmp_path / "edgekit.toml").read_text()
    assert "# A loss in fewer than 6 of the 10 people is not told from chance.\nmax_drop = 0.01" in text
    assert not any(name in text for name in ("max_relative_loss", "min_agreement", "min_sqnr_db"))


def make_blind(path: Path) -> None:
    verifier(path.parent, gain=0)


def turn_round(path: Path) -> None:
    verifier(path.parent, measure=Measure.LOGIT)


def flatten(path: Path) -> None:
    """As a card would that tells a scale a thousand million times too small: all pictures become one."""
    change_card(path, preprocessing=replace(PIXELS, scale=(1 / 255e9,), offset=(1.0,)))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [(make_blind, ["eer"]), (turn_round, ["eer"]), (flatten, ["eer", "preprocessing"])],
)
def test_what_got_worse_is_named(damage: Callable[[Path], None], expected: list[str], tmp_path: Path) -> None:
    damage(start(tmp_path) / MODEL)
    assert regressed(check(tmp_path / "edgekit.toml")) == expected


def test_the_command_fails_and_names_the_line(tmp_path: Path) -> None:
    make_blind(start(tmp_path) / MODEL)
    done = edgekit("check", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "edgekit: 1 of 3 lines got worse: v.onnx eer."
    done = edgekit("check", "--update", "--reason", "blind", cwd=tmp_path)
    assert f"v.onnx: 50.00 %, {open_artifact(tmp_path / MODEL).model_bytes:,} bytes" in done.stderr


def test_a_model_for_another_task_is_told(tmp_path: Path) -> None:
    project(tmp_path)
    init([verifier(tmp_path)], str(tmp_path / "photos.npz"), output_dir=tmp_path)
    shutil.copy(tmp_path / "small.int8.onnx", tmp_path / MODEL)
    with pytest.raises(InputError) as caught:
        check(tmp_path / "edgekit.toml")
    assert str(caught.value) == (
        "baseline.json has eer of its models, and these are for another task, which is judged by top1; restore them, "
        "or record why with: edgekit check --update --reason TEXT."
    )


def test_a_better_verifier_improves(tmp_path: Path) -> None:
    start(tmp_path, gain=0)
    verifier(tmp_path)
    assert lines(tmp_path)["eer"].found.verdict is Verdict.IMPROVE
    assert update(tmp_path / "edgekit.toml", reason="better").metric is Metric.EER


def test_few_people_tell_nothing_for_sure(tmp_path: Path) -> None:
    make_blind(start(tmp_path, people=5) / MODEL)
    found = lines(tmp_path)["eer"].found
    assert found.verdict is Verdict.PASS
    assert found.figures["loss"] > 0.3
    assert found.why.endswith("; beyond the budget, and not to be told from chance")


def test_pairs_of_pictures_that_calibrate_now_are_left_out_of_both_sides(tmp_path: Path) -> None:
    start(tmp_path)
    data = open_data(str(tmp_path / "people"), part=Part.EVALUATION, data_dir=None)
    seen = tuple(item_digest(data.items[place]) for place in (3, 17))
    used = DataRef(name="train", digest="0" * 64, count=2, seed=0, items=seen)
    change_card(tmp_path / MODEL, provenance=Provenance(calibration=used))
    report = check(tmp_path / "edgekit.toml")
    assert (report.seen.left_out, len(report.seen.places)) == (2, 38)
    assert len(report.seen.models[MODEL].scores[0]) == 38 * 37 // 2
    found = report.lines[0].found
    assert (found.figures["loss"], found.figures["loss_high"]) == (0, 0)


def test_the_pairs_of_the_baseline_are_compared_and_no_others(tmp_path: Path) -> None:
    path = start(tmp_path) / "baseline.json"
    data = json.loads(path.read_text())
    pairs, record = data["data"]["pairs"], data["models"][MODEL]
    data["data"]["pairs"] = {**pairs, "first": pairs["first"][::2], "second": pairs["second"][::2]}
    record["scores"] = [record["scores"][0][::2]]
    path.write_text(json.dumps(data))
    report = check(tmp_path / "edgekit.toml")
    assert len(report.seen.models[MODEL].scores[0]) == 390
    assert report.lines[0].found.figures["loss_high"] == 0
    known = read_baseline(path).data.pairs
    assert known is not None
    assert not known.pairs().whole


def test_drawn_pairs_are_the_baselines_too() -> None:
    pairs = draw_pairs(np.arange(400) // 4, seed=0)
    assert not pairs.whole
    fewer, kept = pairs.among(range(1, 400))
    assert (kept.sum(), kept.all()) == (len(fewer), False)
    assert np.array_equal(fewer.first + 1, pairs.first[kept])
    assert np.array_equal(fewer.same, pairs.same[kept])


def drawn(random: Any, people: int, noise: float) -> tuple[Any, Pairs]:
    """Likeness by two networks that learned the same, the second with ``noise`` in its pictures."""
    shown = np.arange(people).repeat(3)
    pairs, centres = draw_pairs(shown, 0), random.normal(0, 1, (people, 6))
    told = []
    for spread in (0.8, noise):
        learned = (centres + random.normal(0, 0.35, centres.shape))[shown]
        rows = learned + random.normal(0, spread, learned.shape)
        told.append(-np.square(rows[pairs.first] - rows[pairs.second]).sum(axis=1))
    return told, pairs


def judged(told: Any, pairs: Pairs, limit: float) -> Verdict:
    before, now = (replace(RECORD, scores=(tuple(likeness.tolist()),)) for likeness in told)
    places = tuple(range(len(pairs.people)))
    return by_scores(Case(metric=Metric.EER, base=before, now=now, places=places, pairs=pairs), limit).verdict


def test_two_verifiers_of_one_rate_seldom_regress_and_a_worse_one_does() -> None:
    """The former without any budget."""
    random = np.random.default_rng(5)
    verdicts = [judged(*drawn(random, 12, 0.8), 0.0) for _ in range(25)]
    assert verdicts.count(Verdict.REGRESS) <= 2
    worse = [judged(*drawn(random, 20, 1.6), 0.01) for _ in range(6)]
    assert worse.count(Verdict.REGRESS) >= 5


def test_mistakes_of_people_are_the_rate() -> None:
    (likeness, _), pairs = drawn(np.random.default_rng(0), 12, 0.8)
    mistakes = mistakes_of_people(likeness, pairs)
    assert mistakes.shape == (12,)
    assert mistakes.mean() == pytest.approx(equal_error_rate(likeness, pairs.same)[0], abs=0.01)
    one = likeness.copy()
    one[(pairs.people[pairs.first] == 3) & pairs.same] = likeness.min()  # who is told from herself
    assert np.argmax(mistakes_of_people(one, pairs) - mistakes) == 3


def test_options_of_classes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n")
    with pytest.raises(InputError) as caught:
        init(
            [verifier(tmp_path)],
            str(pictures(tmp_path / "people")),
            output_dir=tmp_path,
            labels=tmp_path / "labels.txt",
        )
    assert str(caught.value) == "labels are the names of classes, which no model for verification has; leave them out."


def test_pictures_without_a_pair_cannot_begin(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^The 4 pictures of people have no two of different people; expected two "):
        init([verifier(tmp_path)], str(pictures(tmp_path / "people", people=1)), output_dir=tmp_path)


ITEMS = "The baseline's pairs are not two of its items each; make it anew."


@pytest.mark.parametrize(
    ("where", "damaged", "sentence"),
    [
        ("data", {"pairs": None}, ITEMS),
        ("data", {"pairs": {"first": [0], "second": [99], "people": [0, 0]}}, ITEMS),
        ("data", {"pairs": {"first": [0], "second": [1, 2], "people": [0, 0, 1]}}, ITEMS),
        ("data", {"pairs": {"first": [0], "second": [1], "people": [0, 0]}}, ITEMS),
        ("data", {"pairs": {"first": [-1], "second": [1], "people": [0] * 40}}, ITEMS),
        ("data", {"pairs": {"first": [0], "second": [40], "people": [0] * 40}}, ITEMS),
        ("data", {"pairs": {"first": [0], "second": [1], "people": [1 << 80] * 40}}, ITEMS),
        ("model", {"scores": [[1e200] * 780]}, "The baseline has a score beyond 1e+100, which no model gives; make "),
        ("model", {"scores": [[0.5]]}, "The baseline's answers of v.onnx are not one for each of its items; make it "),
    ],
)
def test_a_baseline_without_its_pairs_is_refused(
    where: str, damaged: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = start(tmp_path) / "baseline.json"
    data = json.loads(path.read_text())
    (data["data"] if where == "data" else data["models"][MODEL]).update(damaged)
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        read_baseline(path)
    assert str(caught.value).startswith(sentence)
