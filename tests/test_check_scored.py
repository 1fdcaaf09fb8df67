"""Regression tests of models whose items get scores: detectors of anomalies, and recommenders."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_project import change_card
from command import edgekit
from sklearn.metrics import average_precision_score
from test_check_pytest import run_pytest
from tiny_ratings import recommender, tastes
from tiny_tables import PLAIN, detector, write_csv

from edgekit.anomaly import Anomaly
from edgekit.artifact import open_artifact
from edgekit.check import CheckReport, Line, Verdict, check, init, update
from edgekit.check.baseline import Metric, read_baseline
from edgekit.errors import InputError
from edgekit.ratings import Ratings
from edgekit.tabular import Tabular
from edgekit.tasks.anomalies import average_precision, precisions

MODEL = "d.onnx"
HEAT, NONE = [0, 1, 1], [1, 1, 1]
"""What a detector makes again: all but the heat, which tells anomalies, or all, so that it tells none."""


def start(folder: Path, keep: Any = HEAT, *, count: int = 100) -> Path:
    """``folder`` with a table, a fifth of whose rows are anomalies, a detector of them and its baseline."""
    detector(folder / MODEL, keep, threshold=3.0)
    init([folder / MODEL], str(write_csv(folder / "t.csv", count=count)), output_dir=folder)
    return folder


def lines(folder: Path) -> dict[str, Line]:
    return {line.name: line for line in check(folder / "edgekit.toml").lines}


def regressed(report: CheckReport) -> list[str]:
    return [line.name for line in report.regressed]


def test_an_honest_run_passes_every_line(tmp_path: Path) -> None:
    found = lines(start(tmp_path))
    assert {name: line.found.verdict for name, line in found.items()} == dict.fromkeys(
        ("pr_auc", "agreement", "size", "preprocessing"), Verdict.PASS
    )
    record = read_baseline(tmp_path / "baseline.json").models[MODEL]
    scores, truth = np.array(record.scores)
    assert record.metric.value == pytest.approx(average_precision_score(truth, scores))
    assert record.metric.low <= record.metric.value <= record.metric.high
    assert record.classes == tuple((scores > 3).astype(int).tolist())
    assert found["pr_auc"].sentence() == (
        f"d.onnx pr_auc: pass: {record.metric.value:.5g}, baseline {record.metric.value:.5g}, budget "
        f"{0.98 * record.metric.value:.5g} or more (loss of 0.00 to 0.00 % (95 %); randomization p 1)"
    )
    assert "max_relative_loss = 0.02" in (tmp_path / "edgekit.toml").read_text()
    assert "max_drop =" not in (tmp_path / "edgekit.toml").read_text().split("[[models]]")[0].split("# A model")[0]


def make_deaf(path: Path) -> None:
    detector(path, NONE, threshold=3.0)


def raise_the_scores(path: Path) -> None:
    detector(path, [-3, 1, 1], threshold=3.0)  # sixteen times as large, in the same order


def lower_the_threshold(path: Path) -> None:
    change_card(path, anomaly=Anomaly(threshold=0.1, chosen="by hand"))


def move_a_column(path: Path) -> None:
    heat, *others = PLAIN.columns
    change_card(path, tabular=Tabular(columns=(replace(heat, mean=6.0), *others)))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (make_deaf, ["pr_auc", "agreement"]),
        (raise_the_scores, ["agreement"]),
        (lower_the_threshold, ["agreement"]),
        (move_a_column, ["pr_auc", "agreement", "preprocessing"]),
    ],
)
def test_what_got_worse_is_named(damage: Callable[[Path], None], expected: list[str], tmp_path: Path) -> None:
    damage(start(tmp_path) / MODEL)
    assert regressed(check(tmp_path / "edgekit.toml")) == expected


def test_the_command_fails_and_names_the_line(tmp_path: Path) -> None:
    make_deaf(start(tmp_path) / MODEL)
    done = edgekit("check", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "edgekit: 2 of 4 lines got worse: d.onnx pr_auc, d.onnx agreement."
    done = edgekit("check", "--update", "--reason", "deaf", cwd=tmp_path)
    assert f"d.onnx: 0.2, {open_artifact(tmp_path / MODEL).model_bytes:,} bytes" in done.stderr


def test_lines_are_tests_of_pytest(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run_pytest(tmp_path, "--edgekit", "-v")
    assert "edgekit.toml::pr_auc[d.onnx] PASSED" in done.stdout
    assert "4 passed" in done.stdout
    make_deaf(tmp_path / MODEL)
    done = run_pytest(tmp_path, "--edgekit")
    assert "d.onnx pr_auc: regress: 0.2, baseline" in done.stdout
    assert done.returncode == 1


def test_a_better_detector_improves(tmp_path: Path) -> None:
    start(tmp_path, NONE)
    detector(tmp_path / MODEL, HEAT, threshold=3.0)
    assert lines(tmp_path)["pr_auc"].found.verdict is Verdict.IMPROVE
    assert update(tmp_path / "edgekit.toml", reason="better").metric is Metric.PR_AUC


def test_few_anomalies_tell_nothing_for_sure(tmp_path: Path) -> None:
    make_deaf(start(tmp_path, count=10) / MODEL)
    found = lines(tmp_path)["pr_auc"].found
    assert found.verdict is Verdict.PASS
    assert found.figures["loss"] == pytest.approx(0.8)
    assert found.why.endswith("; beyond the budget, and not to be told from chance")


def test_columns_that_the_model_does_not_take_may_change(tmp_path: Path) -> None:
    head, *rows = (start(tmp_path) / "t.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([f"name,{head}", *(f"pump,{row}" for row in rows)]) + "\n")
    assert regressed(check(tmp_path / "edgekit.toml")) == []


def test_precisions_of_anomalies_are_the_average_precision() -> None:
    random = np.random.default_rng(0)
    for scores in (random.normal(0, 1, 50), random.integers(0, 4, 50).astype(np.float64), np.zeros(50)):
        flags = random.random(50) < 0.3
        assert precisions(scores, flags).mean() == pytest.approx(average_precision(scores, flags))
        assert len(precisions(scores, flags)) == flags.sum()


def test_options_of_images_are_refused(tmp_path: Path) -> None:
    detector(tmp_path / MODEL, HEAT)
    with pytest.raises(InputError) as caught:
        init([tmp_path / MODEL], str(write_csv(tmp_path / "t.csv")), output_dir=tmp_path, preprocess="unit")
    assert str(caught.value) == "preprocess and labels are of images and classes; leave them out for anomaly-detection."


@pytest.mark.parametrize("damaged", [{"scores": []}, {"scores": [[1.0], [0.0]]}, {"classes": []}])
def test_a_baseline_without_its_scores_is_refused(damaged: dict[str, Any], tmp_path: Path) -> None:
    path = start(tmp_path) / "baseline.json"
    data = json.loads(path.read_text())
    data["models"][MODEL] |= damaged
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        read_baseline(path)
    assert str(caught.value) == "The baseline's answers of d.onnx are not one for each of its items; make it anew."


def films(count: int = 12) -> Ratings:
    names = tuple(f"i{item}" for item in range(count))
    return Ratings(items=names, titles=names, lowest=1, highest=5, mean=3, means=(3.0,) * count)


def test_a_recommender_is_watched_by_its_error(tmp_path: Path) -> None:
    path = recommender(tmp_path / "r.onnx", np.full(12, 0.5), how=films())
    init([path], str(tastes(tmp_path / "ratings.csv", users=200)), output_dir=tmp_path)
    assert {name: line.found.verdict for name, line in lines(tmp_path).items()} == dict.fromkeys(
        ("mse", "size", "preprocessing"), Verdict.PASS
    )
    recommender(path, np.full(12, 0.95), how=films())
    report = check(tmp_path / "edgekit.toml")
    assert regressed(report) == ["mse"]
    assert report.lines[0].found.limit.endswith(" or less")
