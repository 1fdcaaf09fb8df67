"""`edgekit train --all`: what is done, what is not done twice, and what a failure leaves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import edgekit

from edgekit.entry_verbs import Verb, call, is_done
from edgekit.files import sha256_file
from edgekit.models.everywhere_words import ARM
from edgekit.models.pages import entry_page, index_page
from edgekit.models.registry import ZOO, find_spec
from edgekit.models.spec import ModelSpec
from edgekit.report import read_results
from edgekit.train_all import JUDGE, RESULTS, WAYS, Plan, _row, results_table, train_all


@pytest.mark.slow
@pytest.mark.timeout(1200)
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
    assert f"Top-1 on 360 held-out items: {top1} (" in " ".join(page.split())
    assert "| parameters | 3,504,872 | 3,400,000 |" in page
    for file in row["files"]:
        assert f"| {file['artifact']} | {100 * file['top1']:.2f} |" in page
    (line,) = (line for line in index.splitlines() if line.startswith("| [mobilenet_v2]"))
    int8 = [f for f in row["files"] if f["recipe"] == "int8"]
    assert all(f"{100 * f['top1']:.2f}" in line and f"{f['sqnr_db']:.1f}" in line for f in int8)
    assert f"{top1} (" in line
    assert page.count("| 98 of 100, same bits |") == 4
    told = " ".join(index.split())
    assert "392 of 400 items get the same class, token, objects or decision, and 4 files give the same bits." in told
    assert "The 4 files hold no custom operator." in told
    assert "72.00 on ImageNet" in line


def test_every_task_of_the_zoo_has_its_ways() -> None:
    assert {spec.task for spec in ZOO} == set(WAYS)


def plan(name: str, folder: Path, **changes: Any) -> Plan:
    given: dict[str, Any] = {"preset": "small", "data_dir": None, "epochs": None, "seed": 0, **changes}
    return Plan(spec=find_spec(name), folder=folder, **given)


def converted(planned: Plan, *kinds: str, notes: tuple[str, ...] = ()) -> None:
    """What `convert` would leave: its results, of files that are not there."""
    name = planned.spec.name
    rows = [{"artifact": str(planned.run / f"{name}.{kind}"), "sha256": ""} for kind in kinds]
    told = json.dumps({"results": rows, "notes": notes})
    (planned.folder / f"{name}.convert.json").write_text(told)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp", "--calibration mnist --seed 0 --portable"),
        ("ssd300_vgg16", "--calibration digit_scenes --seed 0 --portable"),
        ("dbn", "--calibration digits --seed 0"),
        ("rbm", "--calibration movielens --seed 0"),
        ("bayes_conv", "--calibration mnist --seed 0"),
        ("char_lstm", "--calibration warpeace --seed 0"),
        ("gru_forecast", "--calibration dow_jones --seed 0"),
        ("dcgan", "--seed 0"),
    ],
)
def test_each_task_converts_in_its_own_way(name: str, options: str, tmp_path: Path) -> None:
    verbs = plan(name, tmp_path).verbs()
    next(verbs)
    convert = next(verbs)
    run = str(tmp_path / name)
    assert convert.arguments == ("convert", run, "-p", "fp32", "-p", "int8", *options.split(), "-o", run, "--force")


def test_files_that_were_made_are_evaluated_and_timed(tmp_path: Path) -> None:
    planned = plan("gru_forecast", tmp_path)
    converted(planned, "fp32.onnx", "int8.tflite", "fp32.tflite")
    _, _, evaluate, timed = planned.verbs()
    files = [str(tmp_path / f"gru_forecast/gru_forecast.{k}") for k in ("fp32.tflite", "int8.tflite", "fp32.onnx")]
    assert list(timed.arguments) == ["benchmark", *files]
    model = str(tmp_path / "gru_forecast/model.keras")
    assert list(evaluate.arguments) == ["evaluate", model, *files, "--data", "dow_jones", "--seed", "0"]
    assert evaluate.judge is None


def test_a_bayesian_classifier_is_measured_as_its_mean_and_in_passes(tmp_path: Path) -> None:
    planned = plan("bayes_dense", tmp_path)
    converted(planned, "fp32.onnx", "sample.fp32.onnx", "sample.int8.tflite", "int8.tflite")
    _, _, evaluate, timed = planned.verbs()
    run = tmp_path / "bayes_dense"
    means, passes = (
        [str(run / f"bayes_dense.{kind}") for kind in kinds]
        for kinds in (("int8.tflite", "fp32.onnx"), ("sample.int8.tflite", "sample.fp32.onnx"))
    )
    sources = [str(run / "model.keras"), str(run / "model.sample.keras")]
    options = ["--data", "mnist", "--ood", "notmnist", "--seed", "0"]
    assert list(evaluate.arguments[1:]) == [sources[0], *means, sources[1], *passes, *options]
    assert list(timed.arguments) == ["benchmark", *means, *passes]


def test_a_generator_is_judged_by_what_the_judges_own_entry_trains(tmp_path: Path) -> None:
    planned = plan("cgan", tmp_path, epochs=3, seed=2)
    converted(planned, "fp32.onnx")
    assert planned.judge is not None
    assert next(planned.judge.verbs()) == next(plan(JUDGE, tmp_path, epochs=3, seed=2).verbs())
    evaluate = list(planned.verbs())[2]
    assert evaluate.arguments[-4:] == ("--judge", str(tmp_path / JUDGE), "--seed", "2")
    assert evaluate.judge == tmp_path / JUDGE / "model.keras"


def test_an_evaluation_before_another_judge_is_not_done(tmp_path: Path) -> None:
    judge, results = tmp_path / "judge.keras", tmp_path / "x.evaluate.json"
    judge.write_bytes(b"one")
    verb = Verb(name="evaluate", arguments=("evaluate", "x"), home=tmp_path, results=results, judge=judge)
    digest = sha256_file(judge)
    row = {"artifact": "judge.keras", "sha256": digest, "judge": {"sha256": digest}}
    results.write_text(json.dumps({"verb": ["evaluate", "x"], "results": [row]}))
    assert is_done(verb)
    results.write_text(json.dumps({"verb": ["evaluate", "x"], "results": [{**row, "judge": {"sha256": "another"}}]}))
    assert not is_done(verb)
    assert is_done(replace(verb, judge=None))


def test_the_size_of_what_compares_pictures_counts_its_head_in_every_recipe(tmp_path: Path) -> None:
    planned = plan("siamese", tmp_path)
    digest = {"digest": "d"}
    card = {"detection": None, "provenance": {"training": digest, "training_settings": {}}}
    figures = {"eer": 0.01, "eer_low": 0.0, "eer_high": 0.02, "auc": 0.99}
    kept = {"artifact": "siamese/model.keras", "sha256": "k", "format": "keras", "recipe": "fp32"}

    def file(name: str, size: int, ratio: float) -> dict[str, Any]:
        recipe = name.split(".")[-2]
        told = {"format": "onnx", "recipe": recipe, "model_bytes": size, "ratio": ratio, "float_ops": []}
        parity = {"max_abs": 0.1, "sqnr_db": 30.0}
        return {"artifact": f"siamese/{name}", "sha256": name, "metrics": parity, **told}

    head = file("siamese.head.fp32.onnx", 60, 1.0)
    towers = [file("siamese.fp32.onnx", 300, 1.0), file("siamese.int8.onnx", 100, 3.0)]
    lacking = [f"Skipped {recipe} for tflite: none." for recipe in ("fp32", "int8")]
    results: dict[str, dict[str, Any]] = {
        "train": {"results": [{**kept, "card": card, "data": "orl_faces"}], "peak_rss_bytes": 1},
        "convert": {"results": [head, *towers], "notes": lacking},
        "evaluate": {"results": [{**row, "metrics": figures, "n": 80} for row in (kept, *towers)]},
        "benchmark": {"results": [{**row, "latency_ms": {"p50": 2.0}, "valid": True} for row in (*towers, head)]},
    }
    for verb, told in results.items():
        (tmp_path / f"siamese.{verb}.json").write_text(json.dumps({**told, "seconds": 1.0}))
    planned.run.mkdir()
    (planned.run / "history.json").write_text('{"epochs": []}')
    files = {row["recipe"]: row for row in _row(planned)["files"]}
    assert (files["fp32"]["model_bytes"], files["fp32"]["ratio"]) == (360, 1.0)
    assert (files["int8"]["model_bytes"], files["int8"]["ratio"]) == (160, 2.25)  # (300 + 60) / 160
    assert [row["artifact"] for row in files.values()] == ["siamese.fp32.onnx", "siamese.int8.onnx"]


def test_a_file_that_could_not_be_made_is_a_dash() -> None:
    row = {
        "name": "gru_forecast",
        "task": "forecasting",
        "data": "dow_jones",
        "metrics": {"mse_ratio": 0.98765},
        "files": [{"format": "tflite", "recipe": "int8", "mse_ratio": 1.0}],
        "seconds": 90,
    }
    _, _, lines = results_table([row])
    assert lines == [["gru_forecast", "dow_jones", "mse_ratio", "0.9877", "1", "-", "1.5"]]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_recurrent_model_and_a_generator_go_through_it(tmp_path: Path, shared_data: Path) -> None:
    told: list[str] = []
    specs = [find_spec("gru_forecast"), find_spec("gan")]
    given: dict[str, Any] = {"preset": "small", "epochs": 1, "data_dir": shared_data, "announce": told.append}
    entries = train_all(specs, tmp_path, **given)
    assert [entry.failure for entry in entries] == ["", ""]
    forecast, gan = (entry.row for entry in entries)
    assert forecast is not None
    assert gan is not None
    assert [file["artifact"] for file in forecast["left_out"]] == ["gru_forecast.int8.onnx"]
    assert forecast["left_out"][0]["reason"].startswith("ONNX Runtime has no integer form of the GRU ")
    assert len(forecast["files"]) == 3
    assert (gan["left_out"], len(gan["files"]), gan["n"]) == ([], 4, 10_000)
    assert gan["judge"]["artifact"] == f"{JUDGE}/model.keras"
    assert gan["judge"]["sha256"] == sha256_file(tmp_path / JUDGE / "model.keras")
    assert all(file["ssim"] > 0.9 for file in gan["files"])
    told.clear()
    assert train_all(specs, tmp_path, **given) == entries
    done = [f"  {verb}: done before" for verb in ("train", "convert", "evaluate", "benchmark")]
    assert told == ["1/2 gru_forecast", *done, "2/2 gan", *done]


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
            ("train", "--all", "--judge", "cnn"),
            "edgekit: --all trains every architecture as its preset says; leave --judge out.\n",
        ),
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
