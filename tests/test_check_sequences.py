"""Regression tests of models of texts and series: windows and answers, then and now."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_project import change_card, project
from command import edgekit
from test_check_verifiers import RECORD
from tiny_sequences import answerer, forecaster, generator, stepper

from edgekit.artifact import open_artifact
from edgekit.card import DataRef, Provenance
from edgekit.check import CheckReport, Verdict, check, init
from edgekit.check.baseline import Metric, read_baseline
from edgekit.check.scored import BY_METRIC, SCORED, Change, Ties
from edgekit.check.verdicts import Case, by_scores
from edgekit.data import item_digest
from edgekit.data.windows import Windows
from edgekit.errors import DataError, InputError
from edgekit.measure.blocks import block_sums
from edgekit.measure.evaluate_kinds import evaluate_kind
from edgekit.sequences import FORECASTING, TEXT_GENERATION

NEXT = np.roll(np.eye(3), 1, axis=1) * 3
"""Logits of the bigram model of a text that goes a, b, c, a, most of the time."""


def text(path: Path, *, count: int = 4000) -> Path:
    """Letters of which each is mostly the one after the letter before it; evaluated is the last tenth."""
    random, now, letters = np.random.default_rng(0), 0, []
    for _ in range(count):
        now = (now + 1) % 3 if random.random() < 0.8 else int(random.integers(3))
        letters.append("abc"[now])
    path.write_text("".join(letters))
    return path


def series(path: Path, *, count: int = 3000) -> Path:
    """A wave with noise, of which the next value is known better than by the last."""
    random = np.random.default_rng(0)
    values = 50 + 10 * np.sin(np.arange(count) / 3) + random.normal(0, 0.5, count)
    return dated(path, values)


def dated(path: Path, values: Any) -> Path:
    rows = (f"{date(2000, 1, 1) + timedelta(days=day)},{value:.4f}" for day, value in enumerate(values))
    path.write_text("\n".join(["date,close", *rows]) + "\n")
    return path


def sums(path: Path, *, count: int = 600) -> Path:
    """Three letters, to be answered with those that follow each."""
    random = np.random.default_rng(0)
    rows = ["".join("abc"[letter] for letter in random.integers(0, 3, 3)) for _ in range(count)]
    path.write_text("input,output\n" + "\n".join(f"{row},{row.translate(AFTER)}" for row in rows) + "\n")
    return path


AFTER = str.maketrans("abc", "bca")
ONLY_A = NEXT * np.array([[1.0], [0.0], [0.0]])
Maker = Callable[[Path, Any], Path]
TASKS: dict[str, tuple[Maker, Any, Any, Callable[[Path], Path], str, Metric]] = {
    "a text generator": (generator, NEXT, ONLY_A, text, "b.txt", Metric.NATS),
    "one of a time step": (stepper, np.roll(NEXT, 1, axis=1) / 2, NEXT, text, "b.txt", Metric.NATS),
    "a forecast": (forecaster, [-1, 2], [0, 1.05], series, "s.csv", Metric.MSE_RATIO),
    "answers": (answerer, NEXT, ONLY_A, sums, "a.csv", Metric.EXACT),
}
BUDGETS = {
    Metric.NATS: "max_relative_loss = 0.02",
    Metric.MSE_RATIO: "max_relative_loss = 0.02",
    Metric.EXACT: "max_drop = 0.01",
}


def start(folder: Path, make: Maker, how: Any, data: Path, **options: Any) -> Path:
    init([make(folder / "m.onnx", how)], str(data), output_dir=folder, **options)
    return folder


def regressed(report: CheckReport) -> Sequence[str]:
    return [line.name for line in report.regressed]


@pytest.mark.parametrize("name", TASKS)
def test_an_honest_run_passes_and_what_got_worse_is_named(name: str, tmp_path: Path) -> None:
    make, good, bad, write, file, metric = TASKS[name]
    data = write(tmp_path / file)
    start(tmp_path, make, good, data)
    report = check(tmp_path / "edgekit.toml")
    assert {line.name: line.found.verdict for line in report.lines} == dict.fromkeys(
        (metric.value, "size", "preprocessing"), Verdict.PASS
    )
    model = tmp_path / "m.onnx"
    (told,) = evaluate_kind([model], str(data), task=str(open_artifact(model).card.task)).entries
    assert report.seen.models["m.onnx"].metric.value == told.metrics()[metric.value]
    assert report.lines[0].found.baseline == metric.text(told.metrics()[metric.value])
    assert BUDGETS[metric] in (tmp_path / "edgekit.toml").read_text()
    make(tmp_path / "m.onnx", bad)
    assert regressed(check(tmp_path / "edgekit.toml")) == [metric.value]
    start(tmp_path, make, bad, data, force=True)
    make(tmp_path / "m.onnx", good)
    assert check(tmp_path / "edgekit.toml").lines[0].found.verdict is Verdict.IMPROVE


@pytest.mark.parametrize("name", ["a text generator", "a forecast"])
def test_drawn_windows_are_found_again_and_those_that_calibrate_now_are_left_out(name: str, tmp_path: Path) -> None:
    make, good, _, write, file, metric = TASKS[name]
    start(tmp_path, make, good, write(tmp_path / file), samples=60, seed=3)
    data = read_baseline(tmp_path / "baseline.json").data
    assert len(data.indices) == 60 < data.total
    assert (list(data.indices) == sorted(data.indices)) is (metric is Metric.MSE_RATIO)
    used = DataRef(name="train", digest="0" * 64, count=2, seed=0, items=data.digests[5:7])
    change_card(tmp_path / "m.onnx", provenance=Provenance(calibration=used))
    report = check(tmp_path / "edgekit.toml")
    left = [place for place in range(60) if data.digests[place] not in used.items]
    assert list(report.seen.places) == left
    assert report.lines[0].found.figures["loss"] == 0


@pytest.mark.parametrize(("coefficients", "told"), [([0, 1], True), ([-1, 2], False)])
def test_forecasts_that_are_hardly_better_than_no_change_are_told(
    coefficients: list[float], told: bool, tmp_path: Path
) -> None:
    made = init([forecaster(tmp_path / "m.onnx", coefficients)], str(series(tmp_path / "s.csv")), output_dir=tmp_path)
    assert any("m.onnx are hardly better than no change at all" in note for note in made.notes) is told


def test_the_command_fails_and_names_the_line(tmp_path: Path) -> None:
    data = text(tmp_path / "b.txt")
    done = edgekit("check", "init", generator(tmp_path / "m.onnx", NEXT), "--data", data, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "A loss in fewer than 6 of the 99 windows is not told from chance." in done.stderr
    generator(tmp_path / "m.onnx", ONLY_A)
    done = edgekit("check", cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "edgekit: 1 of 3 lines got worse: m.onnx nats_per_token.",
    )


def test_of_a_series_blocks_of_windows_are_counted(tmp_path: Path) -> None:
    model, data = forecaster(tmp_path / "m.onnx", [-1, 2]), series(tmp_path / "s.csv")
    started = init([model], str(data), output_dir=tmp_path)
    blocks = len(block_sums(np.zeros(len(started.seen.places)), reach=started.seen.data.window))
    assert 1 < blocks < len(started.seen.places) / 2
    assert started.notes[0] == f"A loss in fewer than 6 of the {blocks} blocks of windows is not told from chance."


def test_windows_are_judged_as_long_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path, forecaster, [-1, 2], series(tmp_path / "s.csv"))
    scored, seen = BY_METRIC[Metric.MSE_RATIO], list[Ties]()

    def change(before: Any, now: Any, ties: Ties) -> Change:
        seen.append(ties)
        return scored.change(before, now, ties)

    monkeypatch.setattr("edgekit.check.verdicts.BY_METRIC", {Metric.MSE_RATIO: replace(scored, change=change)})
    check(tmp_path / "edgekit.toml")
    assert [ties.window for ties in seen] == [2]


def test_windows_of_another_length_are_other_items(tmp_path: Path) -> None:
    start(tmp_path, generator, NEXT, text(tmp_path / "b.txt"))
    generator(tmp_path / "m.onnx", NEXT, length=5)
    with pytest.raises(DataError) as caught:
        check(tmp_path / "edgekit.toml")
    assert str(caught.value) == (
        "A window of b has 5 steps for these models, the baseline's had 4; restore it, or record why with: edgekit "
        "check --update --reason TEXT."
    )


def test_another_answer_is_other_data(tmp_path: Path) -> None:
    data = sums(tmp_path / "a.csv")
    start(tmp_path, answerer, NEXT, data)
    head, first, *rest = data.read_text().splitlines()
    data.write_text("\n".join([head, f"{first[:-1]}{'a' if first[-1] != 'a' else 'b'}", *rest]) + "\n")
    with pytest.raises(DataError, match=r"^The labels of a are not those of the baseline; "):
        check(tmp_path / "edgekit.toml")


def test_a_series_that_never_changes_is_refused(tmp_path: Path) -> None:
    dated(tmp_path / "s.csv", np.full(300, 5.0))
    with pytest.raises(DataError) as caught:
        start(tmp_path, forecaster, [0, 1], tmp_path / "s.csv")
    assert str(caught.value) == ("s never changes, beside which no forecast can be judged; give another series.")


@pytest.mark.parametrize("option", ["preprocess", "labels"])
def test_options_of_pictures_and_classes_are_refused(option: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n")
    given: dict[str, Any] = {"preprocess": "unit", "labels": tmp_path / "labels.txt"}
    with pytest.raises(InputError) as caught:
        start(tmp_path, generator, NEXT, text(tmp_path / "b.txt"), **{option: given[option]})
    assert str(caught.value) == ("preprocess and labels are of images and classes; leave them out for text-generation.")


def test_data_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        start(tmp_path, generator, NEXT, sums(tmp_path / "a.csv"))
    assert str(caught.value) == (
        "a is not what text-generation is measured on; expected a long text: a known name or a .txt file."
    )


def test_classifiers_are_not_judged_by_answers(tmp_path: Path) -> None:
    model = project(tmp_path) / "small.int8.onnx"
    with pytest.raises(InputError) as caught:
        init([model], str(sums(tmp_path / "a.csv")), output_dir=tmp_path)
    assert str(caught.value) == (
        "These models are for classification, and a is for others: give data with classes, or measure these with "
        "`edgekit evaluate` and `edgekit compare`."
    )


def forecasts(before: Any, now: Any, *, window: int) -> Verdict:
    unchanged = np.ones(len(before))
    base, today = (replace(RECORD, scores=(tuple(errors), tuple(unchanged))) for errors in (before, now))
    case = Case(metric=Metric.MSE_RATIO, base=base, now=today, places=tuple(range(len(before))), window=window)
    return by_scores(case, 0.0).verdict


def test_errors_that_last_are_not_taken_for_many() -> None:
    """Two forecasts that are equally good, each off for a while at a time; blocks are as long as that."""
    random, failed, alone = np.random.default_rng(0), 0, 0
    for _ in range(60):
        before, now = (random.normal(1, 0.3, 30).repeat(20) for _ in range(2))
        failed += forecasts(before, now, window=20) is Verdict.REGRESS
        alone += forecasts(before, now, window=1) is Verdict.REGRESS
    assert failed <= 5 < alone


def test_the_interval_and_the_p_of_a_change_agree_with_it() -> None:
    random = np.random.default_rng(0)
    before, noise = random.normal(3, 1, (400, 2)), random.normal(0, 0.3, 400)
    texts = SCORED[TEXT_GENERATION].change
    for gap in (0.1, -0.1):
        changed = texts(before, before + (gap + noise)[:, None], Ties())
        assert changed.low < changed.now - changed.before < changed.high
        assert changed.low * changed.high > 0
        assert changed.p < 0.01
    assert texts(before, before + (noise - noise.mean() + 0.005)[:, None], Ties()).p > 0.5
    errors = [np.column_stack([random.normal(mean, 0.3, 20).repeat(20), np.full(400, 4.0)]) for mean in (2, 3)]
    widths = []
    for window in (1, 20):
        changed = SCORED[FORECASTING].change(errors[0], errors[1], Ties(window=window))
        assert changed.now - changed.before == pytest.approx(5 / 16, rel=0.2)
        assert changed.low < changed.now - changed.before < changed.high < 2 * (changed.now - changed.before)
        widths.append(changed.high - changed.low)
    assert widths[1] > 1.2 * widths[0]


@pytest.mark.parametrize(
    ("low", "p", "verdict"), [(0.5, 0.04, Verdict.REGRESS), (-0.1, 0.04, Verdict.PASS), (0.5, 0.06, Verdict.PASS)]
)
def test_a_loss_needs_both_the_interval_and_the_p(
    low: float, p: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Change(before=1, now=2, low=low, high=3, p=p)
    told = replace(BY_METRIC[Metric.NATS], change=lambda *_: found)
    monkeypatch.setattr("edgekit.check.verdicts.BY_METRIC", {Metric.NATS: told})
    record = replace(RECORD, scores=((1.0,), (1.0,)))
    assert by_scores(Case(metric=Metric.NATS, base=record, now=record, places=(0,)), 0.02).verdict is verdict


def test_few_blocks_tell_nothing_for_sure() -> None:
    assert forecasts(np.ones(50), np.full(50, 2.0), window=20) is Verdict.PASS
    assert forecasts(np.ones(200), np.full(200, 2.0), window=20) is Verdict.REGRESS


@pytest.mark.parametrize(
    ("damaged", "sentence"),
    [
        ({"window": 0}, "The baseline has windows without steps; make it anew."),
        ({"window": -1}, "The baseline has windows without steps; make it anew."),
    ],
)
def test_a_baseline_without_its_windows_is_refused(damaged: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    path = start(tmp_path, forecaster, [-1, 2], series(tmp_path / "s.csv")) / "baseline.json"
    data = json.loads(path.read_text())
    data["data"] |= damaged
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        read_baseline(path)
    assert str(caught.value) == sentence


def test_windows_know_their_digests(tmp_path: Path) -> None:
    start(tmp_path, generator, NEXT, text(tmp_path / "b.txt"))
    data = read_baseline(tmp_path / "baseline.json").data
    assert data.window == 4
    assert data.digests[0] == item_digest(Windows((tmp_path / "b.txt").read_text()[3600:], 4, 4)[0])
