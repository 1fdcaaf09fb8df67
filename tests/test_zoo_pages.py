"""The pages of the zoo say what was measured, of every entry."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_detector import detector

from edgekit.artifact import open_artifact
from edgekit.measure.same_objects import objects_in
from edgekit.models.pages import entry_page, index_page, measured
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.task_figures import TASK_FIGURES
from edgekit.models.train import MATERIALS

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import zoo_everywhere
import zoo_pages
from aarch64.places import here
from regions_elsewhere import Found

FOLDER = Path(__file__).parent.parent / "docs/zoo"


@pytest.fixture
def results() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "results.json").read_bytes()))


def test_the_pages_follow_from_the_registry_and_the_results(results: dict[str, Any]) -> None:
    """After a change of either: python benchmarks/zoo_pages.py RUNS."""
    specs = measured(ZOO, results)
    pages = {"README.md": index_page(ZOO, results), **{f"{s.name}.md": entry_page(s, results) for s in specs}}
    assert {path.name for path in FOLDER.iterdir()} == {*pages, "results.json"}
    for name, text in pages.items():
        assert (FOLDER / name).read_text() == text, name


def test_every_entry_was_trained_as_its_preset_says(results: dict[str, Any]) -> None:
    specs = measured(ZOO, results)
    assert [row["name"] for row in results["results"]] == [spec.name for spec in specs]
    index = index_page(ZOO, results)
    for spec in ZOO:  # what has no figures is told as such
        assert (f"`{spec.name}` ({spec.task})" in index.split("## Not measured yet")[-1]) == (spec not in specs), spec
    for spec, row in zip(specs, results["results"], strict=True):
        small = spec.preset("small")
        assert row["data"] == small.data, spec.name
        for name in ("epochs", "batch_size", "optimizer", "learning_rate"):
            assert row["settings"][name] == getattr(small, name), (spec.name, name)


def test_no_file_needs_more_than_its_engine_has(results: dict[str, Any]) -> None:
    files = [file for row in results["results"] for file in row["files"]]
    assert len(files) == 4 * len(results["results"])
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


def test_pages_are_not_written_from_a_part_of_the_results(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["zoo_pages.py", str(tmp_path)])
    monkeypatch.setattr("zoo_pages.FOLDER", tmp_path / "pages")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/mlp.md").write_text("what was measured before is not lost")
    (tmp_path / "zoo.json").write_text(json.dumps({**results, "results": results["results"][1:]}))
    with pytest.raises(SystemExit, match=r"has no figures of mlp; run edgekit train --all again\.$"):
        zoo_pages.main()
    (tmp_path / "zoo.json").write_text(json.dumps(results))
    (tmp_path / "everywhere.json").write_text(json.dumps({"results": []}))
    with pytest.raises(SystemExit, match=r"knows nothing of mlp\.fp32\.tflite; run zoo_everywhere\.py again\.$"):
        zoo_pages.main()
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["mlp.md"]


def test_every_task_of_the_zoo_has_figures_and_material() -> None:
    assert {spec.task for spec in ZOO} <= set(TASK_FIGURES)
    assert {spec.task for spec in ZOO} <= set(MATERIALS)


def test_a_writer_is_judged_by_nats_of_which_fewer_are_better(results: dict[str, Any]) -> None:
    changed = copy.deepcopy(results)
    row = copy.deepcopy(next(row for row in changed["results"] if row["name"] == "mlp"))
    row |= {"name": "char_lstm", "task": "text-generation", "metrics": {"nats_per_token": 1.2346}}
    for file in row["files"]:
        file["nats_per_token"] = 1.2346 + 0.03 * (file["recipe"] == "int8") * (file["format"] == "onnx")
        file["artifact"] = file["artifact"].replace("mlp", "char_lstm")
    changed["results"].append(row)
    page, index = entry_page(find_spec("char_lstm"), changed), index_page(ZOO, changed)
    assert "- **char_lstm.int8.onnx loses 0.0300.**\n" in page
    assert "char_lstm.int8.tflite loses" not in page
    assert "| model.keras | 1.235 |" in page
    assert "| [char_lstm](char_lstm.md) | mnist | Nats per token | 1.235 | 1.235 | 1.265 |" in index
    assert "`char_lstm`" not in index.split("## Not measured yet")[1]
