"""Detectors of anomalies through real engines and the real command line: figures, verdicts, columns, canaries."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import edgekit
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score
from test_imports import ENGINES, HEAVY, loaded_after, running
from tiny_tables import detector, picture_detector, rows, table, write_csv

from edgekit.data import Dataset
from edgekit.demos.anomaly import find
from edgekit.errors import DataError, InputError
from edgekit.measure.anomaly_kind import score_of
from edgekit.measure.evaluate_by_task import METRICS, evaluate_by_task, task_of
from edgekit.measure.evaluate_kinds import KindReport
from edgekit.measure.predict import predict
from edgekit.report.read import read_results
from edgekit.tabular import FARTHEST

HEAT, NONE = [0, 1, 1], [1, 1, 1]
"""What a detector makes again: all but the heat, a third of whose square is the score, or all, which says nothing."""


def measured(paths: list[Path], data: Dataset, **options: Any) -> KindReport:
    report = evaluate_by_task(paths, data, **options)
    assert isinstance(report, KindReport)
    return report


def refused(paths: list[Path], data: Dataset) -> str:
    with pytest.raises((DataError, InputError)) as caught:
        evaluate_by_task(paths, data)
    return str(caught.value)


def test_a_detector_is_measured_by_its_ranking(tmp_path: Path) -> None:
    data, (values, labels) = table(200), rows(200)
    report = measured([detector(tmp_path / "d.onnx", HEAT, threshold=3.0)], data)
    (found,) = (entry.metrics() for entry in report.entries)
    scores = values[:, 0].astype(np.float64) ** 2 / 3
    assert found["pr_auc"] == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    told = scores > 3
    assert found["precision"] == pytest.approx(labels[told].mean())
    assert found["recall"] == pytest.approx(told[labels == 1].mean())
    assert (report.count, found["anomalies"], found["threshold"]) == (200, 40, 3)
    assert found["pr_auc_low"] <= found["pr_auc"] <= found["pr_auc_high"]
    title, columns, cells = report.table()
    assert title == "Anomaly-detection on 200 items of machines"
    assert columns[3:9] == ["PR-AUC", "95 %", "ROC-AUC", "precision %", "recall %", "F1 %"]
    assert cells[0][3] == f"{found['pr_auc']:.4f}"


def test_a_damaged_file_is_told_from_a_whole_one(tmp_path: Path) -> None:
    """One that makes everything again scores all alike, and one whose heat lost its sign is as good as before."""
    whole, deaf = detector(tmp_path / "whole.onnx", HEAT), detector(tmp_path / "deaf.onnx", NONE)
    report = measured([whole, deaf, detector(tmp_path / "other.onnx", [2, 1, 1])], table(200))
    first, second, third = (entry.metrics() for entry in report.entries)
    assert (second["pr_auc"], second["roc_auc"]) == (pytest.approx(0.2), 0.5)
    assert second["pr_auc_difference"] == pytest.approx(0.2 - first["pr_auc"])
    assert second["pr_auc_difference_high"] < 0
    assert (third["pr_auc_difference"], third["pr_auc_difference_low"], third["pr_auc_difference_high"]) == (0, 0, 0)
    assert "pr_auc_difference" not in first


def test_a_score_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    assert refused([detector(tmp_path / "d.onnx", [np.nan, 1, 1])], table()) == (
        "The model's score has 60 of 60 values that are NaN or infinite; expected finite numbers."
    )


def test_columns_of_a_table_are_found_by_name(tmp_path: Path) -> None:
    path, out = detector(tmp_path / "d.onnx", HEAT), []
    for order in ((0, 1, 2), (2, 0, 1)):
        data = write_csv(tmp_path / "t.csv", order=order)
        done = edgekit("evaluate", path, "--data", data, "--json", "-")
        assert done.returncode == 0, done.stderr
        out.append(json.loads(done.stdout)["results"][0])
    assert out[0]["metrics"] == out[1]["metrics"]
    assert (out[0]["task"], out[0]["n"]) == ("anomaly-detection", 60)


def with_others(path: Path, *, labelled: bool = True) -> Path:
    """The table of `write_csv` between columns that no model of numbers takes, dates in no order first."""
    path.parent.mkdir()
    head, *lines = write_csv(path, labelled=labelled).read_text().splitlines()
    others = (f"2026-01-{1 + 7 * number % 28:02},{line},pump {number}" for number, line in enumerate(lines))
    path.write_text("\n".join([f"file,{head},text", *others]) + "\n")
    return path


def test_columns_that_the_model_does_not_take_may_hold_anything(tmp_path: Path) -> None:
    path, plain = detector(tmp_path / "d.onnx", HEAT), write_csv(tmp_path / "t.csv")
    mixed = with_others(tmp_path / "mixed" / "t.csv")
    unlabelled = with_others(tmp_path / "unlabelled" / "t.csv", labelled=False)
    evaluated, compared, shown = (
        [edgekit(*verb, "--json", "-") for verb in verbs]
        for verbs in (
            [("evaluate", path, "--data", data) for data in (plain, mixed)],
            [("compare", path, path, "--data", data) for data in (plain, mixed)],
            [("demo", "anomaly", path, data) for data in (plain, mixed, unlabelled)],
        )
    )
    for done in (*evaluated, *compared, *shown):
        assert done.returncode == 0, done.stderr
    first, second = (json.loads(done.stdout)["results"][0]["metrics"] for done in evaluated)
    assert first == second
    for name in ("score", "columns"):
        told = [[top[name] for top in json.loads(done.stdout)["results"][0]["top"]] for done in shown]
        assert told[0] == told[1] == told[2]
    scores = [[p.said["score"] for p in predict(path, [data]).predictions] for data in (plain, mixed, unlabelled)]
    assert len(scores[0]) == 60
    assert scores[0] == scores[1] == scores[2]


def test_a_value_beyond_all_others_is_an_anomaly_and_no_end(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", HEAT), tmp_path / "t.csv"
    data.write_text("heat,noise,speed,label\n0.5,0,0,0\n1e30,0,0,1\n-1e300,0,0,1\n0.1,0,0,0\n")
    said = [p.said for p in predict(path, [data]).predictions]
    assert [s["verdict"] for s in said] == ["normal", "anomaly", "anomaly", "normal"]
    assert said[1]["score"] == said[2]["score"] == pytest.approx(FARTHEST**2 / 3)
    done = edgekit("evaluate", path, "--data", data, "--json", "-")
    assert json.loads(done.stdout)["results"][0]["metrics"]["pr_auc"] == 1
    done = edgekit("demo", "anomaly", path, data, "--json", "-")
    (first, *_) = json.loads(done.stdout)["results"][0]["top"]
    assert (first["item"], first["columns"][0]["value"]) == (2, 1e30)


def test_only_a_card_makes_a_detector_of_anomalies(tmp_path: Path) -> None:
    """Items with the labels 0 and 1 are classified too."""
    stranger = detector(tmp_path / "s.onnx", HEAT, task=None, anomaly=None)
    assert task_of([stranger], table()) == "classification"
    assert task_of([detector(tmp_path / "d.onnx", HEAT)], table()) == "anomaly-detection"
    assert "anomaly-detection" in METRICS


def test_what_cannot_be_measured_is_told(tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", HEAT)
    bare = detector(tmp_path / "bare.onnx", HEAT, anomaly=None)
    data = table()
    assert refused([bare], data) == (
        f"The card of {bare} does not say which scores are those of anomalies, which anomaly-detection needs: take a "
        "model that edgekit trained and converted."
    )
    unlabelled = Dataset(name="machines", items=data.items)
    assert refused([path], unlabelled) == (
        "machines is not what anomaly-detection is measured on; expected items with the labels 0, normal, and 1, "
        "anomaly: a known name, a .csv with a column label, or an .npz."
    )
    many = Dataset(name="machines", items=data.items, labels=np.arange(60))
    assert refused([path], many) == (
        f"{path}: machines has the label 2; expected 0 for a normal item and 1 for an anomaly."
    )


def test_outputs_without_a_score_are_told_of() -> None:
    for outputs, sentence in (
        ({"logits": np.zeros(3)}, "A detector of anomalies has the output 'score'; got logits."),
        ({"score": np.zeros((2, 2))}, "The output 'score' is 2 x 2 for one item; expected one number."),
    ):
        with pytest.raises(DataError) as caught:
            score_of(outputs)
        assert str(caught.value) == sentence


def test_rows_of_a_table_get_a_verdict(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", HEAT, threshold=3.0), write_csv(tmp_path / "t.csv", count=6)
    report = predict(path, [data])
    values = rows(6)[0]
    for number, (prediction, row) in enumerate(zip(report.predictions, values, strict=True), 1):
        score = float(row[0]) ** 2 / 3
        assert prediction.source == f"{data}, row {number}"
        assert prediction.said == {
            "score": pytest.approx(score, rel=1e-4), "verdict": "anomaly" if score > 3 else "normal"
        }  # fmt: skip
    assert {p.said["verdict"] for p in report.predictions} == {"anomaly", "normal"}
    assert report.table()[1] == ["input", "score", "verdict"]
    np.save(tmp_path / "row.npy", values[0])
    (single,) = predict(path, [tmp_path / "row.npy"]).predictions
    assert single.said["verdict"] == "anomaly"


def test_inputs_that_are_no_rows_are_refused(tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", HEAT)
    (tmp_path / "texts.csv").write_text("text\nhot\n")
    (tmp_path / "hole.csv").write_text("heat,noise,speed\n1,,3\n")
    (tmp_path / "words.csv").write_text("heat,noise,speed\n1,loud,3\n")
    for name, sentence in (
        ("none.csv", f"There is no file {tmp_path / 'none.csv'}."),
        ("texts.csv", "texts lacks the column 'heat', which the model takes; it has: text."),
        ("hole.csv", f"{tmp_path / 'hole.csv'}, line 2, has the noise ''; expected a number: fill it in or leave the "
         "line out."),
        ("words.csv", f"{tmp_path / 'words.csv'}, line 2, has the noise 'loud'; expected a number, since the model "
         "takes this column."),
    ):  # fmt: skip
        with pytest.raises(DataError) as caught:
            predict(path, [tmp_path / name])
        assert str(caught.value) == sentence


def test_the_demo_tells_rows_columns_and_how_right_it_is(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", HEAT, threshold=3.0), write_csv(tmp_path / "t.csv", order=(1, 2, 0))
    out, picture = tmp_path / "out.json", tmp_path / "pr.png"
    done = edgekit("demo", "anomaly", path, data, "--top", "4", "--save", picture, "--json", out)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(out.read_text())["results"]
    values, labels = rows()
    scores = values[:, 0].astype(np.float64) ** 2 / 3
    order = np.argsort(-scores)[:4]
    assert [top["item"] for top in row["top"]] == [int(place) + 1 for place in order]
    assert [top["label"] for top in row["top"]] == [1, 1, 1, 1]
    assert [top["source"] for top in row["top"]] == [f"line {place + 2}" for place in order]
    assert f" line {order[0] + 2} " in done.stdout
    worst = row["top"][0]["columns"][0]
    assert (worst["column"], worst["share"]) == ("heat", 1)
    assert worst["value"] == pytest.approx(float(values[order[0], 0]), rel=1e-4)
    assert (row["n"], row["told"], row["threshold"]) == (60, int((scores > 3).sum()), 3)
    assert row["metrics"]["pr_auc"] == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
    assert "items have a score above 3, the threshold (best F1 on the validation part)." in done.stdout
    assert "12 are anomalies: precision" in done.stdout
    assert done.stderr == f"Wrote {picture}.\n"
    with Image.open(picture) as drawn:
        assert drawn.size == (1200, 480)


def test_the_demo_tells_images_by_their_files_and_their_places(tmp_path: Path) -> None:
    """The score of a picture is how light it is."""
    path, folder, arrays = picture_detector(tmp_path / "p.onnx"), tmp_path / "pumps", tmp_path / "a.npz"
    pictures = {"normal/a.png": 10, "normal/b.png": 20, "scratch/a.png": 200, "scratch/c.png": 90}
    for name, value in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(folder / name)
    values = np.stack([np.full((8, 8), value, np.uint8) for value in pictures.values()])
    np.savez(arrays, x_train=values[:1], x_test=values, y_train=np.zeros(1, int), y_test=np.array([0, 0, 1, 1]))
    for data, sources in (
        (folder, [folder / name for name in ("scratch/a.png", "scratch/c.png", "normal/b.png")]),
        (arrays, ["x_test[2]", "x_test[3]", "x_test[1]"]),
    ):
        found = find(path, str(data), top=3)
        assert [(top.item, top.source, top.label) for top in found.top] == [
            (item, str(source), label) for item, source, label in zip((3, 4, 2), sources, (1, 1, 0), strict=True)
        ]
        assert [row[0] for row in found.table()[2]] == list(map(str, sources))
    photo = folder / "scratch" / "a.png"
    found = find(path, str(photo), top=3)
    assert found.table()[0] == "The highest score of one item of a.png"
    assert found.table()[2] == [[str(photo), "0.7843", "anomaly"]]
    assert found.lines() == ["1 of 1 item has a score above 0.5, the threshold (best F1)."]


@pytest.mark.parametrize(
    ("anomalies", "normal", "told"),
    [
        (1, 4, "Of 5 items 1 is an anomaly and 4 normal"),
        (30, 9, "Of 39 items 30 are anomalies and 9 normal"),
        (10, 10, ""),
    ],
)
def test_figures_of_few_items_are_told_to_say_little(anomalies: int, normal: int, told: str, tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", HEAT), tmp_path / "t.csv"
    lines = [f"{9 * label + n / 100},0,0,{label}" for label, of in ((1, anomalies), (0, normal)) for n in range(of)]
    data.write_text("\n".join(["heat,noise,speed,label", *lines]) + "\n")
    sentence = f"{told}: with fewer than 10 of a kind figures and intervals say little of others." if told else ""
    evaluated, shown = edgekit("evaluate", path, "--data", data), edgekit("demo", "anomaly", path, data)
    assert (evaluated.returncode, evaluated.stderr.strip()) == (0, sentence)
    assert shown.stdout.strip().endswith(sentence)
    assert ("say little" in shown.stdout) == bool(told)


def test_without_labels_the_demo_ranks_and_claims_nothing(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", HEAT), write_csv(tmp_path / "t.csv", labelled=False)
    done = edgekit("demo", "anomaly", path, data, "--top", "2", "--json", "-")
    (row,) = json.loads(done.stdout)["results"]
    assert (row["metrics"], row["n"], row["top"][0]["label"]) == ({}, 60, None)
    told = edgekit("demo", "anomaly", path, data)
    assert "precision" not in told.stdout
    assert "The 10 highest scores of 60 items of t" in told.stdout


def test_what_the_demo_cannot_do_is_told(tmp_path: Path) -> None:
    path, bare = detector(tmp_path / "d.onnx", HEAT), detector(tmp_path / "bare.onnx", HEAT, anomaly=None)
    data, all_normal = write_csv(tmp_path / "t.csv", labelled=False), tmp_path / "normal.csv"
    all_normal.write_text("heat,noise,speed,label\n1,2,3,0\n")
    other, photo = detector(tmp_path / "other.onnx", HEAT, task="verification"), tmp_path / "p.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(photo)
    for arguments, sentence in (
        ((bare, data), f"The card of {bare} does not say which scores are those of anomalies; expected a model for "
         "anomaly-detection that edgekit trained."),
        ((other, data), f"{other} is for verification; expected a model for anomaly-detection."),
        ((path, photo), f"{path} takes rows of numbers, with the columns heat, noise, speed; p.png holds images: give "
         "a .csv."),
        ((path, tmp_path), f"{path} takes rows of numbers, with the columns heat, noise, speed; {tmp_path.name} holds "
         "images: give a .csv."),
        ((path, data, "--save", photo), f"{photo} exists; use --force to replace it or --save to write elsewhere."),
        ((path, data, "--save", tmp_path / "a.png"), "--save draws precision over recall, which takes normal items and "
         "anomalies with a label; t has no labels: leave it out."),
        ((path, all_normal, "--save", tmp_path / "a.png"), "--save draws precision over recall, which takes normal "
         "items and anomalies with a label; normal has none of one kind: leave it out."),
        ((path, data, "--save", "a.jpg"), "a.jpg is no name of a picture; expected one that ends in .png."),
    ):  # fmt: skip
        done = edgekit("demo", "anomaly", *arguments)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"edgekit: {sentence}")


def test_the_demo_needs_one_engine_and_nothing_heavy(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", HEAT), write_csv(tmp_path / "t.csv")
    assert not loaded_after(running("demo", "anomaly", str(path), str(data))) & (HEAVY - ENGINES)


def test_inspect_tells_columns_and_threshold_and_a_report_the_area(tmp_path: Path) -> None:
    path, data = detector(tmp_path / "d.onnx", HEAT, threshold=3.0), write_csv(tmp_path / "t.csv")
    told = edgekit("inspect", path).stdout
    assert "heat, noise, speed" in told
    assert "score 3 (best F1 on the validation part)" in told
    done = edgekit("evaluate", path, "--data", data, "--json", tmp_path / "results" / "evaluate.json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "results" / "evaluate.json").read_text())["results"]
    (read,) = read_results(tmp_path / "results").rows
    (accuracy,) = read.accuracies
    figures = (accuracy.value, accuracy.low, accuracy.high)
    assert figures == tuple(row["metrics"][name] for name in ("pr_auc", "pr_auc_low", "pr_auc_high"))
    assert (accuracy.metric, accuracy.data, accuracy.count) == ("PR-AUC", "t", 60)
