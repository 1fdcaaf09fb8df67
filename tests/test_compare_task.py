"""``edgekit compare`` tells what files lose of the metric of their task; each has a damaged file that loses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from tiny_bayes import blots, classifier, stripes
from tiny_ratings import data_of, recommender
from tiny_tables import detector, write_csv
from tiny_verifier import pictures, verifier

from edgekit.measure.compare_task import compare_task


def compared(reference: Path, other: Path, data: Path, *options: object) -> dict[str, Any]:
    done = edgekit("compare", reference, other, "--data", data, *options, "--json", "-")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["results"]
    metrics: dict[str, Any] = row["metrics"]
    return metrics


def test_a_detector_of_anomalies_loses_its_ranking(tmp_path: Path) -> None:
    whole, deaf = detector(tmp_path / "whole.onnx", [0, 1, 1]), detector(tmp_path / "deaf.onnx", [1, 1, 1])
    data = write_csv(tmp_path / "t.csv")
    lost = compared(whole, deaf, data)
    assert lost["pr_auc_difference_high"] < -0.5
    assert lost["roc_auc"] == 0.5
    assert lost["max_abs"] > 0
    assert compared(whole, whole, data)["pr_auc_difference"] == 0
    shown = edgekit("compare", whole, deaf, "--data", data).stdout
    assert "Outputs beside" in shown
    assert "Anomaly-detection on 60 items" in shown


def test_data_without_truth_tells_of_outputs_alone(tmp_path: Path) -> None:
    whole = detector(tmp_path / "whole.onnx", [0, 1, 1])
    assert "pr_auc" not in compared(whole, whole, write_csv(tmp_path / "t.csv", labelled=False))


def test_a_verifier_that_tells_nothing_errs_half_the_time(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "people")
    lost = compared(verifier(tmp_path), verifier(tmp_path, name="flat", gain=0.0), folder)
    assert lost["eer_difference_low"] > 0.2
    assert lost["eer"] == 0.5


def test_a_bayesian_classifier_loses_its_doubt(tmp_path: Path) -> None:
    data, strange = stripes(tmp_path), blots(tmp_path)
    whole = classifier(tmp_path / "whole.onnx", data)
    damaged = classifier(tmp_path / "damaged.onnx", data, shuffled=True)
    lost = compared(whole, damaged, data, "--ood", strange)
    assert lost["ood_auroc_difference_high"] < 0
    assert lost["nll_difference_low"] > 0
    assert "ece_difference" in lost
    assert "ood_auroc" not in compared(whole, damaged, data)


def test_a_recommender_is_further_off(tmp_path: Path) -> None:
    users = data_of(*((["1", "2", "3"], [5, 1, 4], [False, True, True]) for _ in range(6)))
    good, bad = (
        recommender(tmp_path / "good.onnx", [1, 0, 0.75, 0.5]),
        recommender(tmp_path / "bad.onnx", [0, 1, 0, 0.5]),
    )
    report = compare_task(good, [bad], users)
    assert report is not None
    metrics = report.results()[1]["metrics"]
    assert metrics["mse"] > 0.5
    assert metrics["mse_difference_low"] > 0


@pytest.mark.parametrize("options", [("--engine", "onnxruntime"), ("--device", "ssh://nobody@nowhere"), ("--layers",)])
def test_other_data_are_looked_at_here(options: tuple[str, ...], tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", np.ones(3))
    done = edgekit("compare", path, path, "--data", write_csv(tmp_path / "t.csv"), "--ood", "digits", *options)
    assert done.returncode == 2
    assert "--ood" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_loss_that_cannot_be_told_takes_no_comparison_away(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", [0, 1, 1]), tmp_path / "t.csv"
    data.write_text("heat,noise,speed,label\n" + "1,2,3,0\n" * 5)
    done = edgekit("compare", path, path, "--data", data, "--json", "-")
    assert done.returncode == 0
    assert done.stderr.startswith("What the task loses is not told: All 5 items are normal; ")
    assert json.loads(done.stdout)["results"][0]["metrics"]["max_abs"] == 0
