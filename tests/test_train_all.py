"""`edgekit train --all`: what is done, what is not done twice, and what a failure leaves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import edgekit

from edgekit.entry_verbs import Verb, call, is_done
from edgekit.models.pages import ARM, entry_page, index_page
from edgekit.models.registry import find_spec
from edgekit.models.spec import ModelSpec
from edgekit.report import read_results
from edgekit.train_all import JUDGE, RESULTS, WAYS, Plan, results_table, train_all


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_failure_does_not_stop_the_rest_and_nothing_is_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command line knows the entries of the registry only, so one that it does not have fails by itself.
    specs = [replace(find_spec("mlp"), name="unknown"), find_spec("mobilenet_v2")]
    told: list[str] = []
    unknown, known = train_all(specs, tmp_path, preset="small", epochs=12, announce=told.append)
    assert unknown.failure.startswith("train: There is no model 'unknown' in the zoo; ")
    assert unknown.row is None
    assert known.failure == ""
    (row,) = json.loads((tmp_path / RESULTS).read_bytes())["results"]
    assert row == known.row
    assert (row["name"], row["n"], row["settings"]["epochs"]) == ("mobilenet_v2", 360, 12)
    assert {(f["format"], f["recipe"]) for f in row["files"]} == {
        (fmt, recipe) for fmt in ("tflite", "onnx") for recipe in ("fp32", "int8")
    }
    assert all(f["p50_ratio"] == 1 for f in row["files"] if f["recipe"] == "fp32")
    assert row["train_peak_rss_bytes"] > 100e6
    assert len(read_results(tmp_path).rows) == 5
    _pages_tell_it(json.loads((tmp_path / RESULTS).read_bytes()))
    (failed,) = train_all(
        [replace(specs[0], task="detection"), specs[1]], tmp_path, preset="small", task="detection", epochs=12
    )
    assert failed.name == "unknown"
    assert json.loads((tmp_path / RESULTS).read_bytes())["results"] == [row]  # that of another task stays
    told.clear()
    train_all(specs[1:], tmp_path, preset="small", epochs=12, announce=told.append)
    assert told == ["1/1 mobilenet_v2", *(f"  {v}: done before" for v in ("train", "convert", "evaluate", "benchmark"))]
    (tmp_path / "mobilenet_v2/mobilenet_v2.int8.onnx").unlink()
    told.clear()
    train_all(specs[1:], tmp_path, preset="small", epochs=12, announce=told.append)
    assert told[:2] == ["1/1 mobilenet_v2", "  train: done before"]
    assert told[2].startswith("  edgekit convert ")
    monkeypatch.chdir(tmp_path.parent)
    _goes_on(specs, Path(tmp_path.name))


def _goes_on(specs: list[ModelSpec], runs: Path) -> None:
    """What was done before, in other words, after other wishes, and after a stop between two files."""
    told: list[str] = []
    before = {path.name: path.read_bytes() for path in runs.glob("*.json") if path.name != RESULTS}
    again = train_all(specs[1:], runs, preset="small", epochs=12, announce=told.append)
    assert told[1:] == [f"  {v}: done before" for v in ("train", "convert", "evaluate", "benchmark")]
    (refused,) = train_all(specs[1:], runs, preset="small", epochs=13, announce=told.append)
    assert refused.failure == (
        f"train: {runs / 'mobilenet_v2'} holds a training with other settings (epochs 12, now 13): use --force to "
        "start again or -o to write elsewhere."
    )
    assert json.loads((runs / RESULTS).read_bytes())["results"] == []
    assert {path.name: path.read_bytes() for path in runs.glob("*.json") if path.name != RESULTS} == before
    told.clear()
    assert train_all(specs[1:], runs, preset="small", epochs=12, announce=told.append) == again
    assert told[1] == "  train: done before"
    (runs / "mobilenet_v2.train.json").unlink()  # killed after the model was written, before its figures were
    (row,) = (entry.row for entry in train_all(specs[1:], runs, preset="small", epochs=12, announce=told.append))
    assert row is not None
    history = json.loads((runs / "mobilenet_v2/history.json").read_bytes())["epochs"]
    assert row["train_seconds"] >= round(sum(epoch["seconds"] for epoch in history), 1) > 5
    (runs / "mobilenet_v2.convert.json").write_text("{}")
    told.clear()
    (entry,) = train_all(specs[1:], runs, preset="small", epochs=12, announce=told.append)
    assert told[2].startswith("  edgekit convert ")
    assert entry.failure == ""


def _pages_tell_it(results: dict[str, Any]) -> None:
    spec = find_spec("mobilenet_v2")
    (row,) = results["results"]
    assert row["artifact"] == "mobilenet_v2/model.keras"
    row["default"] = {"parameters": 3_504_872, "macs": 300_774_272}
    for file in row["files"]:
        same = {"identical": 1.0, "agreement": 0.98}
        file |= {"custom_operators": [], "elsewhere": {ARM: {"n": 100, "metrics": same}}}
    page, index = entry_page(spec, results), index_page([spec], results)
    top1 = f"{100 * row['metrics']['top1']:.2f}"
    assert f"Top-1 on 360 held-out items: {top1} %." in " ".join(page.split())
    assert "| parameters | 3,504,872 | 3,400,000 |" in page
    for file in row["files"]:
        assert f"| {file['artifact']} | {100 * file['top1']:.2f} |" in page
    (line,) = (line for line in index.splitlines() if line.startswith("| [mobilenet_v2]"))
    int8 = [f for f in row["files"] if f["recipe"] == "int8"]
    assert all(f"{100 * f['top1']:.2f}" in line and f"{f['sqnr_db']:.1f}" in line for f in int8)
    assert f"{top1} (" in line
    assert page.count("| 98 of 100, same bits |") == 4
    told = " ".join(index.split())
    assert "392 of 400 items get the same class, token or objects, and 4 files give the same bits." in told
    assert "The 4 files hold no custom operator." in told
    assert "72.00 on ImageNet" in line


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("echo 'edgekit: no such thing' >&2; exit 2", "no such thing"),
        ("printf 'caf\\351\\n' >&2; exit 1", "caf\N{REPLACEMENT CHARACTER}"),
        ("kill -9 $$", "ended by signal 9 (it said nothing)"),
    ],
)
def test_a_verb_that_fails_is_told_and_leaves_earlier_results(
    script: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\n{script}\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(stand_in))
    results = tmp_path / "x.train.json"
    results.write_text("earlier")
    verb = Verb(name="train", arguments=("train", "x"), home=tmp_path / "x", results=results)
    told: list[str] = []
    assert call(verb, told.append) == failure
    assert results.read_text() == "earlier"


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
            ("train", "mlp", "--task", "detection"),
            "edgekit: --task chooses among --all architectures; leave it out to train mlp.\n",
        ),
        (
            ("train", "--all", "--task", "classification", "--preset", "book"),
            "edgekit: The preset book of alexnet has no data set of its own; choose another --preset.\n",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = edgekit(*arguments, "-o", tmp_path / "runs")
    assert (done.returncode, done.stderr) == (2, message)
    assert not (tmp_path / "runs").exists()
