"""The pages of the zoo say what was measured, of every entry."""

import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_detector import detector
from tiny_verifier import SIZE, verifier

from edgekit.artifact import open_artifact
from edgekit.measure.same_objects import objects_in
from edgekit.models.everywhere_words import ARM
from edgekit.models.pages import entry_page, index_page, measured
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.train import MATERIALS
from edgekit.report.task_figures import TASK_FIGURES

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import zoo_everywhere
import zoo_pages
from aarch64.places import here
from elsewhere import Found

FOLDER = Path(__file__).parent.parent / "docs/zoo"
BY_OTHERS = ("recurrent.md", "anomalies.md")
"""Written by other benchmarks, recurrent_everywhere.py and anomaly_sets.py."""


@pytest.fixture
def results() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "results.json").read_bytes()))


def test_the_pages_follow_from_the_registry_and_the_results(results: dict[str, Any]) -> None:
    """After a change of either: python benchmarks/zoo_pages.py RUNS."""
    specs = measured(ZOO, results)
    pages = {"README.md": index_page(ZOO, results), **{f"{s.name}.md": entry_page(s, results) for s in specs}}
    assert {path.name for path in FOLDER.iterdir()} == {*pages, "results.json", *BY_OTHERS}
    for name, text in pages.items():
        assert (FOLDER / name).read_text() == text, name


def test_every_entry_was_trained_as_its_preset_says(results: dict[str, Any]) -> None:
    specs = measured(ZOO, results)
    assert [row["name"] for row in results["results"]] == [spec.name for spec in specs]
    index = " ".join(index_page(ZOO, results).split())
    for spec in ZOO:  # what has no figures is told as such
        assert (f"`{spec.name}` ({spec.task})" in index.split("## Not measured yet")[-1]) == (spec not in specs), spec
    for spec, row in zip(specs, results["results"], strict=True):
        small = spec.preset("small")
        assert row["data"] == small.data, spec.name
        for name in ("epochs", "batch_size", "optimizer", "learning_rate"):
            assert row["settings"][name] == getattr(small, name), (spec.name, name)


def test_no_file_needs_more_than_its_engine_has(results: dict[str, Any]) -> None:
    files = [file for row in results["results"] for file in row["files"]]
    left_out = [file for row in results["results"] for file in row.get("left_out", ())]
    assert len(files) + len(left_out) == 4 * len(results["results"])
    assert {file["artifact"] for file in left_out} == {"char_rnn.int8.onnx", "gru_forecast.int8.onnx"}
    assert [file["artifact"] for file in files if file["custom_operators"]] == []


def test_a_loss_is_pointed_out_with_what_computes_in_float(results: dict[str, Any]) -> None:
    changed = copy.deepcopy(results)
    (row,) = (row for row in changed["results"] if row["name"] == "lenet5")
    (file,) = (f for f in row["files"] if f["artifact"] == "lenet5.int8.onnx")
    file["top1"] = row["metrics"]["top1"] - 0.0123
    file["float_ops"] = [{"name": "conv_1", "op": "Conv", "reason": "it was asked for"}]
    file["agreement"] = 0.96
    page = entry_page(find_spec("lenet5"), changed)
    assert "- **lenet5.int8.onnx loses 1.23 points.**\n" in page
    assert "- lenet5.int8.onnx: conv_1 (Conv) computes in float, since it was asked for.\n" in page
    file["float_ops"] *= 2
    told = "- lenet5.int8.onnx: 2 operators compute in float, since it was asked for: conv_1 (Conv), conv_1 (Conv).\n"
    assert told in entry_page(find_spec("lenet5"), changed)
    assert "| near: " in next(line for line in index_page(ZOO, changed).splitlines() if "lenet5.md" in line)


def test_custom_operators_are_named(results: dict[str, Any]) -> None:
    changed = copy.deepcopy(results)
    changed["results"][0]["files"][0]["custom_operators"] = ["FlexErf"]
    assert "files hold custom operators: FlexErf." in " ".join(index_page(ZOO, changed).split())


@pytest.mark.parametrize(
    ("custom", "agreement", "held"), [([], 1.0, True), (["FlexErf"], 1.0, False), ([], 0.99, False)]
)
def test_the_claim_of_running_everywhere_can_fail(custom: list[str], agreement: float, held: bool) -> None:
    elsewhere = {"[litert]": {"metrics": {"agreement": 1.0}}, "cortex-a72": {"metrics": {"agreement": agreement}}}
    assert zoo_everywhere.holds({"custom_operators": custom, "elsewhere": elsewhere}) is held


@pytest.mark.parametrize(("objects", "held"), [(1, True), (0, False)])
def test_a_detector_that_finds_nothing_proves_nothing(objects: int, held: bool) -> None:
    elsewhere = {"cortex-a72": {"metrics": {"agreement": 1.0, "objects": objects}}}
    assert zoo_everywhere.holds({"custom_operators": [], "elsewhere": elsewhere}) is held


def test_what_is_told_of_a_detector_counts_its_objects(tmp_path: Path) -> None:
    path = detector(tmp_path / "d.onnx", labels=("dark", "bright"))
    artifact = open_artifact(path)
    outputs = {"found": np.zeros((3, 6, 21), np.float32)}
    outputs["found"][:2, :5, 0] = [4, 4, 4, 4, 1]
    found = Found(outputs=outputs, objects=objects_in(artifact, outputs))
    row = zoo_everywhere.row(path, [here()], lambda _: found)
    ((metrics),) = (told["metrics"] for told in row["elsewhere"].values())
    assert (metrics["agreement"], metrics["objects"]) == (1, 2)


def test_what_is_told_of_pictures_that_are_compared_counts_pairs(tmp_path: Path) -> None:
    path = verifier(tmp_path)
    outputs = {"embedding": np.ones((3, SIZE), np.float32)}
    found = iter(Found(outputs=outputs, decisions=np.array(told)) for told in ([True, False, True], [True, True, True]))
    row = zoo_everywhere.row(path, [here()], lambda _: next(found))
    ((told),) = row["elsewhere"].values()
    assert (told["n"], told["items"], told["metrics"]["agreement"]) == (3, 3, 2 / 3)
    assert not zoo_everywhere.holds(row)


def test_runs_take_the_place_of_their_rows_and_no_others(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    monkeypatch.setattr("zoo_pages.FOLDER", pages)
    monkeypatch.setattr("sys.argv", ["zoo_pages.py", str(tmp_path)])
    (pages / "results.json").write_bytes((FOLDER / "results.json").read_bytes())
    row = copy.deepcopy(results["results"][0])
    assert row["name"] == "mlp"
    row["metrics"]["top1"] = 0.98765
    everywhere = [{k: file.pop(k) for k in ("custom_operators", "elsewhere")} for file in row["files"]]
    told = {"results": [{**each, "sha256": f["sha256"]} for each, f in zip(everywhere, row["files"], strict=True)]}
    (tmp_path / "zoo.json").write_text(json.dumps({"host": results["host"], "results": [row]}))
    (tmp_path / "everywhere.json").write_text(json.dumps(told))
    zoo_pages.main()
    written = json.loads((pages / "results.json").read_bytes())
    assert [r["name"] for r in written["results"]] == [r["name"] for r in results["results"]]
    assert written["results"][1:] == results["results"][1:]
    assert "98.77" in (pages / "mlp.md").read_text()
    assert (pages / "cnn.md").read_bytes() == (FOLDER / "cnn.md").read_bytes()
    (tmp_path / "everywhere.json").write_text(json.dumps({"results": []}))
    with pytest.raises(SystemExit, match=r"knows nothing of mlp\.fp32\.tflite; run zoo_everywhere\.py again\.$"):
        zoo_pages.main()
    (tmp_path / "zoo.json").write_text(json.dumps({"host": {**results["host"], "cpu": "Z80"}, "results": [row]}))
    with pytest.raises(SystemExit, match=r" on Z80, \d+ cores, the other rows on .*; expected one machine\.$"):
        zoo_pages.main()


def test_pages_are_written_from_the_results_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_pages.FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["zoo_pages.py"])
    (tmp_path / "results.json").write_bytes((FOLDER / "results.json").read_bytes())
    zoo_pages.main()
    for page in BY_OTHERS:
        (tmp_path / page).write_bytes((FOLDER / page).read_bytes())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {p.name: p.read_bytes() for p in FOLDER.iterdir()}


def with_row(results: dict[str, Any], name: str, metrics: dict[str, float], **of_files: float) -> dict[str, Any]:
    """``results`` of classifiers with an entry that has those figures, the last row, and all others of `mlp`."""
    changed = copy.deepcopy(results)
    changed["results"] = [row for row in changed["results"] if row["task"] == "classification" and row["name"] != name]
    row = copy.deepcopy(next(row for row in changed["results"] if row["name"] == "mlp"))
    row |= {"name": name, "task": find_spec(name).task, "metrics": metrics}
    for file in row["files"]:
        file |= {**of_files, "artifact": file["artifact"].replace("mlp", name)}
    changed["results"].append(row)
    return changed


def test_a_file_that_could_not_be_made_is_told_with_the_reason(results: dict[str, Any]) -> None:
    figures = {"mse_ratio": 0.9876, "mse": 5e-5}
    interval = {"mse_ratio_low": 0.9, "mse_ratio_high": 1.1}
    changed = with_row(results, "gru_forecast", {**figures, **interval}, **figures)
    row = changed["results"][-1]
    absent = next(f for f in row["files"] if f["artifact"] == "gru_forecast.int8.onnx")
    row["files"].remove(absent)
    row["left_out"] = [{"artifact": absent["artifact"], "format": "onnx", "recipe": "int8", "reason": "No operator."}]
    for file in row["files"]:
        for there in file["elsewhere"].values():
            del there["metrics"]["agreement"]
            there["metrics"] |= {"identical": 0.0, "within_limits": 1.0}
    row["files"][0]["elsewhere"][ARM]["metrics"]["within_limits"] = 0.0
    page, index = entry_page(find_spec("gru_forecast"), changed), index_page(ZOO, changed)
    assert "| gru_forecast.int8.onnx | - | - | - | - | - | - | - | - |\n" in page
    assert "- There is no gru_forecast.int8.onnx: No operator.\n" in page
    assert page.count("| within the limits |") == 2
    assert page.count("| beyond the limits |") == 1
    lines = [line for line in page.splitlines() if line.startswith(("| file", "| gru", "| model.k"))]
    assert len({line.count("|") for line in lines}) == 1
    (line,) = (line for line in index.splitlines() if line.startswith("| [gru_forecast]"))
    assert "| 0.9876 (0.9–1.1) | 0.9876 | - | 0.27 / - |" in line
    assert "held-out items: 0.9876 (0.9–1.1)." in " ".join(page.split())
    told = " ".join(index.split())
    assert "Of 3 files that forecast, rate or make pictures 2 answer within the limits of their recipe there." in told


def test_a_generator_is_told_with_its_judge_and_loses_by_parts_of_its_distance(results: dict[str, Any]) -> None:
    metrics = {"frechet": 10.0, "precision": 0.9, "recall": 0.5, "conditional_accuracy": 0.9612}
    changed = with_row(results, "cgan", metrics, frechet=10.4, ssim=0.987, conditional_accuracy=0.96)
    row = changed["results"][-1]
    row["judge"] = {"artifact": "cnn/model.keras", "sha256": "0", "top1": 0.994, "n": 10_000}
    row["n"] = 10_000
    (worse,) = (f for f in row["files"] if f["artifact"] == "cgan.int8.onnx")
    worse["frechet"] = 10.6
    page, index = entry_page(find_spec("cgan"), changed), index_page(ZOO, changed)
    assert "- **cgan.int8.onnx loses 6.00 %.**\n" in page
    assert "cgan.int8.tflite loses" not in page
    assert "| file | Frechet distance | SSIM | asked class, % | bytes |" in page
    assert "| model.keras | 10 |  | 96.12 | |" in page
    assert "| cgan.int8.onnx | 10.6 | 0.987 | 96.00 |" in page
    told = "Frechet distance of 10,000 pictures to real ones, before the judge cnn/model.keras (top-1 99.40 %): 10."
    assert told in " ".join(page.split())
    assert "| [cgan](cgan.md) | mnist | 10 | 10.4 | 10.6 | 0.987 / 0.987 | 96.12 |" in index
    assert "## Sequences" not in index


def test_every_task_of_the_zoo_has_figures_and_material() -> None:
    assert {spec.task for spec in ZOO} <= set(TASK_FIGURES)
    assert {spec.task for spec in ZOO} <= set(MATERIALS)


def test_a_writer_is_judged_by_nats_of_which_fewer_are_better(results: dict[str, Any]) -> None:
    changed = with_row(results, "char_lstm", {"nats_per_token": 1.2346}, nats_per_token=1.2346)
    (worse,) = (f for f in changed["results"][-1]["files"] if f["artifact"] == "char_lstm.int8.onnx")
    worse["nats_per_token"] += 0.03
    page, index = entry_page(find_spec("char_lstm"), changed), index_page(ZOO, changed)
    assert "- **char_lstm.int8.onnx loses 0.0300.**\n" in page
    assert "char_lstm.int8.tflite loses" not in page
    assert "| model.keras | 1.235 |" in page
    assert "| [char_lstm](char_lstm.md) | mnist | Nats per token | 1.235 | 1.235 | 1.265 |" in index
    assert "`char_lstm`" not in index.split("## Not measured yet")[1]


def test_detectors_of_anomalies_and_recommenders_stand_beside_what_is_published(results: dict[str, Any]) -> None:
    areas = {"pr_auc": 0.8123, "roc_auc": 0.9456}
    changed = with_row(results, "ae_vanilla", {**areas, "pr_auc_low": 0.78, "pr_auc_high": 0.85}, **areas)
    (worse,) = (f for f in changed["results"][-1]["files"] if f["artifact"] == "ae_vanilla.int8.onnx")
    worse["pr_auc"] = 0.78
    page, index = entry_page(find_spec("ae_vanilla"), changed), index_page(ZOO, changed)
    assert "- **ae_vanilla.int8.onnx loses 3.98 %.**\n" in page
    assert "| PR-AUC | 0.8123 | 0.82 on all 284,807 payments |" in page
    (line,) = (line for line in index.splitlines() if line.startswith("| [ae_vanilla]"))
    assert "| 0.8123 (0.78–0.85) | 0.8123 | 0.78 | 0.9456 | 0.82 on all 284,807 payments | 0.27 / 0.27 |" in line
    _same_cells(index, "## Detectors of anomalies")
    ratings = {"mse_ratio": 0.85, "mse": 0.0335, "item_mean_mse": 0.0391, "offset_mse": 0.0324}
    index = index_page(ZOO, with_row(results, "rbm", ratings, mse_ratio=0.86, mse=0.0336))
    assert "| 0.85 | 0.86 | 0.86 | 0.0335 | 0.0391 | 0.0324 | 0.038 on MovieLens 1M |" in index
    _same_cells(index, "## Recommenders")


def test_one_shot_trials_stand_beside_the_published_ones(results: dict[str, Any]) -> None:
    told = {"eer": 0.0071, "auc": 0.9998, "one_shot_4": 0.999}
    changed = with_row(results, "siamese", {**told, "pixels_4": 0.888}, **told)
    (worse,) = (f for f in changed["results"][-1]["files"] if f["artifact"] == "siamese.int8.onnx")
    worse |= {"eer": 0.0074, "eer_difference_low": -0.001, "eer_difference_high": 0.0015}
    page, index = entry_page(find_spec("siamese"), changed), index_page(ZOO, changed)
    chance = "For other items like these the difference would be -0.1 to +0.15 points (95 %)."
    assert f"- **siamese.int8.onnx loses 4.23 %.** {chance}\n" in page
    assert "| 4-way, % | 99.90 | 96.30 on ORL in the book |" in page
    assert "| nearest pixels, 4-way, % | 88.80 | 87.60 on ORL in the book |" in page
    assert "9-way" not in page
    assert "| 0.71 | 0.71 | 0.74 | 99.98 |" in index
    _same_cells(index, "## Comparing pictures")


@pytest.mark.parametrize(("model", "file", "lost"), [(0.0, 0.01, float("inf")), (0.0, 0.0, 0), (0.01, 0.02, 1)])
def test_a_part_of_an_error_of_nothing_is_endless(model: float, file: float, lost: float) -> None:
    assert TASK_FIGURES["verification"].lost(model, file) == lost


def test_passes_stand_beside_the_mean_network(results: dict[str, Any]) -> None:
    told = {"top1": 0.967, "nll": 0.11, "ece": 0.018, "entropy": 0.12, "ood_auroc": 0.862}
    told |= {"ood_auroc_low": 0.845, "ood_auroc_high": 0.878}
    metrics = {**told, "top1_low": 0.96, "top1_high": 0.97}
    changed = with_row(results, "bayes_dense", metrics, **told)
    row = changed["results"][-1]
    files = [{**f, "artifact": f["artifact"].replace("dense.", "dense.sample."), "passes": 20} for f in row["files"]]
    for file in files:
        file |= {"metrics": {**told, "ood_auroc": 0.971}, "n": 8000}
    keras = {"artifact": "model.sample.keras", "format": "keras", "recipe": "source", "n": 8000, "passes": 20}
    row["passes"] = [{**keras, "metrics": {**told, "ood_auroc": 0.972}}, *files]
    page, index = entry_page(find_spec("bayes_dense"), changed), index_page(ZOO, changed)
    figures = "96.70 | 0.110 | 0.018 | 0.120"
    lines = [line for line in index.split("### Classifiers that know")[1].splitlines() if "[bayes_dense]" in line]
    assert lines == [
        f"| [bayes_dense](bayes_dense.md) | {network} | {file} | {figures} | {apart} (84.50–87.80) |"
        for network, aparts in (("mean", (86.2, 86.2, 86.2)), ("20 passes", (97.2, 97.1, 97.1)))
        for file, apart in zip(("float", "int8 TFLite", "int8 ONNX"), (f"{a:.2f}" for a in aparts), strict=True)
    ]
    _same_cells(index, "### Classifiers that know when they do not know")
    assert "on 8,000 held-out items, 20 passes:" in page
    assert f"| bayes_dense.sample.int8.onnx | {figures} | 97.10 (84.50–87.80) |" in page
    assert "| model.keras | 96.70 |  | 86.20 |" in page
    (counted,) = re.findall(r"The (\d+) files hold", index)
    of_passes = sum("passes" in row for row in changed["results"])
    assert int(counted) == 4 * (len(changed["results"]) + of_passes) > 4 * len(changed["results"])


def _same_cells(page: str, heading: str) -> None:
    """Of the first table under ``heading``."""
    rows = page.split(f"{heading}\n")[1].split("\n\n")[1].splitlines()
    assert len({row.count("|") for row in rows}) == 1
