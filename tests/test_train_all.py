"""`edgekit train --all`: what is done, what is not done twice, and what a failure leaves."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.models.pages import entry_page, index_page
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.spec import ModelSpec
from edgekit.report import read_results
from edgekit.train_all import RESULTS, train_all

DOCS = Path(__file__).parent.parent / "docs/zoo"


def on_digits(name: str, **arguments: Any) -> ModelSpec:
    """The entry ``name`` with a small preset that learns the embedded digits."""
    spec = find_spec(name)
    small = replace(spec.presets["small"], data="digits", arguments={**arguments, "classes": 10})
    return replace(spec, presets={"small": small})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_failure_does_not_stop_the_rest_and_nothing_is_done_twice(tmp_path: Path) -> None:
    # The command line knows the entries of the registry only, so one that it does not have fails by itself.
    specs = [replace(on_digits("mlp"), name="unknown"), find_spec("mobilenet_v2")]
    told: list[str] = []
    unknown, known = train_all(specs, tmp_path, preset="small", epochs=1, announce=told.append)
    assert unknown.failure.startswith("train: There is no model 'unknown' in the zoo; ")
    assert unknown.row is None
    assert known.failure == ""
    (row,) = json.loads((tmp_path / RESULTS).read_bytes())["results"]
    assert row == known.row
    assert (row["name"], row["n"], row["settings"]["epochs"]) == ("mobilenet_v2", 360, 1)
    assert {(f["format"], f["recipe"]) for f in row["files"]} == {
        (fmt, recipe) for fmt in ("tflite", "onnx") for recipe in ("fp32", "int8")
    }
    assert all(f["p50_ratio"] == 1 for f in row["files"] if f["recipe"] == "fp32")
    assert row["train_peak_rss_bytes"] > 100e6
    assert len(read_results(tmp_path).rows) == 5
    told.clear()
    train_all(specs[1:], tmp_path, preset="small", epochs=1, announce=told.append)
    assert told == ["1/1 mobilenet_v2", *(f"  {v}: done before" for v in ("train", "convert", "evaluate", "benchmark"))]
    (tmp_path / "mobilenet_v2/model.int8.onnx").unlink()
    told.clear()
    train_all(specs[1:], tmp_path, preset="small", epochs=1, announce=told.append)
    assert told[:2] == ["1/1 mobilenet_v2", "  train: done before"]
    assert told[2].startswith("  edgekit convert ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "mlp", "--all"), "edgekit: --all trains every architecture as its preset says; leave NAME out.\n"),
        (
            ("train", "--all", "--size", "8"),
            "edgekit: --all trains every architecture as its preset says; leave --size out.\n",
        ),
        (("train",), "edgekit: Name an architecture to train, or use --all; edgekit zoo list shows them.\n"),
        (
            ("train", "--all", "--preset", "book"),
            "edgekit: The preset book of alexnet has no data set of its own; choose another --preset.\n",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", *arguments, "-o", str(tmp_path / "runs")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, message)
    assert not (tmp_path / "runs").exists()


def test_the_pages_follow_from_the_registry_and_the_results() -> None:
    results = json.loads((DOCS / "results.json").read_bytes())
    assert [row["name"] for row in results["results"]] == [spec.name for spec in ZOO]
    assert (DOCS / "README.md").read_text() == index_page(ZOO, results)
    for spec in ZOO:
        assert (DOCS / f"{spec.name}.md").read_text() == entry_page(spec, results), spec.name
