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

from edgekit.card import Provenance
from edgekit.data import Part, data_ref, item_digest, open_data
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


def test_passes_are_as_many_as_asked_for(tmp_path: Path) -> None:
    data, strange = stripes(tmp_path), blots(tmp_path)
    path = classifier(tmp_path / "sample.onnx", data)
    found = {}
    for options in ((), ("--passes", 2), ("--passes", 2, "--ood", strange)):
        done = edgekit("compare", path, path, "--data", data, *options, "--json", "-")
        assert (done.returncode, done.stderr) == (0, "")
        (found[len(options)],) = json.loads(done.stdout)["results"]
    assert [found[number]["passes"] for number in (0, 2, 4)] == [20, 2, 2]
    assert found[0]["metrics"]["mutual_information"] != found[2]["metrics"]["mutual_information"]
    same = edgekit("evaluate", path, "--data", data, "--passes", 2, "--json", "-")
    (alone,) = json.loads(same.stdout)["results"]
    assert {name: found[2]["metrics"][name] for name in alone["metrics"]} == alone["metrics"]
    assert "ood" not in found[2]
    assert [found[4][name] for name in ("ood", "ood_n", "ood_left_out")] == ["blots", 40, 0]


def test_passes_of_files_without_noise_or_of_data_without_labels_are_refused(tmp_path: Path) -> None:
    data, strange = stripes(tmp_path), blots(tmp_path)
    sample = classifier(tmp_path / "sample.onnx", data)
    path, table = detector(tmp_path / "d.onnx", [0, 1, 1]), write_csv(tmp_path / "t.csv")
    for first, where, told in (
        (path, table, "--passes and --ood are for classifiers; leave them out for anomaly-detection."),
        (sample, strange, "The data set blots has no labels; expected "),
    ):
        done = edgekit("compare", first, first, "--data", where, "--passes", 3)
        assert done.returncode == 2
        assert told in done.stderr
        assert done.stderr.count("\n") == 1


def test_what_a_file_has_seen_of_other_data_is_told(tmp_path: Path) -> None:
    data, strange = stripes(tmp_path), blots(tmp_path)
    used = [item_digest(item) for item in open_data(str(strange), part=Part.EVALUATION, data_dir=None)][:3]
    provenance = Provenance(calibration=data_ref("blots", used, seed=0, keep_items=True))
    path = classifier(tmp_path / "sample.onnx", data, provenance=provenance)
    sentence = "3 of 40 items of blots calibrated or trained one of these files; they are left out.\n"
    for command in (("evaluate", path), ("compare", path, path)):
        done = edgekit(*command, "--data", data, "--ood", strange, "--json", tmp_path / "told.json")
        assert (done.returncode, done.stderr) == (0, sentence)
        (row,) = json.loads((tmp_path / "told.json").read_bytes())["results"]
        assert (row["n"], row["left_out"], row["ood_n"], row["ood_left_out"]) == (60, 0, 37, 3)
        assert "from 37 items of blots" in " ".join(done.stdout.split())


def test_other_data_that_cannot_be_read_are_refused_as_own_data_are(tmp_path: Path) -> None:
    data, folder = stripes(tmp_path), tmp_path / "photos"
    path = classifier(tmp_path / "sample.onnx", data)
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no picture")
    done = edgekit("evaluate", path, "--data", data, "--ood", folder)
    assert done.returncode == 2
    assert done.stderr.startswith(f"edgekit: {folder / 'a.png'} ")
    assert done.stderr.count("\n") == 1


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


@pytest.mark.parametrize("asked", [("--ood", "digits"), ("--passes", "3")])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--engine", "onnxruntime"),
            "--ood and --passes look at files here by their own engines; leave --engine ",
        ),
        (("--device", "ssh://nobody@nowhere"), "--ood and --passes look at files here by their own engines; leave "),
        (("--layers",), "--layers looks into files here by their own engines; leave --engine, --device, --ood and "),
    ],
)
def test_other_data_and_passes_are_looked_at_here(
    asked: tuple[str, ...], options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    path = detector(tmp_path / "d.onnx", np.ones(3))
    done = edgekit("compare", path, path, "--data", write_csv(tmp_path / "t.csv"), *asked, *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"edgekit: {message}")
    assert done.stderr.count("\n") == 1


def test_a_loss_that_cannot_be_told_takes_no_comparison_away(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", [0, 1, 1]), tmp_path / "t.csv"
    data.write_text("heat,noise,speed,label\n" + "1,2,3,0\n" * 5)
    done = edgekit("compare", path, path, "--data", data, "--json", "-")
    assert done.returncode == 0
    assert done.stderr.startswith("What the task loses is not told: All 5 items are normal; ")
    assert json.loads(done.stdout)["results"][0]["metrics"]["max_abs"] == 0
